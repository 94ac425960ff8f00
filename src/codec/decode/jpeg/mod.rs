//! JPEG to samples, once it is known to be all there.

mod bits;
mod inks;
mod whole;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{cmyk, damaged};
use crate::codec::container::jpeg::inks_of;
use crate::codec::limits::INPUT_SIDE;
use crate::codec::{CodecError, Probe};
use crate::raster::{Channels, Samples};
use crate::units::Size;

/// Scans of a progressive file at most. Encoders write some ten; each one is a pass over the whole picture, so a file
/// of thousands of tiny scans would cost minutes.
const MAX_SCANS: usize = 64;

/// What is wanted of the components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// One luma sample a pixel.
    Gray,
    /// Red, green, blue, whatever the file has of one or three components.
    Rgb,
    /// The components themselves.
    AsStored,
}

pub fn decode(bytes: &[u8], stored: Size, probe: &Probe) -> Result<Samples, CodecError> {
    if let Some(coding) = inks_of(bytes) {
        let mut stored = pixels(bytes, stored, Colours::AsStored)?;
        inks::amounts(&mut stored, coding);
        return Ok(Samples::U8(cmyk::to_rgb(&stored, probe.press.as_ref())));
    }
    let colours = if probe.channels == Channels::Gray { Colours::Gray } else { Colours::Rgb };
    pixels(bytes, stored, colours).map(Samples::U8)
}

/// The samples of a file that is known to have this size.
pub fn pixels(bytes: &[u8], size: Size, colours: Colours) -> Result<Vec<u8>, CodecError> {
    whole::check(bytes).map_err(|_| damaged("JPEG"))?;
    let mut options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(INPUT_SIDE as usize)
        .set_max_height(INPUT_SIDE as usize)
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(if colours == Colours::Gray { ColorSpace::Luma } else { ColorSpace::RGB });
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let broken = |error: zune_jpeg::errors::DecodeErrors| {
        tracing::debug!(%error, "jpeg does not decode");
        damaged("JPEG")
    };
    decoder.decode_headers().map_err(broken)?;
    if colours == Colours::AsStored {
        options = options.jpeg_set_out_colorspace(decoder.input_colorspace().ok_or_else(|| damaged("JPEG"))?);
        decoder.set_options(options);
    }
    let sides = Some((size.width as usize, size.height as usize));
    // Before anything is allocated by it.
    let length = decoder.output_buffer_size().filter(|_| decoder.dimensions() == sides);
    let mut samples = vec![0; length.ok_or_else(|| damaged("JPEG"))?];
    decoder.decode_into(&mut samples).map_err(broken)?;
    Ok(samples)
}
