//! What will be done with a picture, told from its header.

use serde::Serialize;

use crate::codec::{InputFormat, OutputFormat, Probe};
use crate::engine::Execution;
use crate::registry::NetworkId;
use crate::tiling::TileSpec;
use crate::units::{Scale, Size};

/// The answer of `POST /v1/plan`, and what `upscale` goes by.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Model name.
    pub model: String,
    /// Magnification.
    pub scale: Scale,
    /// Whether the x8 self-ensemble runs.
    pub ensemble: bool,
    /// Kind of the upload.
    pub input_format: InputFormat,
    /// Kind of the answer.
    pub output_format: OutputFormat,
    /// Size of the upload, upright.
    pub input: Size,
    /// Size of the answer.
    pub output: Size,
    /// Tile shape and halo.
    pub tile: TileSpec,
    /// Tiles that the network runs, self-ensemble counted.
    pub tiles: usize,
    /// By the measured rate and what waits now.
    pub estimated_seconds: f64,
    /// SHA-256 of the model file; absent for bicubic.
    pub model_sha256: Option<String>,
    /// What runs it.
    pub execution: Execution,
    /// Memory the request is admitted with.
    #[serde(skip)]
    pub bytes: u64,
    /// The network.
    #[serde(skip)]
    pub network: NetworkId,
    /// What the header said.
    #[serde(skip)]
    pub probe: Probe,
}
