//! JPEG to samples, once it is known to be all there.

mod bits;
mod whole;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{damaged, sample_count};
use crate::codec::limits::INPUT_SIDE;
use crate::codec::{CodecError, Probe};
use crate::raster::{Channels, Samples};
use crate::units::Size;

/// Scans of a progressive file at most. Encoders write some ten; each one is a pass over the whole picture, so a file
/// of thousands of tiny scans would cost minutes.
const MAX_SCANS: usize = 64;

pub fn decode(bytes: &[u8], stored: Size, probe: &Probe) -> Result<Samples, CodecError> {
    whole::check(bytes).map_err(|_| damaged("JPEG"))?;
    let colours = if probe.channels == Channels::Gray { ColorSpace::Luma } else { ColorSpace::RGB };
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(INPUT_SIDE as usize)
        .set_max_height(INPUT_SIDE as usize)
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(colours);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let broken = |error: zune_jpeg::errors::DecodeErrors| {
        tracing::debug!(%error, "jpeg does not decode");
        damaged("JPEG")
    };
    decoder.decode_headers().map_err(broken)?;
    let mut samples = vec![0; sample_count(stored, probe)];
    if decoder.dimensions() != Some((stored.width as usize, stored.height as usize))
        || decoder.output_buffer_size() != Some(samples.len())
    {
        return Err(damaged("JPEG"));
    }
    decoder.decode_into(&mut samples).map_err(broken)?;
    Ok(Samples::U8(samples))
}
