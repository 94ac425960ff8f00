//! One ONNX Runtime session a network and worker, and beside it, where that computes at reduced precision, one in fp32.
//!
//! The session takes any batch, height and width. A session for each tile shape, with the sizes fixed in the graph,
//! was measured against it (san-light at x4, 64x64 tiles, batch 1, 4 and 8, 2 threads) and took the same CPU time
//! within the noise of 5 %, at twice the memory. Memory patterns are off for the same reason: with a batch that varies
//! they held 269 MB where 176 MB do, and were no faster. OpenVINO, too, compiles such a session once, in 0.4 s; what it
//! makes for a shape that is new, in 4 ms, it keeps, 0.9 MB (benches/README.md). Nothing is cached on disk.
//!
//! On the CPU provider each tile of a batch is a run of its own, so that its bits do not depend on its neighbors. It
//! costs nothing: four tiles of 48x48 took 0.100 s of CPU time one by one and 0.112 s as a batch, two of 72x72 0.110 s
//! and 0.128 s (san-light at x4, 2 threads, ONNX Runtime 1.32, medians of 12 turns each).
//!
//! The fp32 session is on the CPU and made at start, although it may never run on a tile of a request: made late, it could
//! fail late, with the file gone or changed under the server. It costs 0.1 s and the weights' memory. It also distinguishes a
//! broken network from a provider that cannot run it, and what precision that computes in ([`precision_check`]).

mod sessions;

use std::path::Path;

use images::units::{Scale, Size, TileShape};
use ort::memory::AllocationDevice;
use ort::session::Session;
use ort::value::{Shape, TensorRef};

pub use self::sessions::Resources;
use self::sessions::{INPUT, PLANES, cannot, check_ends, failed, output, session};
use crate::engine::area_check;
use crate::engine::backend::{Backend, Device};
use crate::engine::bicubic::Bicubic;
use crate::engine::pinned::Pinned;
use crate::engine::precision_check;
use crate::engine::runtime::Runtime;
use crate::engine::{EngineError, Execution, TileEngine};
use crate::registry::Skip;

/// White, as every engine takes and gives it.
const WHITE: f32 = 255.0;

/// Why a card does not run a network at fp16.
const NO_FP16: &str =
    "its model.toml names no fp16 file (`python -m sr.export --fp16` writes one); take --precision fp32";

/// A network's file and its manifest's values.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The ONNX file.
    pub path: &'a Path,
    /// The same with its convolutions in fp16.
    pub fp16: Option<&'a Path>,
    /// What the network's output is added to.
    pub skip: Option<Skip>,
    /// Magnification.
    pub scale: Scale,
    /// The value of white.
    pub range: f32,
    /// A shape that it is run on; the smallest, since it is tried once for every provider.
    pub tile: TileShape,
}

/// A network on ONNX Runtime.
#[derive(Debug)]
pub struct OnnxEngine {
    session: Session,
    /// What makes the image that the network's output is added to; always in fp32.
    skip: Option<Bicubic>,
    /// Name of the network's output.
    output: &'static str,
    /// Of a card: batches go by page-locked memory.
    pinned: Option<Pinned>,
    /// A run for each tile: the CPU provider takes other kernels for one tile than for several, and their sums differ
    /// in the last bits. So the pixels of a request would depend on what shares its batch.
    one_by_one: bool,
    /// In fp32 on the CPU, if `session` is on another provider: what that makes no image of runs here again.
    exact: Option<Session>,
    /// Tiles that ran on `exact` and were not reported yet.
    fp32_retries: u64,
    scale: Scale,
    /// From levels to what the network wants: 1, or 1/255.
    inward: f32,
    /// From what the network gives to levels: 1, or 255.
    outward: f32,
    /// The batch on its way in, kept so that it is allocated once.
    input: Vec<f32>,
    execution: Execution,
}

/// The result of one tile; `None` if it is not all finite.
type Upscaled = Option<Vec<f32>>;

/// A network that ONNX Runtime has read and runs in fp32 on the CPU, before any other provider is asked: what is wrong
/// with the network itself is no provider's fault.
#[derive(Debug)]
pub struct Opening<'a> {
    runtime: &'a Runtime,
    from: Source<'a>,
    resources: Resources,
    cpu: Session,
}

/// Sessions on another provider than the CPU's.
#[derive(Debug)]
pub struct OpenedSession {
    session: Session,
    backend: Backend,
}

impl OpenedSession {
    /// What was seen to run.
    pub fn backend(&self) -> Backend {
        self.backend
    }
}

impl<'a> Opening<'a> {
    /// Reads the network.
    pub fn read(runtime: &'a Runtime, from: Source<'a>, resources: Resources) -> Result<Self, EngineError> {
        let cpu = session(runtime, from.path, Backend::CpuFp32, resources)?;
        check_ends(&cpu, from.skip)?;
        Ok(Self { runtime, from, resources, cpu })
    }

    /// Sessions on `backend`, tried on one tile; none where that is the CPU's own. An error if any costly part would run
    /// elsewhere, or if they give another image than the CPU's.
    pub fn on(&mut self, backend: Backend) -> Result<Option<OpenedSession>, EngineError> {
        if backend == Backend::CpuFp32 {
            return Ok(None);
        }
        let file = match (backend, self.from.fp16) {
            (Backend::CudaFp16, Some(fp16)) => fp16,
            (Backend::CudaFp16, None) => return Err(EngineError::Unopened(NO_FP16.into())),
            _ => self.from.path,
        };
        let mut session = session(self.runtime, file, backend, self.resources)?;
        let (factor, outward) = (self.from.scale.factor() as usize, WHITE / self.from.range);
        let (width, height) = (self.from.tile.width as usize, self.from.tile.height as usize);
        let inward = self.from.range / WHITE;
        let input: Vec<f32> = precision_check::tile(self.from.tile).into_iter().map(|level| level * inward).collect();
        let output = output(self.from.skip);
        let run = |session: &mut Session| {
            let tiles = forward(session, output, &input, [1, PLANES, height, width], factor, outward)?;
            Ok::<Upscaled, EngineError>(tiles.into_iter().next().flatten())
        };
        // What fp32 itself cannot run or gives no numbers for shows nothing here; the warm-up, which is next, does.
        let Some(exact) = run(&mut self.cpu).ok().flatten() else {
            return Ok(Some(OpenedSession { session, backend }));
        };
        let found = run(&mut session).map_err(|error| cannot(backend, &error.to_string()))?;
        // Nor do values that are not finite here alone.
        let detected = found.map_or(Ok(backend), |found| precision_check::detect_precision(backend, &exact, &found));
        let backend = detected.map_err(|reason| cannot(backend, &reason))?;
        Ok(Some(OpenedSession { session, backend }))
    }

    /// The engine, on what [`Opening::on`] gave.
    pub fn engine(self, on: Option<OpenedSession>) -> OnnxEngine {
        let (session, backend, exact) = match on {
            None => (self.cpu, Backend::CpuFp32, None),
            Some(OpenedSession { session, backend }) => (session, backend, Some(self.cpu)),
        };
        OnnxEngine {
            session,
            skip: self.from.skip.map(|Skip::Bicubic| Bicubic::new(self.from.scale)),
            output: output(self.from.skip),
            one_by_one: backend.device() == Device::Cpu,
            pinned: (backend.device() == Device::Cuda).then(|| Pinned::new(AllocationDevice::CUDA_PINNED)),
            exact,
            fp32_retries: 0,
            scale: self.from.scale,
            inward: self.from.range / WHITE,
            outward: WHITE / self.from.range,
            input: Vec::new(),
            execution: Execution {
                provider: backend.device().name().to_owned(),
                precision: backend.precision_name().to_owned(),
            },
        }
    }
}

impl OnnxEngine {
    /// Upscales one planar RGB image of any size that the network takes (what divides its tiles does): for measuring what tiles cost. Levels in, levels out, neither rounded nor clamped.
    pub fn upscale_any(&mut self, width: usize, height: usize, planar: &[f32]) -> Result<Vec<f32>, EngineError> {
        self.input.clear();
        self.input.extend(planar.iter().map(|level| level * self.inward));
        // Sizes come and go here: buffers kept for each would fill the page-locked memory.
        let pinned = self.pinned.take();
        let images = self.run([1, PLANES, height, width]);
        self.pinned = pinned;
        Ok(images?.pop().unwrap_or_default())
    }

    /// Runs `self.input`; what comes out non-finite or as another image elsewhere than in fp32 on the
    /// CPU once more there.
    fn run(&mut self, shape: [usize; 4]) -> Result<Vec<Vec<f32>>, EngineError> {
        let expected = shape.iter().product();
        if self.input.len() != expected {
            return Err(EngineError::Input { expected, actual: self.input.len() });
        }
        let (factor, outward) = (self.scale.factor() as usize, self.outward);
        let upscaled = match &mut self.pinned {
            Some(pinned) => pinned
                .run(&mut self.session, (INPUT, self.output), shape, factor, &self.input, |values| {
                    tiles(values, shape[0], outward)
                })
                .map_err(|error| failed(&error))?,
            None if self.one_by_one => {
                let [batch, rest @ ..] = shape;
                let shape = [1, rest[0], rest[1], rest[2]];
                let mut upscaled = Vec::with_capacity(batch);
                for input in self.input.chunks_exact((expected / batch).max(1)) {
                    upscaled.extend(forward(&mut self.session, self.output, input, shape, factor, outward)?);
                }
                upscaled
            }
            None => forward(&mut self.session, self.output, &self.input, shape, factor, outward)?,
        };
        let each = expected / shape[0];
        let size = (shape[3], shape[2]);
        let mut levels = Vec::with_capacity(upscaled.len());
        for (tile, upscaled) in upscaled.into_iter().enumerate() {
            let input = &self.input[tile * each..][..each];
            let finish = |upscaled| finished(self.skip.as_ref(), upscaled, input, size, factor, outward);
            let upscaled = match (finish(upscaled), &mut self.exact) {
                (Ok(levels), _) => levels,
                (Err(fault), None) => return Err(fault.of(tile)),
                (Err(_), Some(exact)) => {
                    self.fp32_retries += 1;
                    let again = forward(exact, self.output, input, [1, shape[1], shape[2], shape[3]], factor, outward)?;
                    finish(again.into_iter().next().flatten()).map_err(|fault| fault.of(tile))?
                }
            };
            levels.push(upscaled);
        }
        Ok(levels)
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
        self.run([tiles.len(), PLANES, shape.height as usize, shape.width as usize])
    }

    fn execution(&self) -> Execution {
        self.execution.clone()
    }

    fn take_fp32_retries(&mut self) -> u64 {
        std::mem::take(&mut self.fp32_retries)
    }
}

/// What is wrong with a tile's result.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    NonFinite,
    Strays(f32),
}

impl Fault {
    fn of(self, tile: usize) -> EngineError {
        match self {
            Self::NonFinite => EngineError::NonFinite { tile },
            Self::Strays(levels) => EngineError::Strays { tile, levels, limit: area_check::BOUND },
        }
    }
}

/// The upscaled tile: with what the network's output is added to, and checked. `input` is in the network's units.
fn finished(
    skip: Option<&Bicubic>,
    upscaled: Upscaled,
    input: &[f32],
    (width, height): (usize, usize),
    factor: usize,
    outward: f32,
) -> Result<Vec<f32>, Fault> {
    let mut upscaled = upscaled.ok_or(Fault::NonFinite)?;
    let tile: Vec<f32> = input.iter().map(|value| value * outward).collect();
    if let Some(skip) = skip {
        let base = skip.tile(Size::new(width as u32, height as u32), &tile);
        for (level, base) in upscaled.iter_mut().zip(base) {
            *level += base;
        }
    }
    let strays = area_check::strays(&tile, &upscaled, (width, height), factor);
    strays.map_or(Ok(upscaled), |levels| Err(Fault::Strays(levels)))
}

/// One run of a session on values that fill `shape`.
fn forward(
    session: &mut Session,
    output: &str,
    input: &[f32],
    shape: [usize; 4],
    factor: usize,
    outward: f32,
) -> Result<Vec<Upscaled>, EngineError> {
    let [batch, planes, height, width] = shape;
    let tensor = TensorRef::from_array_view((shape, input)).map_err(|e| failed(&e))?;
    let outputs = session.run(ort::inputs![INPUT => tensor]).map_err(|e| failed(&e))?;
    let (shape, values) = outputs[output].try_extract_tensor::<f32>().map_err(|e| failed(&e))?;
    let wanted = [batch, planes, height * factor, width * factor];
    if **shape != *Shape::from(wanted) {
        return Err(EngineError::Runtime(format!(
            "the network gave {shape} where its scale says {wanted:?}; correct `factor` in its model.toml, or its file"
        )));
    }
    Ok(tiles(values, batch, outward))
}

/// The tiles of a batch in levels.
fn tiles(values: &[f32], batch: usize, outward: f32) -> Vec<Upscaled> {
    values.chunks_exact(values.len() / batch).map(|values| finite(values, outward)).collect()
}

/// One tile in levels, if it is all finite.
fn finite(values: &[f32], outward: f32) -> Upscaled {
    let levels: Vec<f32> = values.iter().map(|value| value * outward).collect();
    // No early way out: without it the loop runs on vectors.
    levels.iter().fold(true, |all, level| all & level.is_finite()).then_some(levels)
}

#[cfg(test)]
mod tests;
