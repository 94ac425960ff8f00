//! What is refused by header arithmetic, before a pixel is decoded.

/// Bounds on what may be uploaded and asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputLimits {
    /// Decoded pixels of an upload at most.
    pub input_pixels: u64,
    /// Pixels of an answer at most.
    pub output_pixels: u64,
}
