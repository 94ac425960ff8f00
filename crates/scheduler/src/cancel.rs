//! What becomes of a request that nobody waits for: the [`Ticket`] and its end.
//!
//! A ticket that is dropped takes its queued tiles along, at once. What runs is not interrupted (an engine cannot be),
//! and its budget comes back when its batch is done, so that no permit is free while its work is not. Neither are jobs
//! on other threads; they take a [`MemoryReservation`] along, and its bytes come back when the last of them has ended, too.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, timeout_at};

use super::answer_memory::AnswerMemory;
use super::ledger::{Effects, Tile};
use super::queue::FlowId;
use super::shared::Shared;
use super::tile::{Finished, TileError};

/// An admitted request. Dropping it drops its queued tiles at once and gives its budget back when the last of its
/// running tiles is done and the last [`MemoryReservation`] is dropped.
pub struct Ticket {
    shared: Arc<Shared>,
    flow: FlowId,
    deadline: Instant,
    results: UnboundedReceiver<Result<Finished, TileError>>,
    /// Once failed, always failed.
    failed: Option<TileError>,
}

impl Ticket {
    pub(super) const fn new(
        shared: Arc<Shared>,
        flow: FlowId,
        deadline: Instant,
        results: UnboundedReceiver<Result<Finished, TileError>>,
    ) -> Self {
        Self { shared, flow, deadline, results, failed: None }
    }

    /// Keeps the request's bytes in the budget while a job that cannot be interrupted has its memory.
    pub fn reservation(&self) -> MemoryReservation {
        self.shared.change(|ledger| (Effects::default(), ledger.hold(self.flow)));
        MemoryReservation { shared: Arc::clone(&self.shared), flow: self.flow }
    }

    /// Splits up to `bytes` off the request's own, for its answer: they may outlive the request.
    pub fn split_off(&self, bytes: u64) -> AnswerMemory {
        let bytes = self.shared.change(|ledger| (Effects::default(), ledger.split_off(self.flow, bytes)));
        AnswerMemory::new(Arc::clone(&self.shared), bytes)
    }

    /// Queues one tile: planar RGB, 3 × height × width levels in 0.0..=255.0. The caller bounds how many it has under way; the
    /// budget was paid at admission. After a failure the tile is dropped: [`finished`](Self::finished) has the error.
    ///
    /// # Panics
    /// If more tiles are submitted than were admitted.
    pub fn submit(&self, index: usize, samples: Vec<f32>) {
        self.queue(Tile { index, samples, transposed: false, since: Instant::now() });
    }

    /// The same for a tile that lies on its side: as wide as those of the batch class are tall.
    ///
    /// # Panics
    /// As [`submit`](Self::submit).
    pub fn submit_transposed(&self, index: usize, samples: Vec<f32>) {
        self.queue(Tile { index, samples, transposed: true, since: Instant::now() });
    }

    fn queue(&self, tile: Tile) {
        let outcome = self.shared.change(|ledger| match ledger.submit(self.flow, tile) {
            Ok(effects) => (effects, true),
            Err(_) => Default::default(),
        });
        assert!(outcome, "a request may submit no more tiles than it was admitted with");
        self.shared.wake();
    }

    /// The next tile that is done, in whatever order they finish: to be called once for each tile submitted. Fails
    /// once for all when a tile failed or the deadline passes, even while all workers are busy. Cancel-safe. Needs a
    /// Tokio runtime with its timer.
    pub async fn finished(&mut self) -> Result<Finished, TileError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let error = match timeout_at(self.deadline, self.results.recv()).await {
            Ok(Some(Ok(finished))) => return Ok(finished),
            Ok(Some(Err(error))) => error,
            // The ledger keeps the sender as long as the ticket lives.
            Ok(None) => TileError::Stopped,
            Err(_) => {
                self.shared.change(|ledger| (ledger.fail(self.flow, TileError::Expired), ()));
                TileError::Expired
            }
        };
        self.failed = Some(error.clone());
        Err(error)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.observer.left(self.flow);
        self.shared.change(|ledger| (ledger.cancel(self.flow), ()));
    }
}

/// The bytes of an admitted request, but none of its tiles; may outlive the [`Ticket`].
#[must_use]
pub struct MemoryReservation {
    shared: Arc<Shared>,
    flow: FlowId,
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        self.shared.change(|ledger| (Effects::default(), ledger.release(self.flow)));
    }
}

impl fmt::Debug for MemoryReservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReservation").field("flow", &self.flow).finish_non_exhaustive()
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("flow", &self.flow).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
