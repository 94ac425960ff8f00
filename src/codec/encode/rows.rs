//! The bands of a picture, checked and counted; and their samples in the form that a format wants.

use super::{EncodeError, Target};
use crate::raster::{Channels, Raster, Samples};

/// Pulls bands until the picture is whole.
pub struct Rows<'a> {
    target: &'a Target,
    bands: &'a mut dyn Iterator<Item = Raster>,
    /// Rows that have come.
    count: u32,
}

impl<'a> Rows<'a> {
    pub fn new(target: &'a Target, bands: &'a mut dyn Iterator<Item = Raster>) -> Self {
        Self { target, bands, count: 0 }
    }

    /// The next band with the number of its first row; `None` once the picture is whole. Does not ask for more.
    pub fn next_band(&mut self) -> Result<Option<(u32, Raster)>, EncodeError> {
        let Target { size, channels, depth, .. } = *self.target;
        if self.count == size.height {
            return Ok(None);
        }
        let Some(band) = self.bands.next() else {
            return Err(EncodeError::BrokeOff(self.count));
        };
        let came = band.size();
        let fits = came.width == size.width && came.height <= size.height - self.count;
        if !fits || band.channels() != channels || band.depth() != depth {
            return Err(EncodeError::Encoder(format!(
                "a band of {came}, {:?}, {:?} came after row {} of a picture of {size}, {channels:?}, {depth:?}",
                band.channels(),
                band.depth(),
                self.count
            )));
        }
        let first = self.count;
        self.count += came.height;
        Ok(Some((first, band)))
    }
}

/// A 16-bit sample as the nearest 8-bit one.
const fn reduced(sample: u16) -> u8 {
    ((sample as u32 + 128) / 257) as u8
}

/// Samples in 8 bits, whatever the depth, appended to `out`.
pub fn push_8_bit(samples: &Samples, out: &mut Vec<u8>) {
    match samples {
        Samples::U8(v) => out.extend_from_slice(v),
        Samples::U16(v) => out.extend(v.iter().map(|s| reduced(*s))),
    }
}

/// Row `y` of a band without alpha and in 8 bits: laid over white where it is not opaque.
pub fn flattened_row(band: &Raster, y: u32, out: &mut Vec<u8>) {
    let row = band.size().width as usize * band.channels().count();
    let range = y as usize * row..(y as usize + 1) * row;
    out.clear();
    match (band.samples(), band.channels()) {
        (Samples::U8(v), Channels::Gray | Channels::Rgb) => out.extend_from_slice(&v[range]),
        (Samples::U16(v), Channels::Gray | Channels::Rgb) => out.extend(v[range].iter().map(|s| reduced(*s))),
        (Samples::U8(v), Channels::GrayAlpha) => over_white::<2, _>(&v[range], u8::MAX, |s| s as u8, out),
        (Samples::U8(v), Channels::Rgba) => over_white::<4, _>(&v[range], u8::MAX, |s| s as u8, out),
        (Samples::U16(v), Channels::GrayAlpha) => over_white::<2, _>(&v[range], u16::MAX, reduced, out),
        (Samples::U16(v), Channels::Rgba) => over_white::<4, _>(&v[range], u16::MAX, reduced, out),
    }
}

/// c·a + white·(1 - a), rounded, in the samples' own gamma, as browsers lay a picture over a page. The product fits
/// 32 bits even for 16-bit samples: at most 65535² + 65535 / 2.
fn over_white<const C: usize, T: Copy + Into<u32>>(
    row: &[T],
    white: T,
    to_8_bit: impl Fn(u16) -> u8,
    out: &mut Vec<u8>,
) {
    let white: u32 = white.into();
    for pixel in row.as_chunks::<C>().0 {
        let alpha: u32 = pixel[C - 1].into();
        out.extend(pixel[..C - 1].iter().map(|colour| {
            let colour: u32 = (*colour).into();
            to_8_bit(((colour * alpha + white * (white - alpha) + white / 2) / white) as u16)
        }));
    }
}

/// Samples as PNG stores them: 16 bits with the high byte first. `out` is scratch that the result may lie in.
pub fn big_endian<'b>(samples: &'b Samples, out: &'b mut Vec<u8>) -> &'b [u8] {
    match samples {
        Samples::U8(v) => v,
        Samples::U16(v) => {
            out.clear();
            out.extend(v.iter().flat_map(|s| s.to_be_bytes()));
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Size;

    #[test]
    fn reducing_rounds_to_the_nearest() {
        for v in 0..=u16::MAX {
            let exact = f64::from(v) / 257.0;
            assert!((f64::from(reduced(v)) - exact).abs() <= 0.5, "{v}");
        }
    }

    #[test]
    fn flattening_is_exact_at_both_ends_and_rounded_between() {
        let band = Raster::new(
            Size::new(4, 1),
            Channels::Rgba,
            Samples::U8(vec![1, 2, 3, 255, 9, 9, 9, 0, 0, 100, 255, 128, 255, 255, 255, 7]),
        );
        let mut row = Vec::new();
        flattened_row(&band, 0, &mut row);
        let half = |c: f64| ((c * 128.0 + 255.0 * 127.0) / 255.0).round() as u8;
        assert_eq!(row, [1, 2, 3, 255, 255, 255, half(0.0), half(100.0), half(255.0), 255, 255, 255]);
    }

    #[test]
    fn sixteen_bits_are_flattened_before_they_are_reduced() {
        let pixels = vec![0, 65535, 40000, 65535, 40000, 0, 20000, 32768, 65535, 1];
        let band = Raster::new(Size::new(1, 5), Channels::GrayAlpha, Samples::U16(pixels.clone()));
        let mut row = Vec::new();
        for (y, pixel) in pixels.chunks_exact(2).enumerate() {
            let (c, a) = (f64::from(pixel[0]), f64::from(pixel[1]));
            let exact = (c * a + 65535.0 * (65535.0 - a)) / 65535.0;
            flattened_row(&band, y as u32, &mut row);
            assert_eq!(row, [reduced(exact.round() as u16)]);
        }
    }
}
