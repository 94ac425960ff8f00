//! Between requests and engines: admission by budget, a fair queue of tiles, batches, workers, cancellation.
//!
//! A request is admitted whole or refused ([`admission`]); its tiles then wait in a queue where requests take turns
//! ([`queue`]); a worker thread that is free pulls a batch of one network and shape ([`batch`], [`worker`]); dropping
//! the [`Ticket`] takes back what has not begun ([`cancel`]).

pub mod admission;
pub mod batch;
pub mod cancel;
pub mod queue;
pub mod rate;
pub mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::{EngineError, EngineSet};
use crate::registry::NetworkId;
use crate::telemetry::Metrics;
use crate::units::TileShape;

/// What shares a batch: one network, one tile shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    /// Model and scale.
    pub network: NetworkId,
    /// Tile shape.
    pub shape: TileShape,
}

/// Bounds of the scheduler; checked by `config`.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Tiles in one batch at most, at least 1.
    pub batch_max: usize,
    /// How long a worker that found work waits for a fuller batch.
    pub batch_delay: Duration,
    /// Tiles of all admitted requests together at most.
    pub queue_tiles: usize,
    /// Bytes of all admitted requests together at most.
    pub queue_bytes: u64,
}

/// What a request asks to be admitted with.
#[derive(Clone, Debug)]
pub struct Demand {
    /// Network and shape of its tiles.
    pub lane: Lane,
    /// How many tiles it will submit (x8 with self-ensemble).
    pub tiles: usize,
    /// Memory it will hold at most while it runs.
    pub bytes: u64,
    /// When its answer is worthless.
    pub deadline: Instant,
}

/// Why a request is not admitted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The queue holds too many tiles of others.
    #[error("the queue is full: {queued} of {limit} tiles are taken and this request needs {needed}; try again in {} s", retry_after.as_secs())]
    QueueFull {
        /// Tiles admitted now.
        queued: usize,
        /// `Limits::queue_tiles`.
        limit: usize,
        /// Tiles of this request.
        needed: usize,
        /// When there should be room, by the measured rate; at least one second.
        retry_after: Duration,
    },
    /// The requests under way hold too much memory.
    #[error("the memory budget is taken: {held} of {limit} bytes are held and this request needs {needed}; try again in {} s", retry_after.as_secs())]
    MemoryFull {
        /// Bytes admitted now.
        held: u64,
        /// `Limits::queue_bytes`.
        limit: u64,
        /// Bytes of this request.
        needed: u64,
        /// When there should be room; at least one second.
        retry_after: Duration,
    },
    /// It would be in time on an idle server, but not behind what waits here.
    #[error("the request would take about {} s behind the queue, more than the {} s it has; try again in {} s", estimate.as_secs(), available.as_secs(), retry_after.as_secs())]
    Late {
        /// By the measured rate.
        estimate: Duration,
        /// Until the deadline.
        available: Duration,
        /// When the queue should have shrunk enough; at least one second.
        retry_after: Duration,
    },
    /// Not even an idle server would be in time, or room could never be made.
    #[error("{reason}")]
    TooLarge {
        /// Which of the budgets, in words, with the numbers and the remedy.
        reason: String,
        /// The budget exceeded: `deadline_seconds`, `queue_tiles` or `memory_bytes`.
        limit_name: &'static str,
        /// Its value.
        limit: u64,
        /// What the request needs.
        actual: u64,
    },
    /// The server is draining.
    #[error("the server is shutting down; send the request to another instance")]
    Draining,
}

/// Why an admitted request gets no more tiles.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TileError {
    /// The engine failed on the batch that held a tile of this request; `Arc`, since all requests of a batch share it.
    #[error("{0}")]
    Engine(Arc<EngineError>),
    /// The engine panicked; the worker goes on.
    #[error("the engine panicked on a batch")]
    Panicked,
    /// The scheduler was stopped hard.
    #[error("the scheduler was stopped")]
    Stopped,
}

/// One tile that came back.
#[derive(Debug)]
pub struct Finished {
    /// As given to [`Ticket::submit`].
    pub index: usize,
    /// Planar RGB, 3 × (side·scale)² levels.
    pub samples: Vec<f32>,
    /// How long it waited in the queue.
    pub queued: Duration,
    /// How long its batch ran.
    pub ran: Duration,
}

/// Handle on queue and workers; cheap to clone.
#[derive(Clone)]
pub struct Scheduler {
    _todo: (),
}

impl Scheduler {
    /// Starts one OS thread per engine set. A worker whose engine panics reports the batch as failed and goes on.
    pub fn start(_limits: Limits, _workers: Vec<EngineSet>, _metrics: Arc<Metrics>) -> Self {
        unimplemented!("scheduler helper")
    }

    /// Admits a request whole, or says why not. Never waits.
    pub fn admit(&self, _demand: Demand) -> Result<Ticket, Refusal> {
        unimplemented!("scheduler helper")
    }

    /// What `admit` would say, without admitting; and the estimated time to finish.
    pub fn estimate(&self, _demand: &Demand) -> (Duration, Option<Refusal>) {
        unimplemented!("scheduler helper")
    }

    /// Seeds the rate of a lane with a measured time (warm-up), so that the first estimates are not blind.
    pub fn seed_rate(&self, _lane: Lane, _seconds_per_tile: f64) {
        unimplemented!("scheduler helper")
    }

    /// From now on nothing is admitted; what was admitted goes on.
    pub fn drain(&self) {
        unimplemented!("scheduler helper")
    }

    /// Tiles admitted and not yet finished or dropped; 0 when idle.
    pub fn admitted_tiles(&self) -> usize {
        unimplemented!("scheduler helper")
    }

    /// Fails what still waits with [`TileError::Stopped`] and joins the workers.
    pub fn stop(&self) {
        unimplemented!("scheduler helper")
    }
}

/// An admitted request. Dropping it drops its queued tiles at once and gives its budget back when the last of its
/// running tiles is done, so that no permit is free while its work is not.
#[derive(Debug)]
pub struct Ticket {
    _todo: (),
}

impl Ticket {
    /// Queues one tile. The caller bounds how many it has under way; the budget was paid at admission.
    ///
    /// # Panics
    /// If more tiles are submitted than were admitted.
    pub fn submit(&self, _index: usize, _samples: Vec<f32>) {
        unimplemented!("scheduler helper")
    }

    /// The next tile that is done, in whatever order they finish. Cancel-safe.
    pub async fn finished(&mut self) -> Result<Finished, TileError> {
        unimplemented!("scheduler helper")
    }
}
