//! `GET /health/live`, `GET /health/ready`, `GET /metrics`: none of them goes near the queue, so none stalls under load.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus::{Encoder, TextEncoder};
use serde::Serialize;
use tracing::error;

use super::App;
use super::error_mapping;
use super::problem::Problem;
use crate::telemetry::logs;

/// The body of both answers.
#[derive(Serialize)]
struct Status {
    status: &'static str,
}

/// The process runs and answers.
pub async fn live() -> Response {
    ok("live")
}

/// Requests may be sent here; otherwise 503 with the reason.
pub async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    if app.phase.is_stopping() {
        Err(error_mapping::draining())
    } else if app.phase.is_ready() {
        Ok(ok("ready"))
    } else {
        Err(error_mapping::not_ready())
    }
}

fn ok(status: &'static str) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(Status { status })).into_response()
}

/// All metrics in the text format of Prometheus.
pub async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let dropped = &app.metrics.log_lines_dropped;
    dropped.inc_by(logs::dropped_lines().saturating_sub(dropped.get()));
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    encoder.encode(&app.metrics.registry.gather(), &mut text).map_err(|cause| {
        error!(%cause, "metrics cannot be written");
        Problem::internal()
    })?;
    Ok(([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response())
}
