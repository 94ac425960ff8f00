//! Rows of the upscaled image to the bytes of a file, as they come.
//!
//! PNG, JPEG and TIFF hold a band and a few rows; lossless WebP has global statistics and so holds the image. An encoder
//! library that is dropped half-way may still write the end of a file (PNG's does); all of them write through a
//! [`Sink`] that is shut once anything has failed, so that half an image never looks whole.

pub mod helpers;
pub(crate) mod rows;
pub(crate) mod sink;
pub(crate) mod target;

use std::io::Write;

pub use target::{EncodeError, JPEG_SIDE, PNG_SIDE, QUALITY, TIFF_SIDE, Target, WEBP_SIDE};

use crate::OutputFormat;
use crate::formats::{jpeg, png, tiff, webp};
use crate::raster::Raster;
use helpers::{Alone, Helpers};
use rows::Rows;
use sink::Sink;

/// Memory that encoding holds beyond the band at hand and the target itself.
pub fn buffered_bytes(target: &Target) -> u64 {
    let row = u64::from(target.size.width) * (target.channels.count() * target.depth.bytes()) as u64;
    // A copy, or a deflated one in a buffer that doubles as it grows.
    let profile = target.icc.as_ref().map_or(0, |profile| profile.len()) as u64;
    let buffers = sink::CAPACITY as u64 + 2 * (profile + target.metadata.bytes());
    match target.format {
        OutputFormat::Png => png::encode::buffered_bytes(target) + buffers,
        OutputFormat::Jpeg => jpeg::encode::buffered_bytes(target.size.width) + buffers,
        OutputFormat::WebP => webp::encode::buffered_bytes(target) + buffers,
        OutputFormat::Tiff => tiff::encode::buffered_bytes(target, row) + buffers,
    }
}

/// Encodes bands (in order, full width, together exactly the image) into `out` until the image is whole.
/// Blocking: runs on its own thread, pulling from an iterator that waits for the next band. `out` is flushed at the end
/// and before a long computation: it should fail then if the file is not wanted any more.
pub fn encode(
    target: &Target,
    bands: &mut dyn Iterator<Item = Raster>,
    out: &mut dyn Write,
) -> Result<(), EncodeError> {
    encode_with(target, bands, out, &Alone)
}

/// As [`encode`], with other cores where the format can be written in parts; the bytes are the same.
pub fn encode_with(
    target: &Target,
    bands: &mut dyn Iterator<Item = Raster>,
    out: &mut dyn Write,
    helpers: &dyn Helpers,
) -> Result<(), EncodeError> {
    target.check().map_err(|error| EncodeError::Encoder(error.to_string()))?;
    if target.format == OutputFormat::Jpeg && target.channels.has_alpha() {
        return Err(EncodeError::Encoder("JPEG has no alpha; the image must be flattened first".into()));
    }
    let sink = Sink::new(out);
    let rows = Rows::new(target, bands);
    let done = match target.format {
        OutputFormat::Png => png::encode::encode(target, rows, &sink, helpers),
        OutputFormat::Jpeg => jpeg::encode::encode(target, rows, &sink),
        OutputFormat::WebP => webp::encode::encode(target, rows, &sink),
        OutputFormat::Tiff => tiff::encode::encode(target, rows, &sink),
    };
    // What the reader did explains what the encoder reports of it.
    match sink.finish() {
        Err(error) => Err(EncodeError::Write(error)),
        Ok(()) => done,
    }
}
