//! Every metric of the service, declared in one struct that is passed in and never global.
//!
//! Names have the unit; every label has a bounded set of values (routes from the router's list, status codes, the
//! problem codes, the models of the registry). docs/metrics.md is the list for operators; a test holds it to this file.

use prometheus::core::{Collector, Desc};
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Seconds, of whole requests. From what a probe takes to the default deadline, about twofold a step: the question
/// asked of it is "has p99 doubled", and sixteen series a route are cheap. One bound is 300 s, the default
/// deadline, so that what ran into it is seen.
const REQUEST_BUCKETS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0];

/// Seconds, of one stage. As for requests, but a thumbnail decodes in well under a millisecond and a free worker takes
/// a tile at once: so it begins lower.
const STAGE_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 100.0, 300.0];

/// Tiles in a batch. Exact where a CPU works (up to 4), then the sizes at which GPUs are configured; 64 is the most
/// that `--max-batch` takes.
const BATCH_BUCKETS: &[f64] = &[1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0];

/// Stages of a request, as in `Server-Timing` and `upscaler_stage_duration_seconds{stage}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Bytes to pixels.
    Decode,
    /// Mean wait of a tile for a worker.
    Queue,
    /// From the first tile submitted to the last one back, less the queueing.
    Infer,
    /// Rows to bytes.
    Encode,
}

impl Stage {
    /// Label value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Queue => "queue",
            Self::Infer => "infer",
            Self::Encode => "encode",
        }
    }
}

/// The metrics and the Prometheus registry that gathers them.
#[derive(Debug)]
pub struct Metrics {
    /// Gathers everything below.
    pub registry: Registry,
    /// `upscaler_requests_total{route,status}`; status 499 is a client that left.
    pub requests: IntCounterVec,
    /// `upscaler_request_duration_seconds{route,model}`; model is empty where none was understood.
    pub request_duration: HistogramVec,
    /// `upscaler_stage_duration_seconds{stage,model}`.
    pub stage_duration: HistogramVec,
    /// `upscaler_batch_tiles`.
    pub batch_tiles: Histogram,
    /// `upscaler_tiles_total{model,scale,outcome}`: outcome is done, failed, canceled.
    pub tiles: IntCounterVec,
    /// `upscaler_queued_tiles`: waiting for a worker now.
    pub queued_tiles: IntGauge,
    /// `upscaler_admitted_tiles`: admitted and not finished.
    pub admitted_tiles: IntGauge,
    /// `upscaler_admitted_seconds`: until the workers would have done them, by measured rates.
    pub admitted_seconds: Gauge,
    /// `upscaler_inflight_requests`.
    pub inflight_requests: IntGauge,
    /// `upscaler_inflight_bytes`: memory that admitted requests may hold.
    pub inflight_bytes: IntGauge,
    /// `upscaler_decoding_requests`: decodes that run now, whether their request goes on or has ended.
    pub decoding_requests: IntGauge,
    /// `upscaler_refusals_total{reason}`: the problem's `code`.
    pub refusals: IntCounterVec,
    /// `upscaler_pixels_total{direction,model}`: direction is input or output.
    pub pixels: IntCounterVec,
    /// `upscaler_body_bytes_total{direction}`: bytes of images received (input) and sent (output).
    pub body_bytes: IntCounterVec,
    /// `upscaler_nonfinite_tiles_total{model,scale}`.
    pub nonfinite: IntCounterVec,
    /// `upscaler_fp32_retries_total{model,scale}`.
    pub fp32_retries: IntCounterVec,
    /// `upscaler_unread_answers_total`.
    pub unread_answers: IntCounter,
    /// `upscaler_panics_total{component}`: caught, and the process lives on; component is http, pipeline or engine.
    pub panics: IntCounterVec,
    /// `upscaler_log_lines_dropped_total`; set as it is gathered.
    pub log_lines_dropped: IntCounter,
    /// `upscaler_model_info{model,scale,provider,precision,sha256}` = 1.
    pub model_info: IntGaugeVec,
    /// `upscaler_build_info{version}` = 1.
    pub build_info: IntGaugeVec,
    /// `upscaler_ready`: 1 when ready.
    pub ready: IntGauge,
}

impl Metrics {
    /// A new set, registered with a registry of its own, process metrics included on Linux.
    ///
    /// # Panics
    /// Never: names and labels are constants, and a test registers them.
    pub fn new() -> Self {
        Self::declare().0
    }

    /// What the scheduler counts.
    pub fn scheduler(&self) -> scheduler::Metrics {
        scheduler::Metrics {
            queued_tiles: self.queued_tiles.clone(),
            admitted_tiles: self.admitted_tiles.clone(),
            admitted_seconds: self.admitted_seconds.clone(),
            inflight_bytes: self.inflight_bytes.clone(),
            batch_tiles: self.batch_tiles.clone(),
            panics: self.panics.with_label_values(&["engine"]),
            tiles: self.tiles.clone(),
            nonfinite: self.nonfinite.clone(),
            fp32_retries: self.fp32_retries.clone(),
        }
    }

    /// The set, and the description of each metric in it: one that has no series yet is not gathered.
    fn declare() -> (Self, Vec<Desc>) {
        let mut new = Declarations::default();
        let metrics = Self {
            requests: new.counter(
                "upscaler_requests_total",
                "HTTP requests answered, by route and status; 499 is a client that left.",
                &["route", "status"],
            ),
            request_duration: new.histogram_vec(
                "upscaler_request_duration_seconds",
                "Time from a request's header to the last byte of its answer.",
                // A server has a handful of models, and only two routes have any: some hundred series.
                &["route", "model"],
                REQUEST_BUCKETS,
            ),
            stage_duration: new.histogram_vec(
                "upscaler_stage_duration_seconds",
                "Time of one upscale request in one stage: decode, queue (mean wait of a tile), infer, encode.",
                &["stage", "model"],
                STAGE_BUCKETS,
            ),
            batch_tiles: new.histogram("upscaler_batch_tiles", "Tiles that ran together in a batch.", BATCH_BUCKETS),
            tiles: new.counter(
                "upscaler_tiles_total",
                "Tiles that left the queue, by outcome: done, failed, canceled.",
                &["model", "scale", "outcome"],
            ),
            queued_tiles: new.gauge("upscaler_queued_tiles", "Tiles that wait for a worker."),
            admitted_tiles: new.gauge(
                "upscaler_admitted_tiles",
                "Tiles of admitted requests that are not finished; bounded by --queue-tiles.",
            ),
            admitted_seconds: new.add(Gauge::new(
                "upscaler_admitted_seconds",
                "Seconds until the workers would have done the admitted tiles, by the measured rates.",
            )),
            inflight_requests: new.gauge("upscaler_inflight_requests", "Requests under /v1/ that are not finished."),
            inflight_bytes: new.gauge(
                "upscaler_inflight_bytes",
                "Memory that the admitted requests may hold at most; bounded by --memory.",
            ),
            decoding_requests: new.gauge(
                "upscaler_decoding_requests",
                "Requests whose image is being decoded, those that have ended meanwhile included.",
            ),
            refusals: new.counter(
                "upscaler_refusals_total",
                "Requests refused, by the code of the problem document.",
                &["reason"],
            ),
            pixels: new.counter(
                "upscaler_pixels_total",
                "Pixels of images answered in full, by direction: input, output.",
                &["direction", "model"],
            ),
            body_bytes: new.counter(
                "upscaler_body_bytes_total",
                "Bytes of image files, by direction: input (received), output (sent).",
                &["direction"],
            ),
            nonfinite: new.counter(
                "upscaler_nonfinite_tiles_total",
                "Tiles for which a network gave NaN, infinity or another image, in fp32 on the CPU too; their requests fail.",
                &["model", "scale"],
            ),
            fp32_retries: new.counter(
                "upscaler_fp32_retries_total",
                "Tiles that came out non-finite or as another image and ran again in fp32 on the CPU.",
                &["model", "scale"],
            ),
            unread_answers: new.add(IntCounter::new(
                "upscaler_unread_answers_total",
                "Answers that were cut off because their client did not take them in time.",
            )),
            panics: new.counter(
                "upscaler_panics_total",
                "Panics caught, by component: http, pipeline, engine; any is a defect to report.",
                &["component"],
            ),
            log_lines_dropped: new.add(IntCounter::new(
                "upscaler_log_lines_dropped_total",
                "Lines of log that could not be written, or not in time.",
            )),
            model_info: new.info(
                "upscaler_model_info",
                "Always 1; one series a network that is served, and what really runs it.",
                &["model", "scale", "provider", "precision", "sha256"],
            ),
            build_info: new.info("upscaler_build_info", "Always 1; the version that runs.", &["version"]),
            ready: new.gauge("upscaler_ready", "1 while GET /health/ready answers 200, else 0."),
            registry: new.registry.clone(),
        };
        #[cfg(target_os = "linux")]
        new.declare(Box::new(prometheus::process_collector::ProcessCollector::for_self()));
        metrics.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        // From the start at 0, or the first of them would be no increase.
        for component in ["http", "pipeline", "engine"] {
            let _ = metrics.panics.with_label_values(&[component]);
        }
        (metrics, new.described)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Builds metrics and registers each as it is built, so that none can be declared and not exported.
#[derive(Default)]
struct Declarations {
    registry: Registry,
    described: Vec<Desc>,
}

/// Why building or registering a metric cannot fail.
const CONSTANT: &str = "names, labels and buckets are constants that a test registers";

impl Declarations {
    fn declare(&mut self, collector: Box<dyn Collector>) {
        self.described.extend(collector.desc().into_iter().cloned());
        self.registry.register(collector).expect(CONSTANT);
    }

    fn add<T: Collector + Clone + 'static>(&mut self, metric: prometheus::Result<T>) -> T {
        let metric = metric.expect(CONSTANT);
        self.declare(Box::new(metric.clone()));
        metric
    }

    fn counter(&mut self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&mut self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(name, help))
    }

    fn info(&mut self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&mut self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }

    fn histogram_vec(&mut self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prometheus::TextEncoder;

    use super::*;

    #[test]
    fn every_metric_has_help_and_a_unit_in_its_name() {
        let (_, described) = Metrics::declare();
        let ours: Vec<_> = described.iter().filter(|desc| desc.fq_name.starts_with("upscaler_")).collect();
        assert!(ours.len() >= 17, "some metrics are not described: {ours:?}");
        for desc in ours {
            assert!(desc.help.ends_with('.') && desc.help.len() > 20, "{}: help is '{}'", desc.fq_name, desc.help);
            let unit = desc.fq_name.rsplit('_').next().expect("a name has a last word");
            assert!(
                ["total", "seconds", "bytes", "tiles", "requests", "info", "ready"].contains(&unit),
                "{} does not end in a unit",
                desc.fq_name
            );
        }
    }

    #[test]
    fn a_new_set_is_gathered() {
        let metrics = Metrics::new();
        metrics.requests.with_label_values(&["/v1/upscale", "200"]).inc();
        metrics.stage_duration.with_label_values(&[Stage::Decode.name(), "san"]).observe(0.002);
        let text = TextEncoder::new().encode_to_string(&metrics.registry.gather()).expect("valid names");
        assert!(text.contains(r#"upscaler_requests_total{route="/v1/upscale",status="200"} 1"#), "{text}");
        assert!(
            text.contains(r#"upscaler_stage_duration_seconds_bucket{model="san",stage="decode",le="0.0025"} 1"#),
            "{text}"
        );
        assert!(text.contains(r#"upscaler_panics_total{component="pipeline"} 0"#), "{text}");
        assert!(text.contains(concat!(r#"upscaler_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#)));
        #[cfg(target_os = "linux")]
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
    }

    #[test]
    fn two_sets_do_not_share_counts() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.queued_tiles.inc();
        assert_eq!((one.queued_tiles.get(), other.queued_tiles.get()), (1, 0));
    }

    #[test]
    fn buckets_rise_evenly() {
        for buckets in [REQUEST_BUCKETS, STAGE_BUCKETS, BATCH_BUCKETS] {
            for pair in buckets.windows(2) {
                let step = pair[1] / pair[0];
                assert!(step > 1.0 && step < 3.5, "{pair:?}");
            }
        }
    }

    /// docs/metrics.md lists exactly what is exported: each row is `| name | type | labels | meaning |`.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_document_lists_exactly_what_is_exported() {
        let documented: BTreeMap<String, String> = include_str!("../../docs/metrics.md")
            .lines()
            .filter_map(|line| {
                let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', ""));
                let name = cells.next().filter(|name| name.starts_with("upscaler_") || name.starts_with("process_"))?;
                Some((name, cells.nth(1)?))
            })
            .collect();
        let (_, described) = Metrics::declare();
        let exported: BTreeMap<String, String> =
            described.into_iter().map(|desc| (desc.fq_name, desc.variable_labels.join(", "))).collect();
        assert_eq!(documented, exported);
    }
}
