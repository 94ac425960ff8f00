//! What the headers of each format say, read without decoding and without trusting a length: every slice is checked
//! against the bytes at hand, and nothing is allocated by a number that a header claims.

pub mod bmp;
pub mod frames;
pub mod gif;
pub mod jpeg;
pub mod jxl;
pub mod png;
pub mod tiff;
pub mod webp;

use crate::metadata::Metadata;
use crate::orientation::Orientation;
use crate::raster::{Channels, Depth};
use crate::units::Size;
use crate::{Loss, Warning};
pub use frames::Frames;

/// What a header says, before limits are applied and the profile is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Size as stored, before the orientation is applied.
    pub stored: Size,
    /// Channels after decoding.
    pub channels: Channels,
    /// Depth after decoding.
    pub depth: Depth,
    /// EXIF orientation.
    pub orientation: Orientation,
    /// Embedded ICC profile, not yet judged; or one that says what other chunks say.
    pub icc: Option<Vec<u8>>,
    /// Whether the profile was made here of other chunks.
    pub icc_made: bool,
    /// Whether its pixels are four inks, for which the profile is then meant. They are decoded to red, green and blue.
    pub cmyk: bool,
    /// What is to be said about the file.
    pub warnings: Vec<Warning>,
    /// What the file says beside its pixels, not yet settled.
    pub metadata: Metadata,
    /// Bytes that the decoder holds at most beside the decoded pixels.
    pub working_bytes: u64,
    /// Pixels that the decoder passes over, as far as the header tells: see `limits::check_work`.
    pub work: u64,
    /// Which of its frames or pages is meant.
    pub frames: Frames,
    /// What its compression has cost it.
    pub loss: Loss,
}

impl Header {
    /// Of a format that has 8 bits, loses nothing, lies upright and says nothing beside its pixels.
    pub fn plain(stored: Size, channels: Channels, working_bytes: u64, frames: Frames) -> Self {
        Self {
            stored,
            channels,
            depth: Depth::Eight,
            orientation: Orientation::Upright,
            icc: None,
            icc_made: false,
            cmyk: false,
            warnings: Vec::new(),
            metadata: Metadata::default(),
            working_bytes,
            work: stored.pixels(),
            frames,
            loss: Loss::Lossless,
        }
    }
}
