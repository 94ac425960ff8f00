//! Pixels of an upload, turned upright.

mod bmp;
mod canvas;
mod cmyk;
mod gif;
mod jpeg;
mod jxl;
mod png;
mod tiff;
mod webp;

use crate::raster::Raster;
use crate::units::Size;
use crate::{CodecError, InputFormat, Interrupt, Probe};

/// Decodes the whole upload. The result has the size, channels and depth that `probe` promised; a file that breaks
/// off or lies is [`CodecError::Damaged`], never a gray rest.
pub fn decode(bytes: &[u8], probe: &Probe) -> Result<Raster, CodecError> {
    decode_until(bytes, probe, &Interrupt::default())
}

/// As [`decode()`], but fails with [`CodecError::Interrupted`] soon after `interrupt` is set.
pub fn decode_until(bytes: &[u8], probe: &Probe, interrupt: &Interrupt) -> Result<Raster, CodecError> {
    let decoded = stored(bytes, probe, interrupt);
    // Whatever a library made of a file that it could read no further.
    interrupt.check()?;
    probe.orientation.apply(decoded?, interrupt)
}

/// The image as it is stored, not yet upright.
fn stored(bytes: &[u8], probe: &Probe, interrupt: &Interrupt) -> Result<Raster, CodecError> {
    let stored =
        if probe.orientation.swaps_sides() { Size::new(probe.size.height, probe.size.width) } else { probe.size };
    let samples = match probe.format {
        InputFormat::Png => png::decode(bytes, stored, probe, interrupt)?,
        InputFormat::Jpeg => jpeg::decode(bytes, stored, probe, interrupt)?,
        InputFormat::WebP => webp::decode(bytes, stored, probe, interrupt)?,
        InputFormat::Tiff => tiff::decode(bytes, stored, probe, interrupt)?,
        InputFormat::Bmp => bmp::decode(bytes, stored, probe, interrupt)?,
        InputFormat::Gif => gif::decode(bytes, stored, probe, interrupt)?,
        InputFormat::Jxl => jxl::decode(bytes, stored, probe, interrupt)?,
    };
    Ok(Raster::new(stored, probe.channels, samples))
}

/// Number of samples of the stored image.
fn sample_count(stored: Size, probe: &Probe) -> usize {
    stored.pixels() as usize * probe.channels.count()
}

/// A sample of 8 or 16 bits.
trait Sample: Copy + Default + Into<u32> {
    /// The largest.
    const MAX: u32;
    /// One that is known to fit.
    fn of(value: u32) -> Self;
}

impl Sample for u8 {
    const MAX: u32 = 255;

    fn of(value: u32) -> Self {
        value as Self
    }
}

impl Sample for u16 {
    const MAX: u32 = 65_535;

    fn of(value: u32) -> Self {
        value as Self
    }
}

/// Takes alpha, the last channel, out of colors that were multiplied by it.
fn unpremultiply<T: Sample>(samples: &mut [T], channels: usize) {
    for pixel in samples.chunks_exact_mut(channels) {
        let alpha: u32 = pixel[channels - 1].into();
        for color in &mut pixel[..channels - 1] {
            let level = ((*color).into() * T::MAX + alpha / 2).checked_div(alpha);
            *color = T::of(level.unwrap_or(0).min(T::MAX));
        }
    }
}

/// The error of a file whose pixels do not decode. What the library says is for developers; clients get one text.
fn damaged(format: &str) -> CodecError {
    CodecError::Damaged(format!("the {format} is damaged or breaks off; send the file again"))
}
