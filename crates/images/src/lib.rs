//! Bytes to pixels and back: [`mod@probe`] reads headers only, [`decode`] pixels, [`encode`] streams rows out. And what is
//! known of pixels themselves: [`raster`], [`units`], [`geometry`], [`resample`].
//!
//! The kind of an upload is read from its bytes, never from a header or a file name.

pub mod color;
mod container;
pub mod decode;
pub mod encode;
pub mod geometry;
mod interrupt;
pub mod limits;
mod loss;
pub mod metadata;
pub mod orientation;
pub mod probe;
pub mod raster;
mod remark;
pub mod resample;
mod sniff;
pub mod units;

use serde::Serialize;
use strum::{Display, EnumString, VariantNames};

pub use interrupt::Interrupt;
pub use limits::InputLimits;
pub use loss::Loss;
pub use probe::{Probe, probe, probe_frame};
pub use remark::Warning;

/// File formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InputFormat {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    WebP,
    /// TIFF and BigTIFF.
    Tiff,
    /// Windows bitmap.
    Bmp,
    /// GIF.
    Gif,
    /// JPEG XL.
    Jxl,
}

impl InputFormat {
    /// As people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
            Self::Tiff => "TIFF",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
            Self::Jxl => "JPEG XL",
        }
    }
}

/// File formats that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, EnumString, VariantNames, Display)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// Portable Network Graphics, lossless, streamed.
    Png,
    /// Baseline JPEG 4:4:4, streamed; has no alpha.
    Jpeg,
    /// Lossless WebP, at most 16383 pixels a side, held whole in memory until encoded.
    WebP,
    /// TIFF, not packed, so that it can be streamed; BigTIFF from 4 GiB on.
    Tiff,
}

impl OutputFormat {
    /// Media type, as in `Content-Type`.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
            Self::Tiff => "image/tiff",
        }
    }

    /// Whether it has a quality to choose.
    pub const fn is_lossy(self) -> bool {
        matches!(self, Self::Jpeg)
    }

    /// Whether 16 bits stay 16.
    pub const fn has_16_bits(self) -> bool {
        matches!(self, Self::Png | Self::Tiff)
    }

    /// File extension without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::WebP => "webp",
            Self::Tiff => "tif",
        }
    }
}

/// Why bytes are no picture for us. The texts go to clients: they name the value and the remedy, never a library.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Nothing was sent. 400.
    #[error("the body is empty; send the bytes of an image")]
    Empty,
    /// No known signature, or a kind of file that is not served. 415.
    #[error("{0}")]
    Unsupported(String),
    /// High dynamic range, in this transfer function: it would be shown wrong. 415.
    #[error("the image has a high dynamic range ({0}), which is not kept here; send a version of it in standard range")]
    HighDynamicRange(&'static str),
    /// The frame or page that was asked for is not in the file. 400.
    #[error("{0}")]
    NoFrame(String),
    /// Known kind, but broken. 422.
    #[error("{0}")]
    Damaged(String),
    /// The request ended first, so nobody reads this.
    #[error("the request ended before its image was decoded")]
    Interrupted,
    /// Over a limit that the header tells. 413.
    #[error("the image's {what} is {actual}, over the limit of {limit}; {remedy}")]
    TooLarge {
        /// `input_pixels`, `output_pixels`, `output_side`, …: stable, for the problem's `limit_name`.
        name: &'static str,
        /// In words.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// What the header says.
        actual: u64,
        /// What the client can do.
        remedy: &'static str,
    },
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
