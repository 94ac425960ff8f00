//! HTTP: routes, what goes in and out, and nothing that computes.

pub mod docs;
pub mod health;
pub mod models;
pub mod plan;
pub mod playground;
pub mod problem;
pub mod request;
pub mod router;
pub mod upscale;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::config::Settings;
use crate::pipeline::Pipeline;
use crate::telemetry::Metrics;

/// What every handler can reach.
#[derive(Clone)]
pub struct App {
    /// The way of a request.
    pub pipeline: Arc<Pipeline>,
    /// What the server runs on.
    pub settings: Arc<Settings>,
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// Readiness and drain.
    pub phase: Arc<Phase>,
}

/// Where the server is in its life.
#[derive(Debug, Default)]
pub struct Phase {
    /// Every model is loaded and each tile shape has run once.
    pub ready: AtomicBool,
    /// A signal to end came: not ready any more.
    pub stopping: AtomicBool,
    /// New work is refused with 503.
    pub draining: AtomicBool,
}
