//! What is seen from outside: [`metrics`] for Prometheus, [`logs`] and their formats, [`traces`] for OpenTelemetry.

pub mod logs;
pub mod metrics;
pub mod traces;

pub use metrics::Metrics;
