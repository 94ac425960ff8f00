//! Rows of the enlarged picture to the bytes of a file, as they come.

use std::io::Write;

use crate::codec::{CodecError, OutputFormat};
use crate::raster::{Channels, Depth, Raster};
use crate::units::Size;

/// What is written.
#[derive(Clone, Debug)]
pub struct Target {
    /// File format.
    pub format: OutputFormat,
    /// Size of the whole picture.
    pub size: Size,
    /// Channels of the bands that will come.
    pub channels: Channels,
    /// Depth of the bands that will come.
    pub depth: Depth,
    /// ICC profile to embed.
    pub icc: Option<Vec<u8>>,
}

impl Target {
    /// Whether this format can hold the picture (WebP: 16383 a side; JPEG: 65535), before any work is done.
    pub fn check(&self) -> Result<(), CodecError> {
        unimplemented!("codec helper")
    }

    /// Memory that encoding holds beyond the band at hand.
    pub fn buffered_bytes(&self) -> u64 {
        unimplemented!("codec helper")
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
/// Blocking: runs on its own thread, pulling from an iterator that waits for the next band.
pub fn encode(
    _target: &Target,
    _bands: &mut dyn Iterator<Item = Raster>,
    _out: &mut dyn Write,
) -> Result<(), EncodeError> {
    unimplemented!("codec helper")
}
