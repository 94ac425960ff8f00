//! The built-in bicubic engine: baseline and fallback.

use images::resample::bicubic::Kernel;
use images::units::{Scale, TileShape};

use crate::engine::{EngineError, Execution, TileEngine};

/// Bicubic interpolation as an engine: tiles of it, joined, are to the bit what it makes of the whole image.
#[derive(Debug)]
pub struct Bicubic {
    kernel: Kernel,
}

impl Bicubic {
    /// An engine for one scale.
    pub fn new(scale: Scale) -> Self {
        Self { kernel: Kernel::new(scale) }
    }
}

impl TileEngine for Bicubic {
    fn upscale(&mut self, shape: TileShape, tiles: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
        let (size, plane) = (shape.size(), shape.pixels());
        let upscaled = plane * (self.kernel.factor() as usize).pow(2);
        let upscale = |tile: &Vec<f32>| {
            let mut out = vec![0.0; 3 * upscaled];
            for (plane, out) in tile.chunks_exact(plane).zip(out.chunks_exact_mut(upscaled)) {
                let row = |y: u32| &plane[(y * size.width) as usize..][..size.width as usize];
                self.kernel.upscale(size, row, 0..size.height * self.kernel.factor(), out);
            }
            out
        };
        Ok(tiles.iter().map(upscale).collect())
    }

    fn execution(&self) -> Execution {
        Execution { provider: "builtin".into(), precision: "fp32".into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_upscaled_tile_by_tile() {
        let tiles: Vec<Vec<f32>> = (0..3).map(|t| (0..3 * 24).map(|i| (i * 5 + t * 50) as f32).collect()).collect();
        let mut engine = Bicubic::new(Scale::new(3).expect("a scale"));
        let together = engine.upscale(TileShape::new(6, 4), &tiles).expect("bicubic cannot fail");
        assert_eq!(together.len(), 3);
        for (tile, out) in tiles.iter().zip(&together) {
            let alone = engine.upscale(TileShape::new(6, 4), std::slice::from_ref(tile)).expect("bicubic cannot fail");
            assert_eq!(&alone[0], out);
            assert_eq!(out.len(), 3 * 18 * 12);
        }
    }
}
