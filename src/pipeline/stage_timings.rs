//! What the stages of a request took, over all its passes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long the stages took, as far as they are over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Bytes to pixels.
    pub decode: Duration,
    /// Mean wait of a tile for a worker.
    pub queue: Duration,
    /// From the first tile submitted to the last one back, less `queue`; zero while tiles are out.
    pub infer: Duration,
    /// Time that joining tiles and encoding rows computed; zero while they run.
    pub encode: Duration,
}

/// What the stages took; written by anyone who ends one.
#[derive(Debug, Default)]
pub(super) struct StageTimings(Mutex<Gauges>);

#[derive(Debug, Default)]
struct Gauges {
    shown: Timings,
    /// What passes before the last took; shown with it, since stages are not over before.
    earlier: Timings,
}

impl StageTimings {
    pub(super) fn timings(&self) -> Timings {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).shown
    }

    fn set<T>(&self, change: impl FnOnce(&mut Gauges) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn decoded(&self, took: Duration) {
        self.set(|gauges| gauges.shown.decode = took);
    }

    /// All tiles of a pass are back. Gives the times of all passes if it was the last.
    pub(super) fn inferred(&self, queue: Duration, infer: Duration, last: bool) -> Option<(Duration, Duration)> {
        self.set(|Gauges { shown, earlier }| {
            let times = (earlier.queue + queue, earlier.infer + infer);
            let at = if last { shown } else { earlier };
            (at.queue, at.infer) = times;
            last.then_some(times)
        })
    }

    /// The rows of a pass are done, or as many of them as were until now. Gives the time of all passes.
    pub(super) fn encoded(&self, took: Duration) -> Duration {
        self.set(|Gauges { shown, earlier }| {
            shown.encode = earlier.encode + took;
            shown.encode
        })
    }

    /// The rows of a pass before the last are done.
    pub(super) fn joined(&self, took: Duration) {
        self.set(|gauges| gauges.earlier.encode += took);
    }
}
