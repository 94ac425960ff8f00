//! Why a request has no answer.

use std::time::Duration;

use images::CodecError;
use images::geometry::GeometryError;
use inference::registry::LookupError;
use scheduler::Rejection;

/// Why there is no image.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PipelineError {
    /// The bytes are no image for us.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The model or its scale does not exist.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// This image is not available at that size.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// Not admitted.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The deadline passed on the way.
    #[error("the deadline of {} s passed before the image was done; send a smaller image, a faster model, or try at a quieter time", .0.as_secs_f64())]
    Deadline(Duration),
    /// Inference or encoding failed; the text is for the log, not for the client.
    #[error("{0}")]
    Internal(String),
}
