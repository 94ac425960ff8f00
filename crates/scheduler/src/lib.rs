//! Between requests and engines: admission by budget, a fair queue of tiles, batches, workers, cancellation.
//!
//! A request is admitted whole or refused ([`admission`], by the measured [`rate`]); its tiles then wait in a queue
//! where requests take turns ([`queue`]); a worker thread that is free pulls a batch of one network and shape and runs
//! it ([`worker`], [`batch`]); dropping the [`Ticket`] takes back what has not begun ([`cancel`]). All state is one
//! ledger behind one lock ([`ledger`], [`shared`]), with a tally of what is to do ([`backlog`]).

mod admission;
mod answer_memory;
mod backlog;
mod batch;
mod cancel;
mod ledger;
pub mod metrics;
pub mod observer;
pub mod queue;
pub mod rate;
mod share;
mod shared;
mod tile;
mod worker;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use inference::engine::EngineSet;
use inference::engine::batch_sizer::BatchSizer;
use inference::registry::Registry;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;

pub use admission::{AdmissionRequest, Limits, Rejection};
pub use answer_memory::AnswerMemory;
pub use cancel::{MemoryReservation, Ticket};
pub use metrics::Metrics;
pub use observer::Observer;
pub use queue::{BatchClass, FlowId};
pub use tile::{Finished, TileError};

use ledger::{Effects, Ledger};
use metrics::Meters;
use shared::Shared;

/// Handle on queue and workers; cheap to clone. When the last is dropped, the scheduler stops as by
/// [`stop`](Self::stop).
#[derive(Clone)]
pub struct Scheduler {
    crew: Arc<Crew>,
}

/// The workers, to be joined once.
struct Crew {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Scheduler {
    /// Starts one OS thread per engine set. A worker whose engine panics reports the batch as failed and goes on.
    /// `registry` gives the names for the metrics, and the tiles that batches are made of; `observer` sees the batches.
    ///
    /// # Errors
    /// If the system has no thread to give; those started are joined before.
    pub fn start(
        limits: Limits,
        workers: Vec<EngineSet>,
        registry: &Registry,
        metrics: Metrics,
        observer: Arc<dyn Observer>,
    ) -> io::Result<Self> {
        let sizer = BatchSizer::new(limits.batch_max, registry);
        let ledger = Ledger::new(limits, sizer, workers.len());
        let shared = Arc::new(Shared::new(ledger, Meters::new(metrics, registry), observer));
        let scheduler = Self { crew: Arc::new(Crew { shared, threads: Mutex::default() }) };
        for (number, engines) in workers.into_iter().enumerate() {
            let thread = worker::spawn(number, engines, Arc::clone(&scheduler.crew.shared))?;
            scheduler.crew.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(scheduler)
    }

    /// Admits a request whole, or returns why not. Never waits.
    pub fn admit(&self, admission: AdmissionRequest) -> Result<Ticket, Rejection> {
        let mut tickets = self.admit_all(&[admission])?;
        Ok(tickets.pop().expect("one ticket for each demand"))
    }

    /// Admits the passes of a request (at least one), which run one after the other, all or none; a ticket for each.
    pub fn admit_all(&self, passes: &[AdmissionRequest]) -> Result<Vec<Ticket>, Rejection> {
        let now = Instant::now();
        let shared = &self.crew.shared;
        let mut receivers = Vec::with_capacity(passes.len());
        let results = || {
            let (sender, receiver) = unbounded_channel();
            receivers.push(receiver);
            sender
        };
        let flows = shared.change(|ledger| (Effects::default(), ledger.admit(passes, now, results)))?;
        let tickets = flows.into_iter().zip(passes).zip(receivers);
        let ticket = |((flow, admission), results): ((_, &AdmissionRequest), _)| {
            shared.observer.admitted(flow);
            Ticket::new(Arc::clone(shared), flow, admission.deadline, results)
        };
        Ok(tickets.map(ticket).collect())
    }

    /// What `admit_all` would say, without admitting; and the estimated time to finish: by the measured rate, sharing
    /// fairly with those that are admitted now. Zero while a batch class is neither measured nor seeded.
    pub fn estimate(&self, passes: &[AdmissionRequest]) -> (Duration, Option<Rejection>) {
        let now = Instant::now();
        let verdict = self.crew.shared.read(|ledger| ledger.judge(passes, now));
        (verdict.estimate, verdict.rejection)
    }

    /// Seeds the rate of a batch class with a measured time (warm-up), in seconds of one worker for one tile, so that the
    /// first estimates are not blind. Ignored unless positive and finite.
    pub fn seed_rate(&self, class: BatchClass, seconds_per_tile: f64) {
        self.crew.shared.change(|ledger| (Effects::default(), ledger.seed_rate(class, seconds_per_tile)));
    }

    /// From now on nothing is admitted; what was admitted goes on.
    pub fn drain(&self) {
        self.crew.shared.change(|ledger| (Effects::default(), ledger.drain()));
    }

    /// Tiles admitted and not yet finished or dropped; 0 when idle.
    pub fn admitted_tiles(&self) -> usize {
        self.crew.shared.read(Ledger::tiles)
    }

    /// Fails what still waits with [`TileError::Stopped`] and joins the workers: waits for the batches that run.
    pub fn stop(&self) {
        self.crew.stop();
    }
}

impl Crew {
    fn stop(&self) {
        self.shared.change(|ledger| (ledger.stop(), ()));
        self.shared.wake_all();
        // Held while joining, so that a second caller returns no sooner than the first.
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for worker in threads.drain(..) {
            // A worker that held the last handle must not wait for itself.
            if worker.thread().id() != thread::current().id() && worker.join().is_err() {
                tracing::error!("a worker of the scheduler had panicked");
            }
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").field("admitted_tiles", &self.admitted_tiles()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
