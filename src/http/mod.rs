//! HTTP: routes, what goes in and out, and nothing that computes.
//!
//! [`router`] says which paths there are and what every request passes through; [`query`], [`request`] and [`upload`] turn a
//! request into options and bytes; [`upscale`] and [`plan`] hand them to the pipeline; [`problem`] is the one place
//! where an error becomes a status.

pub mod accept;
pub mod auth;
pub mod connections;
pub mod docs;
pub mod error_mapping;
pub mod fidelity;
pub mod health;
pub mod host;
mod log_limit;
pub mod models;
pub mod observe;
pub mod pages;
pub mod peer;
pub mod plan;
pub mod problem;
pub mod query;
pub mod request;
pub mod router;
pub mod service_switch;
pub mod streams;
pub mod upload;
pub mod upscale;
pub mod write_timeout;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::Settings;
use crate::pipeline::Pipeline;
use crate::telemetry::Metrics;
use crate::telemetry::traces::Traces;

/// What every handler can reach.
#[derive(Clone)]
pub struct App {
    /// The way of a request.
    pub pipeline: Arc<Pipeline>,
    /// What the server runs on.
    pub settings: Arc<Settings>,
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// Traces, if there is somebody who takes them.
    pub traces: Traces,
    /// Readiness and drain.
    pub phase: Arc<Phase>,
}

/// Where the server is in its life.
#[derive(Debug, Default)]
pub struct Phase {
    /// Every model is loaded and has run on a few of its tile shapes.
    pub ready: AtomicBool,
    /// A signal to end came: not ready any more.
    pub stopping: AtomicBool,
    /// New work is refused with 503.
    pub draining: AtomicBool,
}

impl Phase {
    /// Whether a load balancer should send requests here: warm, and no signal to end yet.
    pub fn is_ready(&self) -> bool {
        self.is_warm() && !self.is_stopping()
    }

    /// Whether every model is loaded and has run.
    pub fn is_warm(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Whether a signal to end came.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire) || self.is_draining()
    }

    /// Whether new work is refused.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests;
