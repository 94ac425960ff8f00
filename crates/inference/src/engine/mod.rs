//! What upscales one batch of tiles: the trait [`TileEngine`], ONNX Runtime behind it, and the built-in bicubic.

mod area_check;
pub mod backend;
pub mod batch_sizer;
pub mod bench;
pub mod bicubic;
pub mod fallback;
pub mod onnx;
mod pinned;
mod precision_check;
pub mod runtime;
pub mod start;

use std::collections::HashMap;
use std::fmt;

use images::units::TileShape;

use crate::registry::NetworkId;

/// Where and in what arithmetic an engine runs; it reports what really runs, not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Execution {
    /// Execution provider: `cpu`, `cuda`, `openvino`, or `builtin` for bicubic.
    pub provider: String,
    /// Arithmetic: `fp32`, `bf16`, `fp16`.
    pub precision: String,
}

impl fmt::Display for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.provider, self.precision)
    }
}

/// One network at one scale, owned by one worker thread.
pub trait TileEngine: Send {
    /// Upscales a batch of equally shaped tiles.
    ///
    /// Each tile is planar RGB, 3 × height × width levels in 0.0..=255.0; each result the same times scale², in the same
    /// order, neither rounded nor clamped. Every value of a result is finite, or the call is an error. On a CPU the bits
    /// of a result do not depend on the other tiles of the batch.
    fn upscale(&mut self, shape: TileShape, tiles: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError>;

    /// What really runs.
    fn execution(&self) -> Execution;

    /// Tiles since this was last asked that came out non-finite or as another image and ran again in fp32 on the CPU.
    fn take_fp32_retries(&mut self) -> u64 {
        0
    }
}

/// The engines of one worker, by network.
pub type EngineSet = HashMap<NetworkId, Box<dyn TileEngine>>;

/// Why a batch has no result. The text is for operators: clients read only that inference failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The runtime failed in a run.
    #[error("inference failed: {0}")]
    Runtime(String),
    /// There is no session: the file, the network, or the provider that was to run it.
    #[error("{0}")]
    Unopened(String),
    /// The caller gave another number of values than the batch holds.
    #[error("a batch that holds {expected} values was given {actual}")]
    Input {
        /// By shape and number of tiles.
        expected: usize,
        /// What came.
        actual: usize,
    },
    /// The network gave NaN or infinity.
    #[error("the network gave a non-finite value in tile {tile} of its batch")]
    NonFinite {
        /// Index in the batch.
        tile: usize,
    },
    /// The network gave another image.
    #[error(
        "in tile {tile} of its batch the network changed the mean of an area by {levels:.0} levels, where upscaling keeps \
         it within {limit:.0}: the provider, its driver or the network's file is broken"
    )]
    Strays {
        /// Index in the batch.
        tile: usize,
        /// The largest change.
        levels: f32,
        /// What is allowed.
        limit: f32,
    },
    /// The network gave another number of values than its scale gives.
    #[error("the network gave {actual} values for a batch that needs {expected}")]
    Shape {
        /// By scale and shape.
        expected: usize,
        /// What came.
        actual: usize,
    },
}
