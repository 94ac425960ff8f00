//! Whole images through a network in one piece, to show what tiles cost.

use images::raster::{Channels, Raster, Samples};
use images::resample::bicubic::Kernel;
use images::units::{Scale, Size};
use inference::engine::bicubic::Bicubic;
use inference::engine::onnx::OnnxEngine;
use inference::engine::{EngineError, Execution, TileEngine, start};
use inference::registry::{Kind, Network};
use tiling::extract::padded;

use crate::config::EngineSettings;
use crate::pipeline::ensemble;

/// A network for images of any size.
pub(super) struct Whole {
    engine: Engine,
    scale: Scale,
    /// Sides of what the network is given are multiples of this, as those of its tiles are.
    step: u32,
}

enum Engine {
    Bicubic(Kernel),
    Onnx(Box<OnnxEngine>),
}

impl Whole {
    pub(super) fn open(network: &Network, settings: &EngineSettings) -> Result<Self, start::StartError> {
        let engine = match network.kind {
            Kind::Bicubic => Engine::Bicubic(Kernel::new(network.scale)),
            Kind::Onnx { .. } => Engine::Onnx(Box::new(start::open(network, settings)?)),
        };
        Ok(Self { engine, scale: network.scale, step: network.tile.step })
    }

    /// What really runs.
    pub(super) fn execution(&self) -> Execution {
        match &self.engine {
            Engine::Bicubic(_) => Bicubic::new(self.scale).execution(),
            Engine::Onnx(engine) => engine.execution(),
        }
    }

    /// An 8-bit RGB image, upscaled.
    pub(super) fn upscale(&mut self, image: &Raster, ensemble: bool) -> Result<Raster, EngineError> {
        let size = image.size();
        let fed = match self.engine {
            Engine::Bicubic(_) => size,
            Engine::Onnx(_) => {
                Size::new(size.width.next_multiple_of(self.step), size.height.next_multiple_of(self.step))
            }
        };
        let planes = padded(image, fed);
        let orientations = if ensemble { ensemble::ORIENTATIONS } else { 1 };
        let parts = (0..orientations)
            .map(|k| self.run(&ensemble::turned(&planes, fed, k), ensemble::turned_size(fed, k)))
            .collect::<Result<Vec<_>, _>>()?;
        let upscaled = ensemble::joined(parts, fed.scaled(self.scale));
        Ok(rounded(&upscaled, fed.scaled(self.scale), size.scaled(self.scale)))
    }

    fn run(&mut self, planes: &[f32], size: Size) -> Result<Vec<f32>, EngineError> {
        let (width, height) = (size.width as usize, size.height as usize);
        match &mut self.engine {
            Engine::Onnx(engine) => engine.upscale_any(width, height, planes),
            Engine::Bicubic(kernel) => {
                let target = size.scaled(self.scale);
                let mut out = vec![0.0; 3 * target.pixels() as usize];
                let planes = planes.chunks_exact(width * height);
                for (plane, out) in planes.zip(out.chunks_exact_mut(target.pixels() as usize)) {
                    kernel.upscale(size, |y| &plane[y as usize * width..][..width], 0..target.height, out);
                }
                Ok(out)
            }
        }
    }
}

/// The top left `size` of planes of `held`, rounded half up.
fn rounded(planes: &[f32], held: Size, size: Size) -> Raster {
    let plane = held.pixels() as usize;
    let mut samples = Vec::with_capacity(3 * size.pixels() as usize);
    for y in 0..size.height as usize {
        for x in 0..size.width as usize {
            let at = y * held.width as usize + x;
            samples.extend([0, 1, 2].map(|channel| (planes[channel * plane + at] + 0.5).clamp(0.0, 255.0) as u8));
        }
    }
    Raster::new(size, Channels::Rgb, Samples::U8(samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_cut_off_again_and_levels_are_rounded() {
        // 2 x 1 out of 3 x 2.
        let planes: Vec<f32> = (0..18).map(|i| i as f32 * 20.0 - 0.5).collect();
        let out = rounded(&planes, Size::new(3, 2), Size::new(2, 1));
        assert_eq!(out.samples(), &Samples::U8(vec![0, 120, 240, 20, 140, 255]));
    }

    #[test]
    fn the_ensemble_of_an_image_that_is_not_square_is_bicubic_again() {
        let samples: Vec<u8> = (0..3 * 35).map(|i| (i * 53 % 256) as u8).collect();
        let image = Raster::new(Size::new(7, 5), Channels::Rgb, Samples::U8(samples));
        let scale = Scale::new(2).expect("a scale");
        let mut whole = Whole { engine: Engine::Bicubic(Kernel::new(scale)), scale, step: 1 };
        let (one, eight) = (whole.upscale(&image, false), whole.upscale(&image, true));
        let (one, eight) = (one.expect("bicubic cannot fail"), eight.expect("bicubic cannot fail"));
        assert_eq!(one.size(), Size::new(14, 10));
        for y in 0..10 {
            for x in 0..14 {
                assert!((one.level(x, y, 1) - eight.level(x, y, 1)).abs() <= 1.0, "{x}, {y}");
            }
        }
    }
}
