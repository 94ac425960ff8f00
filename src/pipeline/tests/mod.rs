//! The walk with the real scheduler and the built-in engine, and with engines that misbehave.

mod colors;
mod delta_e;
mod ends;
#[path = "../../../crates/images/src/testing.rs"]
mod file_parts;
mod metadata;
mod plans;
mod sizes;
mod streaming;
mod tiles;
mod transparency;

use std::io::Cursor;
use std::time::Duration;

use images::InputLimits;
use images::geometry::Resize;
use images::raster::{Channels, Depth, Samples};
use images::resample::bicubic::Kernel;
use images::units::{Scale, Size, TileShape};
use inference::engine::bicubic::Bicubic;
use inference::engine::{EngineError, EngineSet, Execution, TileEngine};
use inference::registry::{Kind, Network, NetworkId, Registry};
use scheduler::{Limits, Scheduler};
use tiling::{TileBounds, TileSpec};

use super::*;

const MODEL: &str = "bicubic";

fn scale() -> Scale {
    Scale::new(2).expect("a scale")
}

fn options(format: OutputFormat) -> Options {
    let (resize, deadline, fidelity) = (Resize::By(scale().into()), Duration::from_mins(1), Fidelity::default());
    let (quality, frame) = (None, None);
    let alternatives = Vec::new();
    Options { model: MODEL.into(), resize, ensemble: false, format, alternatives, quality, frame, fidelity, deadline }
}

/// A pipeline of one network at x2 with two workers.
fn pipeline(mut engine: impl FnMut() -> Box<dyn TileEngine>) -> Arc<Pipeline> {
    pipeline_of(&[2], |_| engine())
}

/// A pipeline of one model at these scales with two workers.
fn pipeline_of(scales: &[u8], engine: impl FnMut(Scale) -> Box<dyn TileEngine>) -> Arc<Pipeline> {
    pipeline_in(TileBounds::square(32, 4), scales, engine)
}

/// The same in such tiles.
fn pipeline_in(tile: TileBounds, scales: &[u8], mut engine: impl FnMut(Scale) -> Box<dyn TileEngine>) -> Arc<Pipeline> {
    let network =
        |scale| Network { id: NetworkId(0), model: MODEL.into(), scale, tile, kind: Kind::Bicubic, parameters: 0 };
    let registry = Registry::new(scales.iter().copied().filter_map(Scale::new).map(network).collect());
    let metrics = Arc::new(Metrics::new());
    let limits = Limits { batch_max: 4, batch_delay: Duration::ZERO, queue_tiles: 20_000, queue_bytes: 1 << 30 };
    let mut engines = || registry.networks().iter().map(|network| (network.id, engine(network.scale))).collect();
    let workers: Vec<EngineSet> = vec![engines(), engines()];
    Arc::new(Pipeline {
        scheduler: Scheduler::start(limits, workers, &registry, metrics.scheduler(), Arc::new(()))
            .expect("threads can be had"),
        registry: Arc::new(registry),
        limits: InputLimits { input_pixels: 1 << 20, output_pixels: 1 << 22 },
        executions: vec![Bicubic::new(scale()).execution(); scales.len()],
        metrics,
        compute: Arc::new(tokio::sync::Semaphore::new(2)),
    })
}

fn bicubic() -> Arc<Pipeline> {
    pipeline(|| Box::new(Bicubic::new(scale())))
}

/// An engine that follows a script.
struct Faulty<F>(F);

impl<F: FnMut(Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, EngineError> + Send> TileEngine for Faulty<F> {
    fn upscale(&mut self, shape: TileShape, tiles: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
        let upscaled = Bicubic::new(scale()).upscale(shape, tiles)?;
        (self.0)(upscaled)
    }

    fn execution(&self) -> Execution {
        Bicubic::new(scale()).execution()
    }
}

fn noise(size: Size, channels: Channels) -> Raster {
    let mut state = 9_u32;
    let samples = (0..size.pixels() * channels.count() as u64).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    Raster::new(size, channels, Samples::U8(samples.collect()))
}

fn widened(image: &Raster) -> Raster {
    match image.samples() {
        Samples::U8(v) => {
            let wide = v.iter().map(|&sample| u16::from(sample) * 257).collect();
            Raster::new(image.size(), image.channels(), Samples::U16(wide))
        }
        Samples::U16(_) => image.clone(),
    }
}

/// PNG bytes, by none of our code.
fn png(image: &Raster) -> Bytes {
    let mut out = Cursor::new(Vec::new());
    let Size { width, height } = image.size();
    let buffer: image::DynamicImage = match (image.channels(), image.samples().clone()) {
        (Channels::Gray, Samples::U8(v)) => image::GrayImage::from_raw(width, height, v).map(Into::into),
        (Channels::GrayAlpha, Samples::U8(v)) => image::GrayAlphaImage::from_raw(width, height, v).map(Into::into),
        (Channels::Rgb, Samples::U8(v)) => image::RgbImage::from_raw(width, height, v).map(Into::into),
        (Channels::Rgba, Samples::U8(v)) => image::RgbaImage::from_raw(width, height, v).map(Into::into),
        (Channels::Rgb, Samples::U16(v)) => {
            image::ImageBuffer::<image::Rgb<u16>, _>::from_raw(width, height, v).map(Into::into)
        }
        other => unreachable!("no test uses {other:?}"),
    }
    .expect("a raster has exactly its samples");
    buffer.write_to(&mut out, image::ImageFormat::Png).expect("memory");
    out.into_inner().into()
}

fn decoded(file: &[u8]) -> Raster {
    let image = image::load_from_memory(file).expect("an image");
    let size = Size::new(image.width(), image.height());
    let (channels, samples) = match image {
        image::DynamicImage::ImageLuma8(v) => (Channels::Gray, Samples::U8(v.into_raw())),
        image::DynamicImage::ImageLumaA8(v) => (Channels::GrayAlpha, Samples::U8(v.into_raw())),
        image::DynamicImage::ImageRgb8(v) => (Channels::Rgb, Samples::U8(v.into_raw())),
        image::DynamicImage::ImageRgba8(v) => (Channels::Rgba, Samples::U8(v.into_raw())),
        image::DynamicImage::ImageRgb16(v) => (Channels::Rgb, Samples::U16(v.into_raw())),
        other => panic!("an answer in {:?}", other.color()),
    };
    Raster::new(size, channels, samples)
}

/// Bicubic of the whole image in one piece, channel by channel, rounded.
fn whole(image: &Raster) -> Vec<f32> {
    let (size, target, step) = (image.size(), image.size().scaled(scale()), image.channels().count());
    let mut out = vec![0.0; target.pixels() as usize * step];
    for channel in 0..step {
        let pixels = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
        let plane: Vec<f32> = pixels.map(|(x, y)| image.level(x, y, channel)).collect();
        let mut upscaled = vec![0.0; target.pixels() as usize];
        let row = |y: u32| &plane[(y * size.width) as usize..][..size.width as usize];
        Kernel::new(scale()).upscale(size, row, 0..target.height, &mut upscaled);
        out.iter_mut().skip(channel).step_by(step).zip(upscaled).for_each(|(out, level)| *out = level);
    }
    out
}

fn eight(levels: &[f32]) -> Samples {
    Samples::U8(levels.iter().map(|level| (level + 0.5).clamp(0.0, 255.0) as u8).collect())
}

async fn file(answer: Answer) -> Result<Vec<u8>, PipelineError> {
    let (mut body, mut all) = (answer.body, Vec::new());
    while let Some(chunk) = body.recv().await {
        all.extend_from_slice(&chunk?);
    }
    Ok(all)
}

/// Waits until nothing is admitted and no memory is held; a test that leaks hangs and is ended by its runner.
async fn idle(pipeline: &Pipeline) {
    while pipeline.scheduler.admitted_tiles() > 0
        || pipeline.metrics.inflight_bytes.get() > 0
        || pipeline.compute.available_permits() < 2
    {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(pipeline.metrics.queued_tiles.get(), 0);
}
