//! Reads the header of an upload: kind, size, channels, depth, orientation. Decodes no pixel.

use crate::codec::{CodecError, InputFormat, InputLimits};
use crate::raster::{Channels, Depth};
use crate::units::Size;

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Kind of file, by its bytes.
    pub format: InputFormat,
    /// Size as shown, that is after the EXIF orientation is applied.
    pub size: Size,
    /// Channels after decoding (a palette is expanded).
    pub channels: Channels,
    /// Bits per sample after decoding.
    pub depth: Depth,
    /// ICC profile of the source, carried over unchanged.
    pub icc: Option<Vec<u8>>,
}

/// Reads the header and refuses what is over `limits`. `bytes` may be the whole upload or a beginning of it that
/// holds the whole header.
pub fn probe(_bytes: &[u8], _limits: &InputLimits) -> Result<Probe, CodecError> {
    unimplemented!("codec helper")
}
