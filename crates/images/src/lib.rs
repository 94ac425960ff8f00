//! Bytes to pixels and back: [`mod@probe`] reads headers only, [`decode`] pixels, [`encode`] streams rows out. And what is
//! known of pixels themselves: [`raster`], [`units`], [`geometry`], [`resample`].
//!
//! The kind of an upload is read from its bytes, never from a header or a file name.

pub mod color;
mod container;
pub mod decode;
pub mod encode;
mod error;
mod format;
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

pub use error::CodecError;
pub use format::{InputFormat, OutputFormat};
pub use interrupt::Interrupt;
pub use limits::InputLimits;
pub use loss::Loss;
pub use probe::{Probe, probe, probe_frame};
pub use remark::Warning;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
