//! Bytes to pixels and back: [`open()`] reads a header, [`Opened::decode`] pixels, [`encode`] streams rows out. And what is
//! known of pixels themselves: [`raster`], [`units`], [`geometry`], [`resample`].
//!
//! The kind of an upload is read from its bytes, never from a header or a file name.

pub mod color;
pub mod encode;
mod error;
mod format;
mod formats;
pub mod geometry;
mod interrupt;
pub mod limits;
mod loss;
pub mod metadata;
pub mod orientation;
pub mod raster;
mod remark;
pub mod resample;
pub mod units;

pub use error::CodecError;
pub use format::{InputFormat, OutputFormat};
pub use formats::{Opened, Probe, open};
pub use interrupt::Interrupt;
pub use limits::InputLimits;
pub use loss::Loss;
pub use remark::Warning;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
