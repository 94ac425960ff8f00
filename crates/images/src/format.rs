//! Which formats there are, in and out.

use serde::Serialize;
use strum::{Display, EnumString, VariantNames};

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
    /// By its name, or the extension that files of it have.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "jpg" => Some(Self::Jpeg),
            "tif" => Some(Self::Tiff),
            _ => name.parse().ok(),
        }
    }

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
