//! WebP to samples.

use std::io::Cursor;

use image_webp::WebPDecoder;

use super::{damaged, sample_count};
use crate::codec::container::webp::streams;
use crate::codec::{CodecError, Probe};
use crate::raster::Samples;
use crate::units::Size;

pub fn decode(bytes: &[u8], stored: Size, probe: &Probe) -> Result<Samples, CodecError> {
    let file = streams(bytes)?.container(stored);
    let broken = |error: image_webp::DecodingError| {
        tracing::debug!(%error, "webp does not decode");
        damaged("WebP")
    };
    let mut decoder = WebPDecoder::new(Cursor::new(file)).map_err(broken)?;
    if decoder.dimensions() != (stored.width, stored.height) || decoder.has_alpha() != probe.channels.has_alpha() {
        return Err(damaged("WebP"));
    }
    let mut samples = vec![0; sample_count(stored, probe)];
    decoder.read_image(&mut samples).map_err(broken)?;
    Ok(Samples::U8(samples))
}
