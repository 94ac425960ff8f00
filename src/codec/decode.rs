//! Pixels of an upload, turned upright.

use crate::codec::{CodecError, Probe};
use crate::raster::Raster;

/// Decodes the whole upload. The result has the size, channels and depth that `probe` promised; a file that breaks
/// off or lies is [`CodecError::Damaged`], never a gray rest.
pub fn decode(_bytes: &[u8], _probe: &Probe) -> Result<Raster, CodecError> {
    unimplemented!("codec helper")
}
