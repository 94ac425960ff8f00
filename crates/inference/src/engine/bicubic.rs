//! The built-in bicubic engine: baseline and fallback.

use images::resample::bicubic::Kernel;
use images::units::{Scale, Size, TileShape};

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

    /// One tile: planar RGB of `size` in any unit, to 3 planes `scale` times as wide and high in the same.
    pub(super) fn tile(&self, size: Size, tile: &[f32]) -> Vec<f32> {
        let factor = self.kernel.factor();
        let (width, plane) = (size.width as usize, tile.len() / 3);
        let mut out = vec![0.0; tile.len() * (factor as usize).pow(2)];
        let upscaled = plane * (factor as usize).pow(2);
        for (plane, out) in tile.chunks_exact(plane).zip(out.chunks_exact_mut(upscaled)) {
            let row = |y: u32| &plane[y as usize * width..][..width];
            self.kernel.upscale(size, row, 0..size.height * factor, out);
        }
        out
    }
}

impl TileEngine for Bicubic {
    fn upscale(&mut self, shape: TileShape, tiles: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
        let size = Size::new(shape.side(), shape.side());
        Ok(tiles.iter().map(|tile| self.tile(size, tile)).collect())
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
        let tiles: Vec<Vec<f32>> = (0..3).map(|t| (0..3 * 16).map(|i| (i * 5 + t * 50) as f32).collect()).collect();
        let mut engine = Bicubic::new(Scale::new(3).expect("a scale"));
        let together = engine.upscale(TileShape::square(4), &tiles).expect("bicubic cannot fail");
        assert_eq!(together.len(), 3);
        for (tile, out) in tiles.iter().zip(&together) {
            let alone = engine.upscale(TileShape::square(4), std::slice::from_ref(tile)).expect("bicubic cannot fail");
            assert_eq!(&alone[0], out);
            assert_eq!(out.len(), 3 * 12 * 12);
        }
    }
}
