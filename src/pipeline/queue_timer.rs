//! How long tiles waited and how long all of them took: for metrics and `Server-Timing` as figures, for the trace as two
//! parts of the way, until a worker took the first tile and from then on.

use std::time::{Duration, Instant as StdInstant};

use tokio::time::Instant;

use crate::telemetry::traces::{Fact, Stage, Trace};
use scheduler::Finished;

pub(super) struct QueueTimer {
    began: Instant,
    sum: Duration,
    count: usize,
    trace: Trace,
    queue: Option<Stage>,
    /// Ends with the last tile or with this, whatever becomes of the request.
    infer: Option<Stage>,
}

impl QueueTimer {
    pub(super) fn new(trace: Trace) -> Self {
        let queue = Some(trace.stage("queue"));
        Self { began: Instant::now(), sum: Duration::ZERO, count: 0, trace, queue, infer: None }
    }

    /// Adds a tile that came back; how many that are.
    pub(super) fn add(&mut self, finished: &Finished) -> usize {
        self.sum += finished.queued;
        self.count += 1;
        if let Some(queue) = self.queue.take() {
            let now = StdInstant::now();
            let taken = now.checked_sub(finished.ran).unwrap_or(now);
            queue.end_at(taken);
            self.infer = Some(self.trace.stage_since("infer", taken));
        }
        self.count
    }

    /// All came back: mean wait of a tile, and the time of all of them less that wait.
    pub(super) fn end(&mut self) -> (Duration, Duration) {
        self.inferred();
        let queue = self.sum / self.count as u32;
        (queue, self.began.elapsed().saturating_sub(queue))
    }

    fn inferred(&mut self) {
        if let Some(mut infer) = self.infer.take() {
            let mean = self.sum / (self.count as u32).max(1);
            infer.knows(&[
                Fact::Number("upscaler.tiles", self.count as u64),
                Fact::Seconds("upscaler.mean_wait_seconds", mean),
            ]);
            infer.links_batches_of(&self.trace);
        }
    }
}

impl Drop for QueueTimer {
    fn drop(&mut self) {
        self.inferred();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waited(seconds: u64) -> Finished {
        Finished { index: 0, samples: Vec::new(), queued: Duration::from_secs(seconds), ran: Duration::ZERO }
    }

    #[tokio::test(start_paused = true)]
    async fn inference_is_what_is_left_of_the_time_after_the_mean_wait() {
        let mut timer = QueueTimer::new(Trace::default());
        assert_eq!((timer.add(&waited(1)), timer.add(&waited(3))), (1, 2));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(timer.end(), (Duration::from_secs(2), Duration::from_secs(8)));
    }
}
