//! What is measured here: Prometheus metrics that the service declares, registers and passes in.

use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, IntGauge};

use super::batch::Report;
use super::ledger::{Fate, Ledger};
use inference::registry::{NetworkId, Registry};

/// Clones of what the service exports; there each has its name and help.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Tiles that wait for a worker.
    pub queued_tiles: IntGauge,
    /// Tiles admitted and not finished.
    pub admitted_tiles: IntGauge,
    /// Seconds until the workers would have done them.
    pub admitted_seconds: Gauge,
    /// Memory that admitted requests may hold.
    pub inflight_bytes: IntGauge,
    /// Tiles that ran together.
    pub batch_tiles: Histogram,
    /// Panics of engines.
    pub panics: IntCounter,
    /// By model, scale and outcome (done, failed, canceled).
    pub tiles: IntCounterVec,
    /// By model and scale: tiles that stayed non-finite.
    pub nonfinite: IntCounterVec,
    /// By model and scale: tiles that ran again in fp32.
    pub fp32_retries: IntCounterVec,
}

/// The metrics with their labels looked up once.
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
    pub(super) fn new(metrics: Metrics, registry: &Registry) -> Self {
        let networks: Vec<_> = registry
            .networks()
            .iter()
            .map(|network| {
                let scale = network.scale.to_string();
                let tiles =
                    |outcome| metrics.tiles.with_label_values(&[network.model.as_str(), scale.as_str(), outcome]);
                NetworkMeters {
                    model: network.model.clone(),
                    scale: network.scale.factor(),
                    done: tiles("done"),
                    failed: tiles("failed"),
                    canceled: tiles("canceled"),
                    nonfinite: metrics.nonfinite.with_label_values(&[network.model.as_str(), scale.as_str()]),
                    fp32_retries: metrics.fp32_retries.with_label_values(&[network.model.as_str(), scale.as_str()]),
                }
            })
            .collect();
        Self {
            queued_tiles: metrics.queued_tiles,
            admitted_tiles: metrics.admitted_tiles,
            admitted_seconds: metrics.admitted_seconds,
            inflight_bytes: metrics.inflight_bytes,
            batch_tiles: metrics.batch_tiles,
            panics: metrics.panics,
            networks,
        }
    }

    /// The model and scale of a network of the registry.
    pub(super) fn name(&self, network: NetworkId) -> Option<(&str, u32)> {
        self.networks.get(network.0).map(|meters| (meters.model.as_str(), meters.scale))
    }

    pub(super) fn show(&self, ledger: &Ledger) {
        self.queued_tiles.set(ledger.queued() as i64);
        self.admitted_tiles.set(ledger.tiles() as i64);
        self.admitted_seconds.set(ledger.seconds());
        self.inflight_bytes.set(i64::try_from(ledger.bytes()).unwrap_or(i64::MAX));
    }

    pub(super) fn count(&self, network: NetworkId, fate: Fate, tiles: usize) {
        if let Some(meters) = self.networks.get(network.0) {
            let counter = match fate {
                Fate::Done => &meters.done,
                Fate::Failed => &meters.failed,
                Fate::Canceled => &meters.canceled,
            };
            counter.inc_by(tiles as u64);
        }
    }

    pub(super) fn ran(&self, network: NetworkId, report: &Report) {
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

#[cfg(test)]
impl Metrics {
    /// A set that nobody exports.
    pub(super) fn unregistered() -> Self {
        let gauge = |name| IntGauge::new(name, "help").expect("a valid name");
        let counters = |name, labels: &[&str]| {
            IntCounterVec::new(prometheus::Opts::new(name, "help"), labels).expect("valid names")
        };
        Self {
            queued_tiles: gauge("queued"),
            admitted_tiles: gauge("admitted"),
            admitted_seconds: Gauge::new("seconds", "help").expect("a valid name"),
            inflight_bytes: gauge("bytes"),
            batch_tiles: Histogram::with_opts(prometheus::HistogramOpts::new("batch", "help")).expect("a valid name"),
            panics: IntCounter::new("panics", "help").expect("a valid name"),
            tiles: counters("tiles", &["model", "scale", "outcome"]),
            nonfinite: counters("nonfinite", &["model", "scale"]),
            fp32_retries: counters("retries", &["model", "scale"]),
        }
    }
}
