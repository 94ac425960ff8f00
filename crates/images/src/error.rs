//! Why a file is refused.

/// Why bytes are no image for us. The texts go to clients: they name the value and the remedy, never a library.
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
    /// Over a limit that the header declares. 413.
    #[error("the image's {what} is {actual}, over the limit of {limit}; {remedy}")]
    TooLarge {
        /// `input_pixels`, `output_pixels`, `output_side`, …: stable, for the problem's `limit_name`.
        name: &'static str,
        /// In words.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// What the header declares.
        actual: u64,
        /// What the client can do.
        remedy: &'static str,
    },
}
