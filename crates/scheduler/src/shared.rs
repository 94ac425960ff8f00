//! The ledger behind its lock, the signal that there is work, and the meters that show it.
//!
//! The lock is held for bookkeeping only: nothing is computed, sent, freed or awaited under it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant as Clock;

use tokio::time::Instant;

use super::batch::Report;
use super::ledger::{Batch, Effects, Ledger};
use super::metrics::Meters;
use super::observer::{BatchEnd, BatchStart, Observer};
use super::queue::{BatchClass, FlowId};

/// What tickets, workers and handles have in common.
pub(super) struct Shared {
    ledger: Mutex<Ledger>,
    work: Condvar,
    meters: Meters,
    pub(super) observer: Arc<dyn Observer>,
}

impl Shared {
    pub(super) fn new(ledger: Ledger, meters: Meters, observer: Arc<dyn Observer>) -> Self {
        Self { ledger: Mutex::new(ledger), work: Condvar::new(), meters, observer }
    }

    /// Reads the ledger.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Ledger) -> T) -> T {
        read(&self.lock())
    }

    /// Changes the ledger, shows its new figures, and carries out the effects once the lock is open.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> (Effects, T)) -> T {
        let mut ledger = self.lock();
        let (effects, value) = change(&mut ledger);
        self.meters.show(&ledger);
        drop(ledger);
        self.carry_out(effects);
        value
    }

    /// A tile was queued.
    pub(super) fn wake(&self) {
        self.work.notify_one();
    }

    /// The scheduler was stopped.
    pub(super) fn wake_all(&self) {
        self.work.notify_all();
    }

    /// Waits for work without a timer and hands out the next batch; `None` once stopped.
    pub(super) fn next_batch(&self) -> Option<Batch> {
        let mut ledger = self.lock();
        loop {
            ledger = self.wait_for_work(ledger)?;
            let (batch, effects) = ledger.take(Instant::now());
            self.meters.show(&ledger);
            if ledger.queued() > 0 {
                // One signal may have stood for several tiles, or gone to a worker that waited for a fuller batch.
                self.work.notify_one();
            }
            drop(ledger);
            self.carry_out(effects);
            if batch.is_some() {
                return batch;
            }
            ledger = self.lock();
        }
    }

    /// Waits until tiles wait and, with a batch delay, until they are enough for a batch or the delay is over.
    fn wait_for_work<'a>(&self, mut ledger: MutexGuard<'a, Ledger>) -> Option<MutexGuard<'a, Ledger>> {
        let mut until = None;
        while !ledger.stopped() {
            if ledger.queued() == 0 {
                until = None;
                ledger = self.work.wait(ledger).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let delay = ledger.limits().batch_delay;
            let left = until.get_or_insert_with(|| Clock::now() + delay).saturating_duration_since(Clock::now());
            if ledger.has_full_batch() || left.is_zero() {
                return Some(ledger);
            }
            ledger = self.work.wait_timeout(ledger, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    /// Reports a batch that begins now to the observer.
    pub(super) fn begins(&self, batch: &Batch) -> BatchEnd {
        let (model, scale) = self.meters.name(batch.class.network)?;
        let mut requests: Vec<FlowId> = batch.jobs.iter().map(|job| job.flow).collect();
        requests.sort_unstable();
        requests.dedup();
        let (shape, tiles) = (batch.class.shape, batch.jobs.len());
        self.observer.begins(&BatchStart { model, scale, shape, tiles, requests: &requests })
    }

    /// Takes back a batch that is done.
    pub(super) fn settle(&self, class: BatchClass, report: Report) {
        self.meters.ran(class.network, &report);
        self.change(|ledger| {
            for (tiles, ran) in report.measured {
                ledger.measured(class, tiles, ran);
            }
            (ledger.settle(report.outcomes, Instant::now()), ())
        });
    }

    fn carry_out(&self, effects: Effects) {
        let Effects { messages, dropped, counts } = effects;
        for (network, fate, tiles) in counts {
            self.meters.count(network, fate, tiles);
        }
        drop(dropped);
        for (results, message) in messages {
            // Nobody receives when the ticket was dropped meanwhile.
            let _ = results.send(message);
        }
    }

    /// A panic under the lock would be a broken invariant of the ledger; what it left is still the best there is.
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
