//! `GET /v1/models` and `GET /v1/limits`: what can be asked for, and how much of it.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use images::encode::{JPEG_SIDE, PNG_SIDE, TIFF_SIDE, WEBP_SIDE};
use images::limits::{INPUT_SIDE, WORK_PIXELS};
use inference::engine::Execution;
use inference::registry::{ModelChoice, ModelInfo, Network, Registry, ScaleInfo};
use serde::Serialize;

use super::App;
use super::upload::Budget;

/// The answer of `GET /v1/models`.
#[derive(Debug, Serialize)]
pub struct Models {
    /// What runs where no model is asked for: a name, or `auto`.
    pub default: String,
    /// Every model, by name, the built-in bicubic last.
    pub models: Vec<Model>,
}

/// One model at all its scales.
#[derive(Debug, Serialize)]
pub struct Model {
    /// The texts of its manifest.
    #[serde(flatten)]
    pub info: ModelInfo,
    /// One entry for each scale.
    pub scales: Vec<AtScale>,
}

/// One network.
#[derive(Debug, Serialize)]
pub struct AtScale {
    /// The texts of its manifest.
    #[serde(flatten)]
    pub info: ScaleInfo,
    /// What really runs it.
    pub execution: Option<Execution>,
}

/// Lists every model.
pub async fn models(State(app): State<App>) -> Json<Models> {
    let executions = &app.pipeline.executions;
    let run_by = |network: &Network| executions.get(network.id.0).cloned();
    Json(Models::of(&app.settings.engine.model, &app.pipeline.registry, run_by))
}

impl Models {
    /// The models of a registry; `run_by` gives what runs a network, if anything does.
    pub fn of(default: &ModelChoice, registry: &Registry, run_by: impl Fn(&Network) -> Option<Execution>) -> Self {
        let model = |info: &ModelInfo| {
            let scales = info.scales.iter().map(|scale| {
                let execution = registry.find(&info.name, scale.scale).ok().and_then(&run_by);
                AtScale { info: scale.clone(), execution }
            });
            Model { scales: scales.collect(), info: info.clone() }
        };
        Self { default: default.to_string(), models: registry.models().iter().map(model).collect() }
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
    /// Pixels along the longest side of an upload.
    pub input_side: u32,
    /// Pixels that a decoder may pass over to make one image, or 32 times those of the image where that is more.
    pub decode_pixels: u64,
    /// Pixels of an answer.
    pub output_pixels: u64,
    /// Pixels along the longest side of an answer, by its format.
    pub output_side: OutputSides,
    /// Deadline of a request, and the most it may ask for.
    pub deadline_seconds: f64,
    /// Tiles of all requests under way.
    pub queue_tiles: usize,
    /// Memory of all requests under way.
    pub memory_bytes: u64,
    /// Bytes of all uploads being read.
    pub upload_bytes: u64,
}

/// The longest side that each format can hold.
#[derive(Debug, Serialize)]
pub struct OutputSides {
    /// Of a PNG.
    pub png: u32,
    /// Of a JPEG.
    pub jpeg: u32,
    /// Of a WebP.
    pub webp: u32,
    /// Of a TIFF.
    pub tiff: u32,
}

/// Lists every limit.
pub async fn limits(State(app): State<App>, Extension(budget): Extension<Arc<Budget>>) -> Json<Limits> {
    let settings = &app.settings;
    Json(Limits {
        body_bytes: settings.http.max_body,
        body_timeout_seconds: settings.http.body_timeout.as_secs_f64(),
        input_pixels: app.pipeline.limits.input_pixels,
        input_side: INPUT_SIDE,
        decode_pixels: WORK_PIXELS,
        output_pixels: app.pipeline.limits.output_pixels,
        output_side: OutputSides { png: PNG_SIDE, jpeg: JPEG_SIDE, webp: WEBP_SIDE, tiff: TIFF_SIDE },
        deadline_seconds: settings.http.deadline.as_secs_f64(),
        queue_tiles: settings.engine.scheduler.queue_tiles,
        memory_bytes: settings.engine.scheduler.queue_bytes,
        upload_bytes: budget.limit(),
    })
}
