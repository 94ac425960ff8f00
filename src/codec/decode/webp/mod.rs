//! WebP to samples.

mod lossless;

use std::io::Cursor;

use image_webp::WebPDecoder;

use super::{damaged, sample_count};
use crate::codec::container::webp::{Streams, lossless_tables, streams};
use crate::codec::{CodecError, Probe};
use crate::raster::Samples;
use crate::units::Size;

pub fn decode(bytes: &[u8], stored: Size, probe: &Probe) -> Result<Samples, CodecError> {
    let streams = streams(bytes)?;
    check_tables(&streams, stored)?;
    let file = streams.container(stored);
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

/// Holds lossless streams, be they the picture or its alpha, to what `Probe::working_bytes` has for their tables.
fn check_tables(streams: &Streams, stored: Size) -> Result<(), CodecError> {
    let (stream, bare) = match streams.alpha {
        None if streams.lossless => (streams.image, false),
        // The first byte's low bits tell how the plane is coded; 1 is the lossless way.
        Some([how, plane @ ..]) if how & 3 == 1 => (plane, true),
        _ => return Ok(()),
    };
    let budget = lossless_tables(stored.pixels(), stream.len());
    lossless::check(stream, stored, bare, budget).map_err(|why| {
        tracing::debug!(?why, "webp is not decoded");
        damaged("WebP")
    })
}
