//! The built-in bicubic engine (Keys' kernel, a = -0.5, as MATLAB's `imresize` enlarges): baseline and fallback.

use crate::engine::{EngineError, Execution, TileEngine};
use crate::units::{Scale, TileShape};

/// Low-resolution pixels on each side that one output pixel depends on.
pub const RADIUS: u32 = 2;

/// Bicubic interpolation with mirrored borders.
#[derive(Debug)]
pub struct Bicubic {
    _scale: Scale,
}

impl Bicubic {
    /// An engine for one scale.
    pub fn new(scale: Scale) -> Self {
        Self { _scale: scale }
    }
}

impl TileEngine for Bicubic {
    fn upscale(&mut self, _shape: TileShape, _tiles: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
        unimplemented!("tiling helper")
    }

    fn execution(&self) -> Execution {
        Execution { provider: "builtin".into(), precision: "fp32".into() }
    }
}
