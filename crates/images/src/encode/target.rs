//! What is written, and why it may not be.

use std::sync::Arc;

use crate::metadata::OutputMetadata;
use crate::raster::{Channels, Depth};
use crate::units::Size;
use crate::{CodecError, OutputFormat};

/// Longest side of a WebP image (RFC 9649).
pub const WEBP_SIDE: u32 = 16_383;
/// Longest side of a JPEG image (T.81).
pub const JPEG_SIDE: u32 = 65_535;
/// Longest side of a PNG image (third edition, 7.1).
pub const PNG_SIDE: u32 = i32::MAX as u32;

/// Longest side of a TIFF image (TIFF 6.0).
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
    /// Size of the whole image.
    pub size: Size,
    /// Channels of the bands that will come; without alpha if the format is JPEG, which has none.
    pub channels: Channels,
    /// Depth of the bands that will come.
    pub depth: Depth,
    /// ICC profile to embed; for colors if the format is WebP, which has no gray.
    pub icc: Option<Arc<[u8]>>,
    /// What it holds beside its pixels.
    pub metadata: OutputMetadata,
}

impl OutputFormat {
    /// Longest side of an image in it.
    pub const fn max_side(self) -> u32 {
        match self {
            Self::Png => PNG_SIDE,
            Self::Jpeg => JPEG_SIDE,
            Self::WebP => WEBP_SIDE,
            Self::Tiff => TIFF_SIDE,
        }
    }

    /// Whether it can hold an image of this size.
    pub fn holds(self, size: Size) -> bool {
        size.width.max(size.height) <= self.max_side()
    }
}

impl Target {
    /// Whether this format can hold the image (WebP: 16383 a side; JPEG: 65535), before any work is done.
    pub fn check(&self) -> Result<(), CodecError> {
        if self.format.holds(self.size) {
            return Ok(());
        }
        let side = self.size.width.max(self.size.height);
        let remedy = match self.format {
            OutputFormat::Png => "take a smaller scale, or ask for TIFF",
            OutputFormat::WebP if side <= JPEG_SIDE => "take a smaller scale, or ask for PNG, TIFF or JPEG",
            OutputFormat::WebP | OutputFormat::Jpeg => "take a smaller scale, or ask for PNG or TIFF",
            OutputFormat::Tiff => "take a smaller scale",
        };
        Err(CodecError::TooLarge {
            name: "output_side",
            what: "longest side after upscaling",
            limit: u64::from(self.format.max_side()),
            actual: u64::from(side),
            remedy,
        })
    }
}

/// Why encoding ended early. For operators; the client sees a cut connection or a 500.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Nobody reads any more, or the disk is full.
    #[error("writing failed: {0}")]
    Write(#[from] std::io::Error),
    /// The bands ended before the image was whole, because the work above failed.
    #[error("the image broke off after row {0}")]
    BrokeOff(u32),
    /// The encoder refused.
    #[error("encoding failed: {0}")]
    Encoder(String),
}
