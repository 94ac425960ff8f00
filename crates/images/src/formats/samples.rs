//! What decoders of several formats do with samples.

use crate::units::Size;
use crate::{CodecError, Probe};

/// Number of samples of the stored image.
pub fn sample_count(stored: Size, probe: &Probe) -> usize {
    stored.pixels() as usize * probe.channels.count()
}

/// A sample of 8 or 16 bits.
pub trait FullRange: Copy + Default + Into<u32> {
    /// The largest.
    const MAX: u32;
    /// One that is known to fit.
    fn of(value: u32) -> Self;
}

impl FullRange for u8 {
    const MAX: u32 = 255;

    fn of(value: u32) -> Self {
        value as Self
    }
}

impl FullRange for u16 {
    const MAX: u32 = 65_535;

    fn of(value: u32) -> Self {
        value as Self
    }
}

/// Takes alpha, the last channel, out of colors that were multiplied by it.
pub fn unpremultiply<T: FullRange>(samples: &mut [T], channels: usize) {
    for pixel in samples.chunks_exact_mut(channels) {
        let alpha: u32 = pixel[channels - 1].into();
        for color in &mut pixel[..channels - 1] {
            let level = ((*color).into() * T::MAX + alpha / 2).checked_div(alpha);
            *color = T::of(level.unwrap_or(0).min(T::MAX));
        }
    }
}

/// The error of a file whose pixels do not decode. The library's text is for developers; clients get one text.
pub fn damaged(format: &str) -> CodecError {
    CodecError::Damaged(format!("the {format} is damaged or breaks off; send the file again"))
}
