//! The bands of an image, checked and counted; and their samples in the form that a format wants.

use super::target::{EncodeError, Target};
use crate::raster::{Raster, Samples};

/// Pulls bands until the image is whole.
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

    /// The next band with the number of its first row; `None` once the image is whole. Does not ask for more.
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
                "a band of {came}, {:?}, {:?} came after row {} of an image of {size}, {channels:?}, {depth:?}",
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

/// Row `y` of a band in 8 bits.
pub fn row_in_8_bit(band: &Raster, y: u32, out: &mut Vec<u8>) {
    let row = band.size().width as usize * band.channels().count();
    let range = y as usize * row..(y as usize + 1) * row;
    out.clear();
    match band.samples() {
        Samples::U8(v) => out.extend_from_slice(&v[range]),
        Samples::U16(v) => out.extend(v[range].iter().map(|s| reduced(*s))),
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

/// Samples as TIFF stores them here: 16 bits with the low byte first. `out` is scratch that the result may lie in.
pub fn little_endian<'b>(samples: &'b Samples, out: &'b mut Vec<u8>) -> &'b [u8] {
    match samples {
        Samples::U8(v) => v,
        Samples::U16(v) if cfg!(target_endian = "little") => bytemuck::cast_slice(v),
        Samples::U16(v) => {
            out.clear();
            out.extend(v.iter().flat_map(|s| s.to_le_bytes()));
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reducing_rounds_to_the_nearest() {
        for v in 0..=u16::MAX {
            let exact = f64::from(v) / 257.0;
            assert!((f64::from(reduced(v)) - exact).abs() <= 0.5, "{v}");
        }
    }
}
