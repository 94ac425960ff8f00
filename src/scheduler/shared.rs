//! The ledger behind its lock, the signal that there is work, and the meters that show it.
//!
//! The lock is held for bookkeeping only: nothing is computed, sent, freed or awaited under it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant as Clock;

use prometheus::{Gauge, Histogram, IntCounter, IntGauge};
use tokio::time::Instant;

use super::BatchClass;
use super::batch::Report;
use super::ledger::{Batch, Effects, Fate, Ledger};
use super::traced::Traced;
use crate::registry::{NetworkId, Registry};
use crate::telemetry::Metrics;
use crate::telemetry::traces::{Fact, Stage};

/// What tickets, workers and handles have in common.
#[derive(Debug)]
pub(super) struct Shared {
    ledger: Mutex<Ledger>,
    work: Condvar,
    meters: Meters,
    pub(super) traced: Traced,
}

impl Shared {
    pub(super) fn new(ledger: Ledger, meters: Meters) -> Self {
        Self { ledger: Mutex::new(ledger), work: Condvar::new(), meters, traced: Traced::default() }
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

    /// The trace of a batch that begins now.
    pub(super) fn trace(&self, batch: &Batch) -> Stage {
        let (traces, requests) = self.traced.of(&batch.jobs);
        let Some(meters) = self.meters.networks.get(batch.class.network.0).filter(|_| !traces.is_empty()) else {
            return Stage::default();
        };
        let facts = [
            Fact::Text("upscaler.model", &meters.model),
            Fact::Number("upscaler.scale", meters.scale.into()),
            Fact::Number("upscaler.tile.side", batch.class.shape.side().into()),
            Fact::Number("upscaler.batch.tiles", batch.jobs.len() as u64),
            Fact::Number("upscaler.batch.requests", requests as u64),
        ];
        Stage::batch(&traces, &facts)
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

/// The metrics of this room, labels looked up once.
#[derive(Debug)]
pub(super) struct Meters {
    queued_tiles: IntGauge,
    admitted_tiles: IntGauge,
    admitted_seconds: Gauge,
    inflight_bytes: IntGauge,
    batch_tiles: Histogram,
    panics: IntCounter,
    /// By [`NetworkId`].
    networks: Vec<NetworkMeters>,
}

#[derive(Debug)]
struct NetworkMeters {
    model: String,
    scale: u32,
    done: IntCounter,
    failed: IntCounter,
    canceled: IntCounter,
    nonfinite: IntCounter,
    fp32_retries: IntCounter,
}

impl Meters {
    pub(super) fn new(metrics: &Metrics, registry: &Registry) -> Self {
        let networks = registry.networks().iter().map(|network| {
            let scale = network.scale.to_string();
            let tiles = |outcome| metrics.tiles.with_label_values(&[network.model.as_str(), scale.as_str(), outcome]);
            NetworkMeters {
                model: network.model.clone(),
                scale: network.scale.factor(),
                done: tiles("done"),
                failed: tiles("failed"),
                canceled: tiles("canceled"),
                nonfinite: metrics.nonfinite.with_label_values(&[network.model.as_str(), scale.as_str()]),
                fp32_retries: metrics.fp32_retries.with_label_values(&[network.model.as_str(), scale.as_str()]),
            }
        });
        Self {
            queued_tiles: metrics.queued_tiles.clone(),
            admitted_tiles: metrics.admitted_tiles.clone(),
            admitted_seconds: metrics.admitted_seconds.clone(),
            inflight_bytes: metrics.inflight_bytes.clone(),
            batch_tiles: metrics.batch_tiles.clone(),
            panics: metrics.panics.with_label_values(&["engine"]),
            networks: networks.collect(),
        }
    }

    fn show(&self, ledger: &Ledger) {
        self.queued_tiles.set(ledger.queued() as i64);
        self.admitted_tiles.set(ledger.tiles() as i64);
        self.admitted_seconds.set(ledger.seconds());
        self.inflight_bytes.set(i64::try_from(ledger.bytes()).unwrap_or(i64::MAX));
    }

    fn count(&self, network: NetworkId, fate: Fate, tiles: usize) {
        if let Some(meters) = self.networks.get(network.0) {
            let counter = match fate {
                Fate::Done => &meters.done,
                Fate::Failed => &meters.failed,
                Fate::Canceled => &meters.canceled,
            };
            counter.inc_by(tiles as u64);
        }
    }

    fn ran(&self, network: NetworkId, report: &Report) {
        for tiles in &report.calls {
            self.batch_tiles.observe(*tiles as f64);
        }
        self.panics.inc_by(u64::from(report.panicked));
        if let Some(meters) = self.networks.get(network.0) {
            meters.nonfinite.inc_by(report.nonfinite);
            meters.fp32_retries.inc_by(report.fp32_retries);
        }
    }
}
