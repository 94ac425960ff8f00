//! Rows of the enlarged picture to the bytes of a file, as they come.
//!
//! PNG, JPEG and TIFF hold a band and a few rows; lossless WebP has global statistics and so holds the picture. An encoder
//! library that is dropped half-way may still write the end of a file (PNG's does); all of them write through a
//! [`Sink`] that is shut once anything has failed, so that half a picture never looks whole.

pub mod helpers;
mod jpeg;
mod png;
mod rows;
mod sink;
mod tiff;
mod webp;

use std::io::Write;
use std::sync::Arc;

use crate::metadata::OutputMetadata;
use crate::raster::{Channels, Depth, Raster};
use crate::units::Size;
use crate::{CodecError, OutputFormat};
use helpers::{Alone, Helpers};
use rows::Rows;
use sink::Sink;

/// Longest side of a WebP picture (RFC 9649).
pub const WEBP_SIDE: u32 = 16_383;
/// Longest side of a JPEG picture (T.81).
pub const JPEG_SIDE: u32 = 65_535;
/// Longest side of a PNG picture (third edition, 7.1).
pub const PNG_SIDE: u32 = i32::MAX as u32;

/// Longest side of a TIFF picture (TIFF 6.0).
pub const TIFF_SIDE: u32 = u32::MAX;
/// Quality of a JPEG where none is asked for: above it files grow faster than eyes can see.
pub const QUALITY: u8 = 90;

/// What is written.
#[derive(Clone, Debug)]
pub struct Target {
    /// File format.
    pub format: OutputFormat,
    /// 1 to 100; for JPEG alone.
    pub quality: u8,
    /// Size of the whole picture.
    pub size: Size,
    /// Channels of the bands that will come; without alpha if the format is JPEG, which has none.
    pub channels: Channels,
    /// Depth of the bands that will come.
    pub depth: Depth,
    /// ICC profile to embed; for colors if the format is WebP, which has no gray.
    pub icc: Option<Arc<[u8]>>,
    /// What it says beside its pixels.
    pub metadata: OutputMetadata,
}

impl Target {
    /// Whether this format can hold the picture (WebP: 16383 a side; JPEG: 65535), before any work is done.
    pub fn check(&self) -> Result<(), CodecError> {
        let side = self.size.width.max(self.size.height);
        let (limit, remedy) = match self.format {
            OutputFormat::Png => (PNG_SIDE, "take a smaller scale, or ask for TIFF"),
            OutputFormat::WebP if side <= JPEG_SIDE => {
                (WEBP_SIDE, "take a smaller scale, or ask for PNG, TIFF or JPEG")
            }
            OutputFormat::WebP => (WEBP_SIDE, "take a smaller scale, or ask for PNG or TIFF"),
            OutputFormat::Jpeg => (JPEG_SIDE, "take a smaller scale, or ask for PNG or TIFF"),
            OutputFormat::Tiff => return Ok(()),
        };
        if side <= limit {
            return Ok(());
        }
        Err(CodecError::TooLarge {
            name: "output_side",
            what: "longest side after enlarging",
            limit: u64::from(limit),
            actual: u64::from(side),
            remedy,
        })
    }

    /// Memory that encoding holds beyond the band at hand and the target itself.
    pub fn buffered_bytes(&self) -> u64 {
        let row = u64::from(self.size.width) * (self.channels.count() * self.depth.bytes()) as u64;
        // A copy, or a deflated one in a buffer that doubles as it grows.
        let profile = self.icc.as_ref().map_or(0, |profile| profile.len()) as u64;
        let buffers = sink::CAPACITY as u64 + 2 * (profile + self.metadata.bytes());
        match self.format {
            OutputFormat::Png => png::buffered_bytes(self) + buffers,
            OutputFormat::Jpeg => jpeg::buffered_bytes(self.size.width) + buffers,
            OutputFormat::WebP => webp::buffered_bytes(self) + buffers,
            OutputFormat::Tiff => tiff::buffered_bytes(self, row) + buffers,
        }
    }
}

/// Why encoding ended early. For operators; the client sees a cut connection or a 500.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Nobody reads any more, or the disk is full.
    #[error("writing failed: {0}")]
    Write(#[from] std::io::Error),
    /// The bands ended before the picture was whole, because the work above failed.
    #[error("the picture broke off after row {0}")]
    BrokeOff(u32),
    /// The encoder refused.
    #[error("encoding failed: {0}")]
    Encoder(String),
}

/// Encodes bands (in order, full width, together exactly the picture) into `out` until the picture is whole.
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
        return Err(EncodeError::Encoder("JPEG has no alpha; the picture must be flattened first".into()));
    }
    let sink = Sink::new(out);
    let rows = Rows::new(target, bands);
    let done = match target.format {
        OutputFormat::Png => png::encode(target, rows, &sink, helpers),
        OutputFormat::Jpeg => jpeg::encode(target, rows, &sink),
        OutputFormat::WebP => webp::encode(target, rows, &sink),
        OutputFormat::Tiff => tiff::encode(target, rows, &sink),
    };
    // What the reader did explains what the encoder says of it.
    match sink.finish() {
        Err(error) => Err(EncodeError::Write(error)),
        Ok(()) => done,
    }
}
