//! What is seen from outside: [`metrics`] for Prometheus, [`logs`] and their formats.

pub mod logs;
pub mod metrics;

pub use metrics::Metrics;
