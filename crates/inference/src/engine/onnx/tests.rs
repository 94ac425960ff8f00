//! On small networks that do something simple, and on the committed ones at reduced precision.

mod retries;

use super::*;
use crate::engine::backend::Hardware;
use crate::engine::runtime::testing;

const SIDE: usize = 16;

const ONE: Resources = Resources { threads: 1, gpu_memory: 0 };

/// A network of levels that gives the whole image.
fn source(path: &Path, scale: Scale) -> Source<'_> {
    Source { path, fp16: None, skip: None, scale, range: 255.0, tile: TileShape::square(48) }
}

/// On one backend, by name.
fn open(runtime: &Runtime, from: Source, backend: Backend, resources: Resources) -> Result<OnnxEngine, EngineError> {
    let mut opening = Opening::read(runtime, from, resources)?;
    let on = opening.on(backend)?;
    Ok(opening.engine(on))
}

fn engine(model: &str, scale: u8, range: f32) -> Option<OnnxEngine> {
    let runtime = testing::runtime()?;
    let path = testing::fixtures().join(model);
    let scale = Scale::new(scale).expect("a scale between 1 and 8");
    let from = Source { range, ..source(&path, scale) };
    Some(open(runtime, from, Backend::CpuFp32, ONE).expect("the fixture is a network"))
}

/// Levels that differ from pixel to pixel, plane to plane and tile to tile.
fn tile(seed: usize, side: usize) -> Vec<f32> {
    (0..PLANES * side * side).map(|i| ((i * 7 + seed * 31) % 256) as f32).collect()
}

/// The same for a tile that is no square.
fn rectangle(width: usize, height: usize) -> Vec<f32> {
    (0..PLANES * width * height).map(|i| (i * 7 % 256) as f32).collect()
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
        let upscaled = engine.upscale(shape, &tiles).expect("the fixture runs");
        assert_eq!(upscaled.len(), batch);
        for (small, large) in tiles.iter().zip(&upscaled) {
            assert!(*large == repeated(small, SIDE, SIDE, 4));
        }
    }
}

#[test]
fn a_tile_that_is_no_square_keeps_its_sides() {
    let Some(mut engine) = engine("models/nearest/x4.onnx", 4, 255.0) else { return };
    let tiles = [rectangle(24, 16), rectangle(24, 16)];
    let upscaled = engine.upscale(TileShape::new(24, 16), &tiles).expect("the fixture runs");
    assert!(upscaled.iter().all(|large| *large == repeated(&tiles[0], 24, 16, 4)));
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
        assert_eq!(finite(&[0.0, value, 0.0], 1.0), None);
    }
    // What overflows on its way to levels is caught, too.
    assert_eq!(finite(&[f32::MAX], 255.0), None);
    assert_eq!(finite(&[-3.0, 1.0], 255.0), Some(vec![-765.0, 255.0]));
}

#[test]
fn a_network_of_another_scale_is_reported() {
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
fn a_networks_detail_is_added_to_the_bicubic_image_in_levels() {
    let Some(runtime) = testing::runtime() else { return };
    let path = testing::fixtures().join("residual/sixteenth/x2.onnx");
    let scale = Scale::new(2).expect("2 is a scale");
    let mut bicubic = Bicubic::new(scale);
    for range in [1.0, 255.0] {
        let from = Source { range, skip: Some(Skip::Bicubic), ..source(&path, scale) };
        let mut engine = open(runtime, from, Backend::CpuFp32, ONE).expect("the fixture is a network");
        let small = [tile(0, SIDE), tile(1, SIDE)];
        let shape = TileShape::square(SIDE as u32);
        let base = bicubic.upscale(shape, &small).expect("bicubic cannot fail");
        let large = engine.upscale(shape, &small).expect("it runs");
        for ((small, base), large) in small.iter().zip(&base).zip(&large) {
            let detail = repeated(small, SIDE, SIDE, 2);
            let wanted: Vec<_> = base.iter().zip(detail).map(|(base, detail)| base + detail / 16.0).collect();
            assert!(furthest(large, &wanted) < 1e-3, "range {range}");
        }
    }
}

#[test]
fn a_manifest_with_the_wrong_skip_gets_the_right_one() {
    let Some(runtime) = testing::runtime() else { return };
    let scale = Scale::new(2).expect("2 is a scale");
    for (file, skip, remedy) in [
        ("residual/sixteenth/x2.onnx", None, "write skip = \"bicubic\" into"),
        ("models/nearest/x2.onnx", Some(Skip::Bicubic), "take skip = \"bicubic\" out of"),
    ] {
        let path = testing::fixtures().join(file);
        let error = open(runtime, Source { skip, ..source(&path, scale) }, Backend::CpuFp32, ONE).expect_err(file);
        assert!(error.to_string().contains(remedy), "{error}");
    }
}

#[test]
fn fp16_needs_a_file_of_its_own() {
    let Some(runtime) = testing::runtime() else { return };
    let path = testing::root().join("models/srcnn/x4.onnx");
    let from = source(&path, Scale::new(4).expect("a scale"));
    let error = open(runtime, from, Backend::CudaFp16, ONE).expect_err("it has none").to_string();
    assert!(error.contains("names no fp16 file") && error.contains("--precision fp32"), "{error}");
}

#[test]
fn foreign_names_are_refused_with_what_they_must_be() {
    let Some(runtime) = testing::runtime() else { return };
    let path = testing::fixtures().join("broken/wrong-names/x2.onnx");
    let scale = Scale::new(2).expect("2 is a scale");
    let error = open(runtime, source(&path, scale), Backend::CpuFp32, ONE).expect_err("its input is called otherwise");
    assert!(error.to_string().contains("must be one tensor \"lr\""), "{error}");
}

#[test]
fn what_is_no_network_is_refused() {
    let Some(runtime) = testing::runtime() else { return };
    let path = testing::fixtures().join("make.py");
    let scale = Scale::new(2).expect("2 is a scale");
    assert!(matches!(open(runtime, source(&path, scale), Backend::CpuFp32, ONE), Err(EngineError::Unopened(_))));
}

/// The library with OpenVINO on a CPU that multiplies bf16 numbers, or a word about why the test ends here.
fn openvino() -> Option<&'static Runtime> {
    let runtime = testing::runtime()?;
    let here = Hardware::here().bf16 && runtime.offers(Device::OpenVino);
    if !here {
        println!("skipped: no OpenVINO, or a CPU without bf16; run `make runtime`");
    }
    here.then_some(runtime)
}

/// A committed network.
fn committed(runtime: &Runtime, name: &str, scale: u8, backend: Backend) -> OnnxEngine {
    let path = testing::root().join("models").join(name);
    let skip = name.starts_with("san-").then_some(Skip::Bicubic);
    let from = Source { skip, ..source(&path, Scale::new(scale).expect("a scale")) };
    open(runtime, from, backend, ONE).expect("it runs here")
}

/// A tile like a photograph's: slopes and an edge.
fn scene(seed: usize, side: usize) -> Vec<f32> {
    let level = |x: usize, y: usize, c: usize| {
        let slope = (x * 3 + y * 2 + c * 40 + seed * 17) % 200;
        if x + y > side { 230.0 - slope as f32 } else { 20.0 + slope as f32 }
    };
    (0..PLANES * side * side).map(|i| level(i % side, i / side % side, i / side / side)).collect()
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs()))
}

#[test]
fn bf16_is_really_bf16_and_near_fp32() {
    let Some(runtime) = openvino() else { return };
    let small = vec![scene(0, 48), scene(1, 48)];
    let shape = TileShape::square(48);
    let mut exact = committed(runtime, "san-light/x4.onnx", 4, Backend::CpuFp32);
    let exact = exact.upscale(shape, &small).expect("it runs");
    let mut bf16 = committed(runtime, "san-light/x4.onnx", 4, Backend::OpenVinoBf16);
    let [two, one] = [&small[..], &small[..1]].map(|tiles| bf16.upscale(shape, tiles).expect("it runs"));
    let mut fp32 = committed(runtime, "san-light/x4.onnx", 4, Backend::OpenVinoFp32);
    let fp32 = fp32.upscale(shape, &small).expect("it runs");
    assert_eq!(bf16.execution(), Execution { provider: "openvino".into(), precision: "bf16".into() });
    for tile in 0..2 {
        let (rounded, other) = (furthest(&two[tile], &exact[tile]), furthest(&fp32[tile], &exact[tile]));
        println!("tile {tile}: bf16 {rounded} levels off, OpenVINO's fp32 {other}");
        assert!((0.01..4.0).contains(&rounded), "fp32 would be off by less than a hundredth of a level: {rounded}");
        assert!(other < 0.01, "{other}");
    }
    assert!(one[0] == two[0], "the same pixels, whatever shares the batch");
}

/// One entity tag, one answer: which tiles share a batch depends on the load.
#[test]
fn the_cpu_provider_gives_a_tile_the_same_bits_alone_and_in_batches() {
    let Some(runtime) = testing::runtime() else { return };
    for (name, side) in [("san-light/x4.onnx", 48), ("san-light/x2.onnx", 72), ("srcnn/x4.onnx", 48)] {
        let scale = if name.contains("x2") { 2 } else { 4 };
        let mut engine = committed(runtime, name, scale, Backend::CpuFp32);
        let shape = TileShape::square(side as u32);
        let tiles: Vec<_> = (0..4).map(|seed| scene(seed, side)).collect();
        let bits = |levels: &[f32]| levels.iter().map(|level| level.to_bits()).collect::<Vec<_>>();
        let alone: Vec<_> = tiles
            .iter()
            .map(|tile| bits(&engine.upscale(shape, std::slice::from_ref(tile)).expect("it runs")[0]))
            .collect();
        for batch in [2, 3, 4] {
            let together = engine.upscale(shape, &tiles[..batch]).expect("it runs");
            let same = together.iter().zip(&alone).all(|(levels, alone)| bits(levels) == *alone);
            assert!(same && together.len() == batch, "{name}: other bits in a batch of {batch}");
        }
    }
}

/// What print and archives are made of: levels between those of 8 bits, which bf16 does not have above 128.
#[test]
fn slopes_stay_smooth_in_bf16() {
    let Some(runtime) = openvino() else { return };
    let slope = |i: usize| 150.0 + (i % 72) as f32 * 0.31 + (i / 72 % 72) as f32 * 0.17;
    let small = vec![(0..PLANES * 72 * 72).map(slope).collect::<Vec<f32>>()];
    let mut exact = committed(runtime, "san-light/x4.onnx", 4, Backend::CpuFp32);
    let mut bf16 = committed(runtime, "san-light/x4.onnx", 4, Backend::OpenVinoBf16);
    let [exact, bf16] =
        [&mut exact, &mut bf16].map(|engine| engine.upscale(TileShape::square(72), &small).expect("it runs"));
    let squares: f64 = exact[0].iter().zip(&bf16[0]).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    let rms = (squares / exact[0].len() as f64).sqrt();
    assert!(rms < 0.15, "{rms} levels; with all of it in bf16 it was 0.27");
}

#[test]
fn bound_memory_gives_the_same_and_fills_batches_up() {
    let Some(mut engine) = engine("models/nearest/x4.onnx", 4, 255.0) else { return };
    engine.pinned = Some(Pinned::new(AllocationDevice::CPU));
    // Three are filled up to four, whose buffers then hold other tiles; two have buffers of their own.
    for (batch, seed) in [(3, 0), (4, 10), (3, 20), (2, 30), (1, 40)] {
        let tiles: Vec<_> = (seed..seed + batch).map(|seed| tile(seed, SIDE)).collect();
        let upscaled = engine.upscale(TileShape::square(SIDE as u32), &tiles).expect("it runs");
        assert_eq!(upscaled.len(), batch);
        for (small, large) in tiles.iter().zip(&upscaled) {
            assert!(*large == repeated(small, SIDE, SIDE, 4));
        }
    }
    // More shapes than keep their buffers, each twice.
    for width in (8..48).chain(8..48) {
        let small = rectangle(width, 12);
        let upscaled = engine.upscale(TileShape::new(width as u32, 12), std::slice::from_ref(&small)).expect("it runs");
        assert!(upscaled[0] == repeated(&small, width, 12, 4), "{width}");
    }
}

#[test]
fn a_provider_that_cannot_run_the_network_says_so() {
    let Some(runtime) = testing::runtime() else { return };
    let [path, fp16] = ["x4.onnx", "x4.fp16.onnx"].map(|file| testing::root().join("models/san-light").join(file));
    let skip = Some(Skip::Bicubic);
    let from = Source { skip, fp16: Some(&fp16), ..source(&path, Scale::new(4).expect("a scale")) };
    if Hardware::here().gpu && runtime.offers(Device::Cuda) {
        return;
    }
    let error = open(runtime, from, Backend::CudaFp16, ONE).expect_err("there is no card").to_string();
    assert!(error.contains("cuda cannot run") && error.contains("CUDA 13 and cuDNN 9"), "{error}");
}

#[test]
fn one_tile_distinguishes_bf16_from_fp32() {
    let Some(runtime) = openvino() else { return };
    for (model, scale) in [("models/srcnn/x4.onnx", 4), ("tests/fixtures/models/nearest/x2.onnx", 2)] {
        let (path, scale) = (testing::root().join(model), Scale::new(scale).expect("a scale"));
        let from = source(&path, scale);
        let mut opening = Opening::read(runtime, from, ONE).expect("a network");
        let exact = opening.on(Backend::OpenVinoFp32).expect("it runs").expect("not the CPU's own");
        assert_eq!(exact.backend(), Backend::OpenVinoFp32, "{model}");
        assert!(opening.on(Backend::CpuFp32).expect("it runs").is_none(), "{model}");
        let rounded = opening.on(Backend::OpenVinoBf16).expect("it runs").expect("not the CPU's own");
        assert_eq!(rounded.backend(), Backend::OpenVinoBf16, "{model}");
        assert_eq!(opening.engine(Some(exact)).execution().precision, "fp32");
    }
}
