//! The formats, a file or a folder each, which owns reading and writing it.
//!
//! [`open()`] reads a header without decoding and without trusting a length: every slice is checked against the bytes at
//! hand, and nothing is allocated by a number that a header claims. What it gives back holds what was read, so a file is
//! parsed once.

pub mod bmp;
pub mod frames;
pub mod gif;
pub mod jpeg;
pub mod jxl;
mod opened;
pub mod png;
mod samples;
mod sniff;
pub mod tiff;
pub mod webp;

use bytes::Bytes;

use crate::limits::check_work;
use crate::metadata::Metadata;
use crate::orientation::Orientation;
use crate::raster::{Channels, Depth, Samples};
use crate::units::Size;
use crate::{CodecError, InputFormat, InputLimits, Interrupt, Loss, Warning};
pub use frames::Frames;
pub use opened::{Opened, Probe};
use samples::{FullRange, damaged, sample_count, unpremultiply};

/// Makes the pixels of a file, as they are stored.
type Decode = Box<dyn FnOnce(&Probe) -> Result<Samples, CodecError> + Send>;

/// Reads the header and refuses what is over `limits`. `file` may be the whole upload or a beginning of it that holds the
/// whole header. `frame` is that of an animation, or the page of a TIFF, from 0: a file with several is refused where none
/// is asked for. Once `interrupt` is set, reading and decoding end.
pub fn open(
    file: Bytes,
    limits: &InputLimits,
    frame: Option<u32>,
    interrupt: &Interrupt,
) -> Result<Opened, CodecError> {
    let format = sniff::sniff(&file)?;
    let read = match format {
        InputFormat::Png => png::open(file, frame, interrupt),
        InputFormat::Jpeg => jpeg::open(file, frame, interrupt),
        InputFormat::WebP => webp::open(&file, frame, interrupt),
        InputFormat::Tiff => tiff::open(&file, frame, interrupt),
        InputFormat::Bmp => bmp::open(file, frame, interrupt),
        InputFormat::Gif => gif::open(file, frame, interrupt),
        InputFormat::Jxl => jxl::open(file, frame, interrupt),
    };
    // Whatever a library reports of a file that it could read no further.
    interrupt.check()?;
    let (header, decode) = read?;
    limits.check_input(header.stored)?;
    check_work(header.work, header.stored)?;
    Ok(Opened { probe: opened::judged(format, header)?, decode, interrupt: interrupt.clone() })
}

/// What a header declares, before limits are applied and the profile is judged.
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
    /// Embedded ICC profile, not yet judged; or one made from other chunks.
    pub icc: Option<Vec<u8>>,
    /// Whether the profile was made here of other chunks.
    pub icc_made: bool,
    /// Whether its pixels are CMYK, for which the profile is then meant. They are decoded to red, green and blue.
    pub cmyk: bool,
    /// What is to be said about the file.
    pub warnings: Vec<Warning>,
    /// What the file holds beside its pixels, not yet settled.
    pub metadata: Metadata,
    /// Bytes that the decoder holds at most beside the decoded pixels.
    pub working_bytes: u64,
    /// Pixels that the decoder passes over, as far as the header declares: see `limits::check_work`.
    pub work: u64,
    /// Which of its frames or pages is meant.
    pub frames: Frames,
    /// What its compression has cost it.
    pub loss: Loss,
}

impl Header {
    /// Of a format that has 8 bits, loses nothing, lies upright and holds nothing beside its pixels.
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
