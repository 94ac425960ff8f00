//! The walk with the real scheduler and the built-in engine, and with engines that misbehave.

use std::io::Cursor;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use super::*;
use crate::engine::bicubic::{Bicubic, Kernel};
use crate::engine::{EngineError, EngineSet, TileEngine};
use crate::raster::{Channels, Depth};
use crate::registry::{Kind, Network, NetworkId};
use crate::scheduler::Limits;
use crate::tiling::TileSpec;
use crate::units::{Size, TileShape};

const MODEL: &str = "bicubic";

fn scale() -> Scale {
    Scale::new(2).expect("a scale")
}

fn options(format: OutputFormat) -> Options {
    Options { model: MODEL.into(), scale: scale(), ensemble: false, format, deadline: Duration::from_mins(1) }
}

/// A pipeline of one network at x2 with two workers.
fn pipeline(mut engine: impl FnMut() -> Box<dyn TileEngine>) -> Arc<Pipeline> {
    let network = Network {
        id: NetworkId(0),
        model: MODEL.into(),
        scale: scale(),
        tiles: vec![TileSpec { shape: TileShape::square(32), halo: 4 }],
        kind: Kind::Bicubic,
        parameters: 0,
    };
    let registry = Registry::new(vec![network]);
    let metrics = Arc::new(Metrics::new());
    let limits = Limits { batch_max: 4, batch_delay: Duration::ZERO, queue_tiles: 20_000, queue_bytes: 1 << 30 };
    let workers = (0..2).map(|_| EngineSet::from([(NetworkId(0), engine())])).collect();
    Arc::new(Pipeline {
        scheduler: Scheduler::start(limits, workers, &registry, &metrics).expect("threads can be had"),
        registry: Arc::new(registry),
        limits: InputLimits { input_pixels: 1 << 20, output_pixels: 1 << 22 },
        executions: vec![Bicubic::new(scale()).execution()],
        metrics,
        compute: Arc::new(tokio::sync::Semaphore::new(2)),
    })
}

fn bicubic() -> Arc<Pipeline> {
    pipeline(|| Box::new(Bicubic::new(scale())))
}

/// An engine that does as it is told.
struct Faulty<F>(F);

impl<F: FnMut(Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, EngineError> + Send> TileEngine for Faulty<F> {
    fn upscale(&mut self, shape: TileShape, tiles: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
        let enlarged = Bicubic::new(scale()).upscale(shape, tiles)?;
        (self.0)(enlarged)
    }

    fn execution(&self) -> Execution {
        Bicubic::new(scale()).execution()
    }
}

/// Holds engines back.
#[derive(Default)]
struct Door {
    open: Mutex<bool>,
    moved: Condvar,
}

impl Door {
    fn open(&self) {
        *self.open.lock().expect("nobody panics with it") = true;
        self.moved.notify_all();
    }

    fn pass(&self) {
        let shut = self.open.lock().expect("nobody panics with it");
        drop(self.moved.wait_while(shut, |open| !*open).expect("nobody panics with it"));
    }
}

/// A pipeline whose engines do nothing until the door opens.
fn behind(door: &Arc<Door>) -> Arc<Pipeline> {
    pipeline(|| {
        let door = Arc::clone(door);
        Box::new(Faulty(move |tiles| {
            door.pass();
            Ok(tiles)
        }))
    })
}

fn noise(size: Size, channels: Channels) -> Raster {
    let mut state = 9_u32;
    let samples = (0..size.pixels() * channels.count() as u64).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    Raster::new(size, channels, Samples::U8(samples.collect()))
}

fn widened(picture: &Raster) -> Raster {
    match picture.samples() {
        Samples::U8(v) => {
            let wide = v.iter().map(|&sample| u16::from(sample) * 257).collect();
            Raster::new(picture.size(), picture.channels(), Samples::U16(wide))
        }
        Samples::U16(_) => picture.clone(),
    }
}

/// PNG bytes, by none of our code.
fn png(picture: &Raster) -> Bytes {
    let mut out = Cursor::new(Vec::new());
    let Size { width, height } = picture.size();
    let buffer: image::DynamicImage = match (picture.channels(), picture.samples().clone()) {
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
    let picture = image::load_from_memory(file).expect("a picture");
    let size = Size::new(picture.width(), picture.height());
    let (channels, samples) = match picture {
        image::DynamicImage::ImageLuma8(v) => (Channels::Gray, Samples::U8(v.into_raw())),
        image::DynamicImage::ImageLumaA8(v) => (Channels::GrayAlpha, Samples::U8(v.into_raw())),
        image::DynamicImage::ImageRgb8(v) => (Channels::Rgb, Samples::U8(v.into_raw())),
        image::DynamicImage::ImageRgba8(v) => (Channels::Rgba, Samples::U8(v.into_raw())),
        image::DynamicImage::ImageRgb16(v) => (Channels::Rgb, Samples::U16(v.into_raw())),
        other => panic!("an answer in {:?}", other.color()),
    };
    Raster::new(size, channels, samples)
}

/// Bicubic of the whole picture in one piece, channel by channel, rounded.
fn whole(picture: &Raster) -> Vec<f32> {
    let (size, target, step) = (picture.size(), picture.size().scaled(scale()), picture.channels().count());
    let mut out = vec![0.0; target.pixels() as usize * step];
    for channel in 0..step {
        let pixels = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
        let plane: Vec<f32> = pixels.map(|(x, y)| picture.level(x, y, channel)).collect();
        let mut enlarged = vec![0.0; target.pixels() as usize];
        let row = |y: u32| &plane[(y * size.width) as usize..][..size.width as usize];
        Kernel::new(scale()).enlarge(size, row, 0..target.height, &mut enlarged);
        out.iter_mut().skip(channel).step_by(step).zip(enlarged).for_each(|(out, level)| *out = level);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_file_streamed_through_tiles_is_the_picture_enlarged_whole() {
    let pipeline = bicubic();
    for (width, height) in [(1, 1), (2, 75), (31, 32), (150, 97)] {
        for channels in [Channels::Gray, Channels::Rgb] {
            let picture = noise(Size::new(width, height), channels);
            let answer = pipeline.upscale(png(&picture), options(OutputFormat::Png)).await.expect("a good picture");
            assert_eq!(answer.plan.output, picture.size().scaled(scale()));
            let length = answer.length.expect("a small file is ready at once");
            let file = file(answer).await.expect("whole");
            assert_eq!(file.len() as u64, length);
            let out = decoded(&file);
            assert_eq!((out.size(), out.channels()), (picture.size().scaled(scale()), channels));
            assert!(out.samples() == &eight(&whole(&picture)), "{width}x{height} {channels:?}");
        }
    }
    idle(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alpha_is_enlarged_beside_the_colours() {
    let pipeline = bicubic();
    for channels in [Channels::GrayAlpha, Channels::Rgba] {
        let picture = noise(Size::new(70, 41), channels);
        let (extended, alpha) = alpha::survey(picture.clone());
        assert_eq!(alpha, alpha::Alpha::Plane, "noise is transparent in part");
        let answer = pipeline.upscale(png(&picture), options(OutputFormat::Png)).await.expect("a good picture");
        let out = decoded(&file(answer).await.expect("whole"));
        assert_eq!(out.channels(), channels);
        assert!(out.samples() == &eight(&whole(&extended)), "{channels:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_bits_stay_sixteen_in_png_and_become_eight_in_jpeg() {
    let pipeline = bicubic();
    let picture = widened(&noise(Size::new(40, 40), Channels::Rgb));
    let answer = pipeline.upscale(png(&picture), options(OutputFormat::Png)).await.expect("a good picture");
    let out = decoded(&file(answer).await.expect("whole"));
    let exact = whole(&picture).iter().map(|level| (level * 257.0 + 0.5).clamp(0.0, 65_535.0) as u16).collect();
    assert!(out.samples() == &Samples::U16(exact));
    let answer = pipeline.upscale(png(&picture), options(OutputFormat::Jpeg)).await.expect("a good picture");
    assert_eq!(decoded(&file(answer).await.expect("whole")).depth(), Depth::Eight);
}

#[tokio::test(flavor = "multi_thread")]
async fn pixels_without_a_file_take_the_same_way() {
    let pipeline = bicubic();
    let picture = noise(Size::new(90, 130), Channels::Rgb);
    let out = pipeline.upscale_raster(picture.clone(), options(OutputFormat::Jpeg)).await.expect("good pixels");
    assert!(out.samples() == &eight(&whole(&picture)));
    let wide = pipeline.upscale_raster(widened(&picture), options(OutputFormat::Jpeg)).await.expect("good pixels");
    assert_eq!(wide.depth(), Depth::Sixteen);
    idle(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ensemble_of_bicubic_is_bicubic() {
    let pipeline = bicubic();
    let picture = noise(Size::new(50, 37), Channels::Rgb);
    let options = Options { ensemble: true, ..options(OutputFormat::Png) };
    assert_eq!(pipeline.plan(&png(&picture), &options).expect("a good picture").tiles, 8 * 4);
    let out = pipeline.upscale_raster(picture.clone(), options).await.expect("good pixels");
    // Sums in another order: half a level may round the other way, but no pixel may be out of place.
    let (Samples::U8(out), Samples::U8(expected)) = (out.samples(), eight(&whole(&picture))) else {
        unreachable!("8 bit in, 8 bit out")
    };
    assert!(out.iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) <= 1));
    idle(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_answer_leaves_before_it_is_whole_and_adds_up() {
    let pipeline = bicubic();
    let picture = noise(Size::new(600, 500), Channels::Rgb);
    let answer = pipeline.upscale(png(&picture), options(OutputFormat::Png)).await.expect("a good picture");
    assert_eq!(answer.length, None, "noise of this size is more than 1 MiB");
    assert!(answer.timings.decode > Duration::ZERO);
    let out = decoded(&file(answer).await.expect("whole"));
    assert!(out.samples() == &eight(&whole(&picture)));
    idle(&pipeline).await;
    let count = |direction| pipeline.metrics.pixels.with_label_values(&[direction, MODEL]).get();
    assert_eq!((count("input"), count("output")), (300_000, 1_200_000));
    for stage in [Stage::Decode, Stage::Queue, Stage::Infer, Stage::Encode] {
        let histogram = pipeline.metrics.stage_duration.with_label_values(&[stage.name()]);
        assert_eq!(histogram.get_sample_count(), 1, "{}", stage.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_request_frees_everything() {
    let door = Arc::new(Door::default());
    let pipeline = behind(&door);
    let picture = png(&noise(Size::new(400, 400), Channels::Rgb));
    let request = {
        let pipeline = Arc::clone(&pipeline);
        tokio::spawn(async move { pipeline.upscale(picture, options(OutputFormat::Png)).await })
    };
    while pipeline.metrics.queued_tiles.get() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(pipeline.metrics.inflight_bytes.get() > 0);
    request.abort();
    // What waits is dropped while the engines still hold the two batches that run.
    while pipeline.metrics.queued_tiles.get() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(pipeline.scheduler.admitted_tiles() <= 8);
    door.open();
    idle(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_body_frees_everything() {
    let pipeline = bicubic();
    let picture = png(&noise(Size::new(1000, 1000), Channels::Rgb));
    let mut answer = pipeline.upscale(picture, options(OutputFormat::Png)).await.expect("a good picture");
    assert!(answer.body.recv().await.expect("a first chunk").is_ok());
    drop(answer);
    idle(&pipeline).await;
    assert_eq!(pipeline.metrics.pixels.with_label_values(&["output", MODEL]).get(), 0, "not answered in full");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_the_wait() {
    let door = Arc::new(Door::default());
    let pipeline = behind(&door);
    let allowed = Duration::from_millis(50);
    let picture = noise(Size::new(100, 100), Channels::Rgb);
    let late = Options { deadline: allowed, ..options(OutputFormat::Png) };
    let error = pipeline.upscale(png(&picture), late.clone()).await.expect_err("the engine is shut");
    assert!(matches!(error, PipelineError::Deadline(d) if d == allowed), "{error}");
    let error = pipeline.upscale_raster(picture, late).await.expect_err("the engine is shut");
    assert!(matches!(error, PipelineError::Deadline(d) if d == allowed), "{error}");
    door.open();
    idle(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_passes_later_breaks_the_body_off() {
    let pipeline = bicubic();
    let picture = png(&noise(Size::new(1000, 1000), Channels::Rgb));
    let allowed = Duration::from_millis(1500);
    let options = Options { deadline: allowed, ..options(OutputFormat::Png) };
    let answer = match pipeline.upscale(picture, options).await {
        Ok(answer) => answer,
        // A machine too slow for the first bytes in time shows nothing about the later ones.
        Err(error) => return assert!(matches!(error, PipelineError::Deadline(_)), "{error}"),
    };
    // A client that does not read: the work waits for it, until it may not any more.
    tokio::time::sleep(allowed).await;
    let error = file(answer).await.expect_err("cut off");
    assert!(matches!(error, PipelineError::Deadline(_)), "{error}");
    idle(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_engines_do_wrong_is_an_internal_error_and_leaves_nothing_behind() {
    type Fault = fn(Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, EngineError>;
    let faults: [(&str, Fault); 4] = [
        ("fails", |_| Err(EngineError::Runtime("for the test".into()))),
        ("gives too few tiles", |mut tiles| {
            tiles.pop();
            Ok(tiles)
        }),
        ("gives short tiles", |mut tiles| {
            for tile in &mut tiles {
                tile.truncate(100);
            }
            Ok(tiles)
        }),
        ("panics", |tiles| std::panic::resume_unwind(Box::new(tiles.len()))),
    ];
    for (what, fault) in faults {
        let pipeline = pipeline(|| Box::new(Faulty(fault)));
        let picture = noise(Size::new(100, 100), Channels::Rgb);
        let error = pipeline.upscale(png(&picture), options(OutputFormat::Png)).await.expect_err(what);
        assert!(matches!(error, PipelineError::Internal(_)), "an engine that {what}: {error}");
        let error = pipeline.upscale_raster(picture, options(OutputFormat::Png)).await.expect_err(what);
        assert!(matches!(error, PipelineError::Internal(_)), "an engine that {what}: {error}");
        idle(&pipeline).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_after_the_first_bytes_is_told_at_their_end() {
    let count = Arc::new(AtomicUsize::new(0));
    let pipeline = pipeline(|| {
        let count = Arc::clone(&count);
        Box::new(Faulty(move |tiles: Vec<Vec<f32>>| {
            let late = count.fetch_add(tiles.len(), Ordering::AcqRel) > 1600;
            if late { Err(EngineError::Runtime("for the test".into())) } else { Ok(tiles) }
        }))
    });
    // 42 x 42 tiles; the first 38 rows of them make some 9 MB.
    let picture = png(&noise(Size::new(1000, 1000), Channels::Rgb));
    let answer = pipeline.upscale(picture, options(OutputFormat::Png)).await.expect("the first bytes come");
    let error = file(answer).await.expect_err("cut off");
    assert!(matches!(&error, PipelineError::Internal(text) if text.contains("for the test")), "{error}");
    idle(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_what_will_be_done() {
    let pipeline = bicubic();
    let picture = png(&noise(Size::new(100, 60), Channels::Rgb));
    let planned = pipeline.plan(&picture, &options(OutputFormat::Png)).expect("a good picture");
    let answer = pipeline.upscale(picture, options(OutputFormat::Png)).await.expect("a good picture");
    assert_eq!((planned.output, planned.tiles, planned.bytes), (Size::new(200, 120), 4 * 3, answer.plan.bytes));
    assert_eq!(planned.tile, answer.plan.tile);
    idle(&pipeline).await;
}

#[tokio::test]
async fn a_plan_gives_the_errors_of_the_work() {
    let pipeline = bicubic();
    let picture = png(&noise(Size::new(10, 10), Channels::Rgb));
    let unknown = Options { model: "nonsense".into(), ..options(OutputFormat::Png) };
    assert!(matches!(pipeline.plan(&picture, &unknown), Err(PipelineError::Lookup(_))));
    // The parameter is told first, even if the picture is wrong, too.
    assert!(matches!(pipeline.plan(b"", &unknown), Err(PipelineError::Lookup(_))));
    assert!(matches!(pipeline.plan(b"", &options(OutputFormat::Png)), Err(PipelineError::Codec(CodecError::Empty))));
    let error = pipeline.upscale(Bytes::from_static(b"nonsense"), options(OutputFormat::Png)).await;
    assert!(matches!(error, Err(PipelineError::Codec(CodecError::Unsupported(_)))));
}

#[tokio::test]
async fn the_output_limit_has_two_sides() {
    let mut pipeline = Arc::into_inner(bicubic()).expect("nobody else has it yet");
    pipeline.limits.output_pixels = 20 * 20;
    let plan = |side| pipeline.plan(&png(&noise(Size::new(side, 10), Channels::Gray)), &options(OutputFormat::Png));
    assert!(plan(10).is_ok());
    match plan(11) {
        Err(PipelineError::Codec(CodecError::TooLarge { name, limit, actual, .. })) => {
            assert_eq!((name, limit, actual), ("output_pixels", 400, 440));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entity_tag_follows_what_determines_the_bytes() {
    let pipeline = bicubic();
    let (one, two) = (png(&noise(Size::new(9, 9), Channels::Rgb)), png(&noise(Size::new(9, 8), Channels::Rgb)));
    let tag =
        async |upload: &Bytes, options| pipeline.upscale(upload.clone(), options).await.expect("a good picture").etag;
    let first = tag(&one, options(OutputFormat::Png)).await;
    assert_eq!(first.len(), 32);
    assert_eq!(first, tag(&one, options(OutputFormat::Png)).await);
    assert_ne!(first, tag(&two, options(OutputFormat::Png)).await);
    assert_ne!(first, tag(&one, options(OutputFormat::WebP)).await);
    assert_ne!(first, tag(&one, Options { ensemble: true, ..options(OutputFormat::Png) }).await);
}

#[test]
fn memory_grows_with_what_is_asked_for() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _entered = runtime.enter();
    let pipeline = bicubic();
    let bytes = |size, channels, ensemble, format| {
        let upload = png(&noise(size, channels));
        let options = Options { ensemble, ..options(format) };
        pipeline.plan(&upload, &options).expect("a good picture").bytes
    };
    let small = bytes(Size::new(64, 64), Channels::Rgb, false, OutputFormat::Png);
    assert!(small < 8 << 20, "{small} bytes for a thumbnail");
    assert!(bytes(Size::new(640, 640), Channels::Rgb, false, OutputFormat::Png) > small);
    assert!(bytes(Size::new(64, 64), Channels::Rgb, true, OutputFormat::Png) > small);
    let tall = Size::new(16, 8000);
    let streamed = bytes(tall, Channels::Rgb, false, OutputFormat::Png);
    assert!(bytes(tall, Channels::Rgb, false, OutputFormat::WebP) >= streamed + 3 * 32 * 16_000, "WebP is held whole");
}
