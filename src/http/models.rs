//! `GET /v1/models` and `GET /v1/limits`: what can be asked for, and how much of it.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::App;
use crate::engine::Execution;
use crate::registry::{Kind, Network};
use crate::tiling::TileSpec;
use crate::units::Scale;

/// The answer of `GET /v1/models`.
#[derive(Debug, Serialize)]
pub struct Models {
    /// Name of the model that runs where none is asked for.
    pub default: String,
    /// Every model, in the order of the registry.
    pub models: Vec<Model>,
}

/// One model at all its scales.
#[derive(Debug, Serialize)]
pub struct Model {
    /// As in `model=`.
    pub name: String,
    /// One entry for each scale.
    pub scales: Vec<AtScale>,
}

/// One network.
#[derive(Debug, Serialize)]
pub struct AtScale {
    /// As in `scale=`.
    pub scale: Scale,
    /// Trainable parameters; 0 for what was not trained.
    pub parameters: u64,
    /// SHA-256 of the model file; absent for what is built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Tile shapes, largest first.
    pub tiles: Vec<TileSpec>,
    /// What really runs it.
    pub execution: Option<Execution>,
}

/// Lists every model.
pub async fn models(State(app): State<App>) -> Json<Models> {
    let mut models: Vec<Model> = Vec::new();
    for network in app.pipeline.registry.networks() {
        let scale = at_scale(network, app.pipeline.executions.get(network.id.0));
        match models.iter_mut().find(|model| model.name == network.model) {
            Some(model) => model.scales.push(scale),
            None => models.push(Model { name: network.model.clone(), scales: vec![scale] }),
        }
    }
    Json(Models { default: app.settings.engine.model.clone(), models })
}

fn at_scale(network: &Network, execution: Option<&Execution>) -> AtScale {
    let sha256 = match &network.kind {
        Kind::Bicubic => None,
        Kind::Onnx { sha256, .. } => Some(sha256.clone()),
    };
    AtScale {
        scale: network.scale,
        parameters: network.parameters,
        sha256,
        tiles: network.tiles.clone(),
        execution: execution.cloned(),
    }
}

/// The answer of `GET /v1/limits`; the names are those of `limit_name` in a problem.
#[derive(Debug, Serialize)]
pub struct Limits {
    /// Bytes of an upload.
    pub body_bytes: usize,
    /// An upload must be in within this.
    pub body_timeout_seconds: f64,
    /// Pixels of an upload.
    pub input_pixels: u64,
    /// Pixels of an answer.
    pub output_pixels: u64,
    /// Deadline of a request, and the most it may ask for.
    pub deadline_seconds: f64,
    /// Tiles of all requests under way.
    pub queue_tiles: usize,
    /// Memory of all requests under way.
    pub memory_bytes: u64,
}

/// Lists every limit.
pub async fn limits(State(app): State<App>) -> Json<Limits> {
    let settings = &app.settings;
    Json(Limits {
        body_bytes: settings.max_body_bytes,
        body_timeout_seconds: settings.body_timeout.as_secs_f64(),
        input_pixels: app.pipeline.limits.input_pixels,
        output_pixels: app.pipeline.limits.output_pixels,
        deadline_seconds: settings.deadline.as_secs_f64(),
        queue_tiles: settings.engine.scheduler.queue_tiles,
        memory_bytes: settings.engine.scheduler.queue_bytes,
    })
}
