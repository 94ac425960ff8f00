//! Transparency: what becomes of the alpha plane, and of the colors that nobody sees.
//!
//! Color under fully transparent pixels is garbage, and an upscaled image would mix it into the visible edge: a halo on
//! black or on white. So the visible colors are first extended outwards, layer by layer, each new pixel taking the
//! mean of its neighbors in the layers before. The plane itself is upscaled by bicubic, not by the network, which
//! never saw one; where it is the same everywhere it stays so without a pass.

use images::raster::{Raster, Samples};
use images::units::Size;
use images::{CodecError, Interrupt};

/// Bytes per pixel that [`survey`] may hold beside an image with alpha: a mark, and the places of two layers.
pub(super) const SURVEY_BYTES: u64 = 5;

/// Pixels between two questions whether to go on.
const PART: usize = 1 << 16;

/// What the alpha plane of an image is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Alpha {
    /// There is none.
    None,
    /// One level everywhere.
    Uniform(f32),
    /// A plane to upscale.
    Plane,
}

/// Looks at the alpha plane, and extends the colors of an image that is transparent in part; not if it `stays` as it
/// is, since then nothing is mixed. Fails soon after `interrupt` is set: extending 16 megapixels takes seconds.
pub(super) fn survey(image: Raster, stays: bool, interrupt: &Interrupt) -> Result<(Raster, Alpha), CodecError> {
    if !image.channels().has_alpha() {
        return Ok((image, Alpha::None));
    }
    let (size, channels, step) = (image.size(), image.channels(), image.channels().count());
    let first = image.level(0, 0, step - 1);
    let (samples, uniform) = match image.into_samples() {
        Samples::U8(mut v) => {
            let uniform = extend(&mut v, size, step, stays, interrupt)?;
            (Samples::U8(v), uniform)
        }
        Samples::U16(mut v) => {
            let uniform = extend(&mut v, size, step, stays, interrupt)?;
            (Samples::U16(v), uniform)
        }
    };
    Ok((Raster::new(size, channels, samples), if uniform { Alpha::Uniform(first) } else { Alpha::Plane }))
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    /// No color yet.
    Clear,
    /// In the layer at hand.
    Pending,
    /// Has a color that others may take.
    Colored,
}

/// Whether alpha is the same everywhere; if not, every fully transparent pixel gets a color unless the image `stays`.
fn extend<T: Copy + PartialEq + Default + Into<u32> + TryFrom<u32>>(
    samples: &mut [T],
    size: Size,
    step: usize,
    stays: bool,
    interrupt: &Interrupt,
) -> Result<bool, CodecError> {
    let alpha = step - 1;
    if samples.chunks_exact(step).all(|pixel| pixel[alpha] == samples[alpha]) {
        return Ok(true);
    }
    if stays {
        return Ok(false);
    }
    let clear = |pixel: &[T]| if pixel[alpha] == T::default() { Mark::Clear } else { Mark::Colored };
    let mut marks: Vec<Mark> = samples.chunks_exact(step).map(clear).collect();
    let mut layer = Vec::new();
    for at in 0..marks.len() {
        if at % PART == 0 {
            interrupt.check()?;
        }
        let next_to_color = |marks: &[Mark]| neighbors(at, size).any(|n| marks[n] == Mark::Colored);
        if marks[at] == Mark::Clear && next_to_color(&marks) {
            marks[at] = Mark::Pending;
            layer.push(at as u32);
        }
    }
    while !layer.is_empty() {
        for (number, &at) in layer.iter().enumerate() {
            if number % PART == 0 {
                interrupt.check()?;
            }
            let at = at as usize;
            for channel in 0..alpha {
                let (mut sum, mut count) = (0_u32, 0);
                for neighbor in neighbors(at, size).filter(|&n| marks[n] == Mark::Colored) {
                    sum += samples[neighbor * step + channel].into();
                    count += 1;
                }
                samples[at * step + channel] = T::try_from((sum + count / 2) / count).unwrap_or_default();
            }
        }
        let mut next = Vec::new();
        for &at in &layer {
            marks[at as usize] = Mark::Colored;
        }
        for (number, &at) in layer.iter().enumerate() {
            if number % PART == 0 {
                interrupt.check()?;
            }
            for neighbor in neighbors(at as usize, size) {
                if marks[neighbor] == Mark::Clear {
                    marks[neighbor] = Mark::Pending;
                    next.push(neighbor as u32);
                }
            }
        }
        layer = next;
    }
    Ok(false)
}

/// The up to eight pixels around one.
fn neighbors(at: usize, size: Size) -> impl Iterator<Item = usize> {
    let (width, height) = (size.width as usize, size.height as usize);
    let (x, y) = (at % width, at / width);
    let rows = y.saturating_sub(1)..=(y + 1).min(height - 1);
    rows.flat_map(move |row| (x.saturating_sub(1)..=(x + 1).min(width - 1)).map(move |column| row * width + column))
        .filter(move |&neighbor| neighbor != at)
}

#[cfg(test)]
mod tests {
    use images::raster::Channels;

    use super::*;

    fn surveyed(width: u32, height: u32, channels: Channels, samples: Vec<u8>) -> (Vec<u8>, Alpha) {
        let image = Raster::new(Size::new(width, height), channels, Samples::U8(samples));
        let (image, alpha) = survey(image, false, &Interrupt::default()).expect("not interrupted");
        match image.into_samples() {
            Samples::U8(v) => (v, alpha),
            Samples::U16(_) => unreachable!("8 bit in, 8 bit out"),
        }
    }

    #[test]
    fn without_alpha_nothing_happens() {
        assert_eq!(surveyed(2, 1, Channels::Gray, vec![1, 2]), (vec![1, 2], Alpha::None));
    }

    #[test]
    fn uniform_alpha_is_reported_and_touches_no_color() {
        let clear = vec![9, 8, 7, 0, 1, 2, 3, 0];
        assert_eq!(surveyed(2, 1, Channels::Rgba, clear.clone()), (clear, Alpha::Uniform(0.0)));
        let opaque = vec![9, 255, 7, 255];
        assert_eq!(surveyed(2, 1, Channels::GrayAlpha, opaque.clone()), (opaque, Alpha::Uniform(255.0)));
    }

    #[test]
    fn visible_colors_reach_every_clear_pixel_and_stay_themselves() {
        // One red and one nearly clear blue pixel at the ends of a line of garbage.
        let mut samples = vec![255, 0, 0, 255];
        samples.extend([[13, 200, 77, 0]; 4].concat());
        samples.extend([0, 0, 255, 1]);
        let (out, alpha) = surveyed(6, 1, Channels::Rgba, samples);
        assert_eq!(alpha, Alpha::Plane);
        let (red, blue) = ([255, 0, 0], [0, 0, 255]);
        let colors: Vec<&[u8]> = out.chunks_exact(4).map(|pixel| &pixel[..3]).collect();
        assert_eq!(colors, [red, red, red, blue, blue, blue]);
        assert_eq!(out.iter().skip(3).step_by(4).copied().collect::<Vec<_>>(), [255, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_layer_takes_the_mean_of_the_layers_before() {
        // 3 x 3, corners 10 20 / 30 41, the rest clear: the center sees all four, an edge two.
        let gray = |level: u8| [level, 255];
        let clear = [99, 0];
        let samples = [gray(10), clear, gray(20), clear, clear, clear, gray(30), clear, gray(41)].concat();
        let (out, _) = surveyed(3, 3, Channels::GrayAlpha, samples);
        let levels: Vec<u8> = out.iter().step_by(2).copied().collect();
        assert_eq!(levels, [10, 15, 20, 20, 25, 31, 30, 36, 41]);
    }

    #[test]
    fn sixteen_bits_are_extended_too() {
        let image = Raster::new(Size::new(2, 1), Channels::GrayAlpha, Samples::U16(vec![60_000, 65_535, 1, 0]));
        let (image, alpha) = survey(image, false, &Interrupt::default()).expect("not interrupted");
        assert_eq!(alpha, Alpha::Plane);
        assert_eq!(image.samples(), &Samples::U16(vec![60_000, 65_535, 60_000, 0]));
    }

    #[test]
    fn extending_colors_ends_with_its_request() {
        let ended = Interrupt::default();
        ended.set();
        let image = Raster::new(Size::new(2, 1), Channels::GrayAlpha, Samples::U8(vec![60, 255, 1, 0]));
        assert_eq!(survey(image, false, &ended), Err(CodecError::Interrupted));
    }
}
