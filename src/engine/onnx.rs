//! One ONNX Runtime session a network and worker.
//!
//! The session takes any batch, height and width. A session for each tile shape, with the sizes fixed in the graph,
//! was measured against it (san-light at x4, 64x64 tiles, batch 1, 4 and 8, 2 threads) and took the same CPU time
//! within the noise of 5 %, at twice the memory. Memory patterns are off for the same reason: with a batch that varies
//! they held 269 MB where 176 MB do, and were no faster.

use std::path::Path;

use ort::session::Session;
use ort::session::builder::{AutoDevicePolicy, SessionBuilder};
use ort::value::{Shape, TensorRef, ValueType};

use crate::engine::runtime::Runtime;
use crate::engine::{EngineError, Execution, TileEngine};
use crate::units::{Scale, TileShape};

/// Name of the input: (batch, 3, height, width).
const INPUT: &str = "lr";

/// Name of the output: (batch, 3, height·scale, width·scale).
const OUTPUT: &str = "sr";

/// Planes of a picture: red, green, blue.
const PLANES: usize = 3;

/// White, as every engine takes and gives it.
const WHITE: f32 = 255.0;

/// A network on ONNX Runtime.
#[derive(Debug)]
pub struct OnnxEngine {
    session: Session,
    scale: Scale,
    /// From levels to what the network wants: 1, or 1/255.
    inward: f32,
    /// From what the network gives to levels: 1, or 255.
    outward: f32,
    /// The batch on its way in, kept so that it is allocated once.
    input: Vec<f32>,
    execution: Execution,
}

impl OnnxEngine {
    /// Reads the network in `path` for `threads` intra-op threads. `range` is the value that stands for white.
    pub fn open(runtime: &Runtime, path: &Path, scale: Scale, range: f32, threads: usize) -> Result<Self, EngineError> {
        let session = options(runtime, threads).and_then(|mut o| o.commit_from_file(path)).map_err(|e| failed(&e))?;
        check_ends(&session)?;
        Ok(Self {
            session,
            scale,
            inward: range / WHITE,
            outward: WHITE / range,
            input: Vec::new(),
            execution: Execution { provider: "cpu".into(), precision: "fp32".into() },
        })
    }

    /// Enlarges one planar RGB picture of any size that the network takes (see its `model.toml`; a multiple of 16
    /// does for all): for measuring what tiles cost. Levels in, levels out, neither rounded nor clamped.
    pub fn upscale_any(&mut self, width: usize, height: usize, planar: &[f32]) -> Result<Vec<f32>, EngineError> {
        self.input.clear();
        self.input.extend(planar.iter().map(|level| level * self.inward));
        let mut pictures = self.run(1, width, height)?;
        Ok(pictures.pop().unwrap_or_default())
    }

    /// Runs what stands in `self.input`.
    fn run(&mut self, batch: usize, width: usize, height: usize) -> Result<Vec<Vec<f32>>, EngineError> {
        let expected = batch * PLANES * width * height;
        if self.input.len() != expected {
            return Err(EngineError::Input { expected, actual: self.input.len() });
        }
        let input =
            TensorRef::from_array_view(([batch, PLANES, height, width], &*self.input)).map_err(|e| failed(&e))?;
        let outputs = self.session.run(ort::inputs![INPUT => input]).map_err(|e| failed(&e))?;
        let (shape, values) = outputs[OUTPUT].try_extract_tensor::<f32>().map_err(|e| failed(&e))?;
        let factor = self.scale.factor() as usize;
        let wanted = [batch, PLANES, height * factor, width * factor];
        if **shape != *Shape::from(wanted) {
            return Err(EngineError::Runtime(format!(
                "the network gave {shape} where its scale says {wanted:?}; correct `factor` in its model.toml, or its file"
            )));
        }
        let each = values.len() / batch;
        values.chunks_exact(each).enumerate().map(|(tile, values)| self::finite(tile, values, self.outward)).collect()
    }
}

impl TileEngine for OnnxEngine {
    fn upscale(&mut self, shape: TileShape, tiles: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
        if tiles.is_empty() {
            return Ok(Vec::new());
        }
        self.input.clear();
        for tile in tiles {
            self.input.extend(tile.iter().map(|level| level * self.inward));
        }
        let side = shape.side() as usize;
        self.run(tiles.len(), side, side)
    }

    fn execution(&self) -> Execution {
        self.execution.clone()
    }
}

/// One tile in levels, if it is all finite.
fn finite(tile: usize, values: &[f32], outward: f32) -> Result<Vec<f32>, EngineError> {
    let levels: Vec<f32> = values.iter().map(|value| value * outward).collect();
    // No early way out: without it the loop runs on vectors.
    if levels.iter().fold(true, |all, level| all & level.is_finite()) {
        Ok(levels)
    } else {
        Err(EngineError::NonFinite { tile })
    }
}

fn options(runtime: &Runtime, threads: usize) -> Result<SessionBuilder, ort::Error> {
    Ok(Session::builder(runtime.environment())?
        // Left to itself, `ort` prefers whatever accelerator the library finds; what runs here is what was asked for.
        .with_auto_device(AutoDevicePolicy::PreferCPU)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        // Threads that spin take the cores from decoding and encoding, and burn a container's quota while idle.
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_memory_pattern(false)?
        .with_env_allocators()?)
}

/// A network from elsewhere is told what its ends must be called, rather than failing at its first tile.
fn check_ends(session: &Session) -> Result<(), EngineError> {
    let input = session.inputs().iter().map(|i| (i.name(), i.dtype())).collect::<Vec<_>>();
    let output = session.outputs().iter().map(|o| (o.name(), o.dtype())).collect::<Vec<_>>();
    for (what, ends, name) in [("input", input, INPUT), ("output", output, OUTPUT)] {
        let fits = |dtype: &ValueType| dtype.tensor_shape().is_some_and(|shape| shape.len() == 4);
        if !matches!(ends[..], [(found, dtype)] if found == name && fits(dtype)) {
            let found: Vec<_> = ends.iter().map(|(name, dtype)| format!("{name}: {dtype}")).collect();
            return Err(EngineError::Runtime(format!(
                "the network's {what} must be one tensor \"{name}\" (batch, {PLANES}, height, width), but it has {}",
                found.join(", ")
            )));
        }
    }
    Ok(())
}

fn failed(error: &ort::Error) -> EngineError {
    EngineError::Runtime(error.message().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::runtime::testing;

    const SIDE: usize = 16;

    fn engine(model: &str, scale: u8, range: f32) -> Option<OnnxEngine> {
        let runtime = testing::runtime()?;
        let path = testing::fixtures().join(model);
        let scale = Scale::new(scale).expect("a scale between 1 and 8");
        Some(OnnxEngine::open(runtime, &path, scale, range, 1).expect("the fixture is a network"))
    }

    /// Levels that differ from pixel to pixel, plane to plane and tile to tile.
    fn tile(seed: usize, side: usize) -> Vec<f32> {
        (0..PLANES * side * side).map(|i| ((i * 7 + seed * 31) % 256) as f32).collect()
    }

    fn repeated(planar: &[f32], width: usize, height: usize, factor: usize) -> Vec<f32> {
        let mut out = Vec::new();
        for plane in planar.chunks_exact(width * height) {
            for y in 0..height * factor {
                out.extend((0..width * factor).map(|x| plane[y / factor * width + x / factor]));
            }
        }
        out
    }

    #[test]
    fn each_tile_comes_back_in_its_place() {
        let Some(mut engine) = engine("models/nearest/x4.onnx", 4, 255.0) else { return };
        let shape = TileShape::square(SIDE as u32);
        for batch in [1, 3, 2] {
            let tiles: Vec<_> = (0..batch).map(|seed| tile(seed, SIDE)).collect();
            let enlarged = engine.upscale(shape, &tiles).expect("the fixture runs");
            assert_eq!(enlarged.len(), batch);
            for (small, large) in tiles.iter().zip(&enlarged) {
                assert!(*large == repeated(small, SIDE, SIDE, 4));
            }
        }
    }

    #[test]
    fn workers_share_memory_but_not_results() {
        let shape = TileShape::square(SIDE as u32);
        let Some(engines) =
            [0, 1, 2].map(|_| engine("models/nearest/x4.onnx", 4, 255.0)).into_iter().collect::<Option<Vec<_>>>()
        else {
            return;
        };
        std::thread::scope(|scope| {
            for (seed, mut engine) in engines.into_iter().enumerate() {
                scope.spawn(move || {
                    let small = tile(seed, SIDE);
                    for _ in 0..50 {
                        let large = engine.upscale(shape, std::slice::from_ref(&small)).expect("the fixture runs");
                        assert!(large[0] == repeated(&small, SIDE, SIDE, 4));
                    }
                });
            }
        });
    }

    #[test]
    fn no_tiles_are_no_work() {
        let Some(mut engine) = engine("models/nearest/x4.onnx", 4, 255.0) else { return };
        assert!(engine.upscale(TileShape::square(16), &[]).expect("nothing to do").is_empty());
    }

    #[test]
    fn a_network_of_range_one_gets_and_gives_levels() {
        let Some(mut engine) = engine("models/nearest-unit/x2.onnx", 2, 1.0) else { return };
        let small = tile(1, SIDE);
        let large = engine.upscale(TileShape::square(SIDE as u32), std::slice::from_ref(&small)).expect("it runs");
        for (level, wanted) in large[0].iter().zip(repeated(&small, SIDE, SIDE, 2)) {
            assert!((level - wanted).abs() < 1e-4, "{level} is not {wanted}");
        }
    }

    #[test]
    fn any_size_runs_whole() {
        let Some(mut engine) = engine("models/nearest/x2.onnx", 2, 255.0) else { return };
        let (width, height) = (48, 16);
        let small: Vec<f32> = (0..PLANES * width * height).map(|i| (i % 251) as f32).collect();
        let large = engine.upscale_any(width, height, &small).expect("the fixture takes any size");
        assert!(large == repeated(&small, width, height, 2));
    }

    #[test]
    fn the_tile_that_is_not_finite_is_named() {
        let Some(mut engine) = engine("broken/dark-is-nan/x2.onnx", 2, 255.0) else { return };
        let bright = vec![200.0; PLANES * SIDE * SIDE];
        let mut spotted = bright.clone();
        spotted[PLANES * SIDE * SIDE - 1] = 3.0;
        let shape = TileShape::square(SIDE as u32);
        assert!(engine.upscale(shape, &[bright.clone(), bright.clone()]).is_ok());
        let error =
            engine.upscale(shape, &[bright.clone(), spotted, bright]).expect_err("the middle tile has a dark pixel");
        assert!(matches!(error, EngineError::NonFinite { tile: 1 }), "{error}");
    }

    #[test]
    fn both_infinities_and_nan_are_not_finite() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(matches!(finite(4, &[0.0, value, 0.0], 1.0), Err(EngineError::NonFinite { tile: 4 })));
        }
        // What overflows on its way to levels is caught, too.
        assert!(finite(0, &[f32::MAX], 255.0).is_err());
        assert_eq!(finite(0, &[-3.0, 1.0], 255.0).expect("finite"), [-765.0, 255.0]);
    }

    #[test]
    fn a_network_of_another_scale_is_told() {
        let Some(mut engine) = engine("broken/wrong-scale/x4.onnx", 4, 255.0) else { return };
        let error = engine.upscale(TileShape::square(16), &[tile(0, 16)]).expect_err("the file is a x2");
        assert!(error.to_string().contains("correct `factor`"), "{error}");
    }

    #[test]
    fn a_tile_of_another_size_is_refused() {
        let Some(mut engine) = engine("models/nearest/x2.onnx", 2, 255.0) else { return };
        let error = engine.upscale(TileShape::square(32), &[tile(0, 16)]).expect_err("the tile is 16 wide");
        assert!(matches!(error, EngineError::Input { expected: 3072, actual: 768 }), "{error}");
    }

    #[test]
    fn foreign_names_are_told_what_they_must_be() {
        let Some(runtime) = testing::runtime() else { return };
        let path = testing::fixtures().join("broken/wrong-names/x2.onnx");
        let scale = Scale::new(2).expect("2 is a scale");
        let error = OnnxEngine::open(runtime, &path, scale, 255.0, 1).expect_err("its input is called otherwise");
        assert!(error.to_string().contains("must be one tensor \"lr\""), "{error}");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        let Some(runtime) = testing::runtime() else { return };
        let path = testing::fixtures().join("make.py");
        let scale = Scale::new(2).expect("2 is a scale");
        assert!(matches!(OnnxEngine::open(runtime, &path, scale, 255.0, 1), Err(EngineError::Runtime(_))));
    }
}
