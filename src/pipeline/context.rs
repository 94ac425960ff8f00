//! What all requests share.

use std::sync::Arc;
use std::time::Duration;

use images::InputLimits;
use inference::engine::Execution;
use inference::registry::Registry;
use scheduler::Scheduler;
use tokio::sync::Semaphore;

use crate::telemetry::Metrics;
use crate::telemetry::metrics::Stage;

/// Everything a request passes through; shared by all requests.
pub struct Pipeline {
    /// Networks.
    pub registry: Arc<Registry>,
    /// Queue and workers.
    pub scheduler: Scheduler,
    /// Header limits.
    pub limits: InputLimits,
    /// What runs each network, by `NetworkId`.
    pub executions: Vec<Execution>,
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// Decode, blend and encode compute at most this many at a time. Never closed.
    pub compute: Arc<Semaphore>,
}

impl Pipeline {
    /// Shows how long a stage took.
    pub(super) fn observe(&self, stage: Stage, model: &str, took: Duration) {
        self.metrics.stage_duration.with_label_values(&[stage.name(), model]).observe(took.as_secs_f64());
    }
}
