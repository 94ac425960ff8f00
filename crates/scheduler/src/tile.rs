//! What becomes of a tile that was submitted.

use std::sync::Arc;
use std::time::Duration;

use inference::engine::EngineError;

/// Why an admitted request gets no more tiles.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TileError {
    /// The engine failed on a tile of this request, or on the others of its batch that are this request's own; `Arc`,
    /// since it may be reported to several.
    #[error("{0}")]
    Engine(Arc<EngineError>),
    /// The engine panicked; the worker goes on.
    #[error("the engine panicked on a batch")]
    Panicked,
    /// The deadline passed; what waited was dropped.
    #[error("the deadline passed before all tiles were done")]
    Expired,
    /// The scheduler was stopped hard.
    #[error("the scheduler was stopped")]
    Stopped,
}

/// One tile that came back.
#[derive(Debug)]
pub struct Finished {
    /// As given to [`crate::Ticket::submit`].
    pub index: usize,
    /// Planar RGB, 3 × height × width × scale² levels.
    pub samples: Vec<f32>,
    /// How long it waited in the queue.
    pub queued: Duration,
    /// How long its batch ran.
    pub ran: Duration,
}
