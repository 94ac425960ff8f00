//! JPEG to samples, by zune-jpeg's strict mode.

use bytes::Bytes;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::EOI;
use super::color::{Signs, ycbcr_to_rgb};
use crate::color::cmyk;
use crate::formats::{Probe, damaged};
use crate::interrupt::Source;
use crate::raster::{Channels, Samples};
use crate::units::Size;
use crate::{CodecError, Interrupt};

/// Of CMYK, converted between two questions whether to go on: by a profile, some 10 ms.
const CMYK_BYTES: usize = 4 << 18;

/// What is wanted of the components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    /// One luma sample a pixel.
    Gray,
    /// Red, green, blue, whatever the file has of one or three components.
    Rgb,
    /// The components themselves.
    AsStored,
}

/// The image of a file in so many scans, which the header bounds by the work that they are.
pub fn decode(
    file: Bytes,
    (size, signs, scans): (Size, &Signs, usize),
    probe: &Probe,
    interrupt: &Interrupt,
) -> Result<Samples, CodecError> {
    let file = &signs.prepared(file)[..];
    let read = |colors| pixels(file, &[size], colors, scans, interrupt);
    if let Some(coding) = signs.cmyk_coding() {
        let mut stored = read(Colors::AsStored)?;
        let mut rgb = Vec::with_capacity(stored.len() / 4 * 3);
        for part in stored.chunks_mut(CMYK_BYTES) {
            interrupt.check()?;
            coding.amounts(part);
            rgb.extend(cmyk::to_rgb(part, probe.cmyk_transform.as_ref()));
        }
        return Ok(Samples::U8(rgb));
    }
    if probe.channels == Channels::Gray {
        return read(Colors::Gray).map(Samples::U8);
    }
    let mut samples = read(Colors::Rgb)?;
    if signs.is_ycbcr_by_other_names() {
        samples.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = ycbcr_to_rgb(*pixel));
    }
    Ok(Samples::U8(samples))
}

/// The samples of a file that has one of these sizes, in `scans`. Of another size, nothing is allocated.
pub fn pixels(
    bytes: &[u8],
    sizes: &[Size],
    colors: Colors,
    scans: usize,
    interrupt: &Interrupt,
) -> Result<Vec<u8>, CodecError> {
    let longest = |side: fn(&Size) -> u32| sizes.iter().map(side).max().unwrap_or(0) as usize;
    let mut options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(longest(|size| size.width))
        .set_max_height(longest(|size| size.height))
        .jpeg_set_max_scans(scans)
        .jpeg_set_out_colorspace(if colors == Colors::Gray { ColorSpace::Luma } else { ColorSpace::RGB });
    let mut source = Source::new(bytes, interrupt);
    let mut decoder = JpegDecoder::new_with_options(&mut source, options);
    let broken = |error: zune_jpeg::errors::DecodeErrors| {
        tracing::debug!(%error, "jpeg does not decode");
        damaged("JPEG")
    };
    decoder.decode_headers().map_err(broken)?;
    if colors == Colors::AsStored {
        options = options.jpeg_set_out_colorspace(decoder.input_colorspace().ok_or_else(|| damaged("JPEG"))?);
        decoder.set_options(options);
    }
    let fits = |size: &Size| decoder.dimensions() == Some((size.width as usize, size.height as usize));
    // Before anything is allocated by it.
    let length = decoder.output_buffer_size().filter(|_| sizes.iter().any(fits));
    let mut samples = vec![0; length.ok_or_else(|| damaged("JPEG"))?];
    decoder.decode_into(&mut samples).map_err(broken)?;
    drop(decoder);
    if has_end(bytes, source.position()) { Ok(samples) } else { Err(damaged("JPEG")) }
}

/// Whether there is an end marker from where the decoder stopped reading on. It takes the end of a file that breaks off
/// within its last rows for the end of the image, and fills up what is missing.
fn has_end(bytes: &[u8], stopped: usize) -> bool {
    bytes.get(stopped.saturating_sub(2)..).unwrap_or_default().windows(2).any(|pair| *pair == [0xff, EOI])
}
