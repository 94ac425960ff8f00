//! Any size: reductions, chains, cuts, and what is refused for its size.

use images::geometry::Fit;

use super::*;

/// A pipeline of bicubic at these scales.
fn bicubics(scales: &[u8]) -> Arc<Pipeline> {
    pipeline_of(scales, |scale| Box::new(Bicubic::new(scale)))
}

fn by(text: &str) -> Options {
    Options { resize: Resize::By(text.parse().expect("a factor")), ..options(OutputFormat::Png) }
}

fn to(width: impl Into<Option<u32>>, height: impl Into<Option<u32>>, fit: Fit) -> Options {
    Options { resize: Resize::To { width: width.into(), height: height.into(), fit }, ..options(OutputFormat::Png) }
}

/// Smooth, so that two ways of resizing agree on it.
fn waves(size: Size, channels: Channels) -> Raster {
    let wave = |x: u32, y: u32, c: usize| {
        let (x, y) = (f64::from(x) / 7.0, f64::from(y) / 5.0);
        (128.0 + 60.0 * (x + c as f64).sin() + 50.0 * (y - 2.0 * c as f64).cos()) as u8
    };
    let count = channels.count();
    let pixels = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
    let samples = pixels.flat_map(|(x, y)| (0..count).map(move |c| wave(x, y, c))).collect();
    Raster::new(size, channels, Samples::U8(samples))
}

async fn made(pipeline: &Arc<Pipeline>, image: &Raster, options: Options) -> Raster {
    let answer = pipeline.upscale(png(image), options).await.expect("a good image");
    let size = answer.plan.output;
    let out = decoded(&file(answer).await.expect("whole"));
    assert_eq!((out.size(), out.channels()), (size, image.channels()));
    out
}

/// The same by another's bicubic, which does not know of ours: cut in source pixels, then resized.
fn independent(image: &Raster, cut: (f64, f64, f64, f64), size: Size) -> Vec<f64> {
    let (left, top, width, height) = cut;
    let keys = |x: f64| {
        let x = x.abs();
        if x < 1.0 {
            1.5 * x * x * x - 2.5 * x * x + 1.0
        } else if x < 2.0 {
            -0.5 * x * x * x + 2.5 * x * x - 4.0 * x + 2.0
        } else {
            0.0
        }
    };
    let mirrored = |at: i64, source: u32| {
        let period = at.rem_euclid(2 * i64::from(source));
        period.min(2 * i64::from(source) - 1 - period) as u32
    };
    let taps = |i: u32, from: f64, length: f64, count: u32, source: u32| {
        let step = length / f64::from(count);
        let (center, wide) = (from + (f64::from(i) + 0.5) * step - 0.5, step.max(1.0));
        let all = (center - 2.0 * wide).floor() as i64..=(center + 2.0 * wide).ceil() as i64;
        let taps: Vec<(u32, f64)> = all.map(|at| (mirrored(at, source), keys((at as f64 - center) / wide))).collect();
        let sum: f64 = taps.iter().map(|tap| tap.1).sum();
        taps.into_iter().map(move |(at, weight)| (at, weight / sum)).collect::<Vec<_>>()
    };
    let source = image.size();
    let columns: Vec<_> = (0..size.width).map(|x| taps(x, left, width, size.width, source.width)).collect();
    let mut out = Vec::new();
    for y in 0..size.height {
        let rows = taps(y, top, height, size.height, source.height);
        for column in &columns {
            for channel in 0..image.channels().count() {
                let sum = rows.iter().map(|(y, v)| {
                    v * column.iter().map(|(x, h)| h * f64::from(image.level(*x, *y, channel))).sum::<f64>()
                });
                out.push(sum.sum());
            }
        }
    }
    out
}

fn assert_near(out: &Raster, expected: &[f64], tolerance: f64, what: &str) {
    let Samples::U8(out) = out.samples() else { unreachable!("8 bit in, 8 bit out") };
    assert_eq!(out.len(), expected.len(), "{what}");
    let worst = out.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b.clamp(0.0, 255.0)).abs()).fold(0.0, f64::max);
    assert!(worst <= tolerance, "{what}: {worst} levels off");
}

fn all_of(image: &Raster) -> (f64, f64, f64, f64) {
    (0.0, 0.0, f64::from(image.size().width), f64::from(image.size().height))
}

#[tokio::test(flavor = "multi_thread")]
async fn any_decimal_is_the_image_resized() {
    let pipeline = bicubics(&[2, 3, 4]);
    for channels in [Channels::Gray, Channels::Rgb] {
        let image = waves(Size::new(83, 61), channels);
        for text in ["1.1", "1.9", "2.5", "3.0701", "5", "6.4", "8"] {
            let options = by(text);
            let out = made(&pipeline, &image, options.clone()).await;
            let size = options.resize.view(image.size()).expect("in reach").output();
            assert_eq!(out.size(), size);
            assert_near(&out, &independent(&image, all_of(&image), size), 4.0, &format!("x{text} {channels:?}"));
        }
    }
    idle(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sides_are_met_and_a_cover_shows_the_middle() {
    let pipeline = bicubics(&[2, 4]);
    let image = waves(Size::new(120, 60), Channels::Rgb);
    let whole = all_of(&image);
    for (options, size, cut) in [
        (to(300, None, Fit::Inside), (300, 150), whole),
        (to(None, 100, Fit::Inside), (200, 100), whole),
        (to(200, 200, Fit::Inside), (200, 100), whole),
        (to(200, 300, Fit::Fill), (200, 300), whole),
        (to(100, 180, Fit::Fill), (100, 180), whole),
        (to(150, 150, Fit::Cover), (150, 150), (30.0, 0.0, 60.0, 60.0)),
        (to(60, 60, Fit::Cover), (60, 60), (30.0, 0.0, 60.0, 60.0)),
        (to(240, 60, Fit::Cover), (240, 60), (0.0, 15.0, 120.0, 30.0)),
        (to(240, 240, Fit::Cover), (240, 240), (30.0, 0.0, 60.0, 60.0)),
    ] {
        let out = made(&pipeline, &image, options.clone()).await;
        assert_eq!(out.size(), Size::new(size.0, size.1), "{:?}", options.resize);
        assert_near(&out, &independent(&image, cut, out.size()), 3.0, &options.resize.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_upload_it_is_reduced_without_a_network() {
    let pipeline = bicubics(&[2]);
    for channels in [Channels::Gray, Channels::Rgb] {
        let image = waves(Size::new(200, 90), channels);
        for (width, tolerance) in [(150, 1.0), (31, 1.0), (2, 1.0)] {
            let options = to(width, None, Fit::Inside);
            let plan = pipeline.plan(png(&image), &options).await.expect("a good image");
            assert_eq!((plan.tiles, plan.passes.len(), plan.reduced), (0, 0, true));
            let out = made(&pipeline, &image, options).await;
            assert_near(&out, &independent(&image, all_of(&image), out.size()), tolerance, &format!("{width}"));
        }
    }
    idle(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scale_one_gives_back_the_very_pixels() {
    let pipeline = bicubics(&[2]);
    for channels in [Channels::Gray, Channels::GrayAlpha, Channels::Rgb, Channels::Rgba] {
        // Some of it is clear, and has colors under it.
        let image = noise(Size::new(57, 43), channels);
        assert!(made(&pipeline, &image, by("1")).await.samples() == image.samples(), "{channels:?}");
    }
    let wide: Vec<u16> = (0..3 * 300 * 300).map(|i| (i * 7919 % 65_536) as u16).collect();
    let wide = Raster::new(Size::new(300, 300), Channels::Rgb, Samples::U16(wide));
    assert!(made(&pipeline, &wide, by("1.0")).await.samples() == wide.samples(), "every level of 16 bits");
    let cut = made(&pipeline, &wide, to(100, 300, Fit::Cover)).await;
    assert!(cut.samples() == wide.cut(100, 0, Size::new(100, 300)).samples(), "and of what is cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_times_is_four_and_then_two() {
    let pipeline = bicubics(&[2, 3, 4]);
    let image = waves(Size::new(50, 37), Channels::Rgb);
    let plan = pipeline.plan(png(&image), &by("8")).await.expect("a good image");
    let passes: Vec<_> = plan.passes.iter().map(|pass| (pass.scale.factor(), pass.input, pass.tiles)).collect();
    assert_eq!(passes, [(4, Size::new(50, 37), 3 * 2), (2, Size::new(200, 148), 9 * 7)]);
    assert_eq!((plan.tiles, plan.output, plan.reduced), (69, Size::new(400, 296), false));
    let out = made(&pipeline, &image, by("8")).await;
    // The second pass saw the first one's image, in 16 bits and clamped.
    let upscaled = |scale: u8, image: Raster| {
        let options = by(&scale.to_string());
        async move { bicubics(&[scale]).upscale_raster(image, options).await.expect("good pixels") }
    };
    let between = upscaled(4, widened(&image)).await;
    let expected = upscaled(2, between).await;
    let Samples::U16(expected) = expected.samples() else { unreachable!("16 bit in, 16 bit out") };
    let expected: Vec<f64> = expected.iter().map(|level| f64::from(*level) / 257.0).collect();
    assert_near(&out, &expected, 0.51, "x8");
    // Both passes are timed as one, and every image counts once.
    let times = &pipeline.metrics.stage_duration;
    let count = |stage: Stage| times.with_label_values(&[stage.name(), MODEL]).get_sample_count();
    idle(&pipeline).await;
    assert_eq!([Stage::Queue, Stage::Infer, Stage::Encode].map(count), [1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_has_is_chained_and_the_ensemble_with_it() {
    for (scales, text, passes) in [(&[4][..], "8", vec![4, 4]), (&[2], "7.5", vec![2, 2, 2]), (&[4], "3", vec![4])] {
        let pipeline = bicubics(scales);
        let image = waves(Size::new(33, 20), Channels::Rgba);
        let (extended, _) = alpha::survey(image.clone(), false, &Interrupt::default()).expect("not interrupted");
        for ensemble in [false, true] {
            let options = Options { ensemble, ..by(text) };
            let plan = pipeline.plan(png(&image), &options).await.expect("a good image");
            assert_eq!(plan.passes.iter().map(|pass| pass.scale.factor()).collect::<Vec<_>>(), passes);
            let tiles: usize = plan.passes.iter().map(|pass| pass.tiles).sum();
            assert_eq!((plan.tiles, tiles % if ensemble { 8 } else { 1 }), (tiles, 0));
            let out = made(&pipeline, &image, options).await;
            let expected = independent(&extended, all_of(&extended), out.size());
            assert_near(&out, &expected, 5.0, &format!("x{text} of {scales:?}"));
        }
        idle(&pipeline).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reduction_shows_no_halo_on_black_or_white() {
    // A white disc with a soft rim on clear garbage, and a faint black shadow beside it.
    let size = Size::new(96, 96);
    let pixels = (0..96_i32).flat_map(|y| (0..96_i32).map(move |x| (x, y))).flat_map(|(x, y)| {
        let away = f64::from((x - 40).pow(2) + (y - 48).pow(2)).sqrt();
        if away < 30.0 {
            [255, 255, 255, 255]
        } else if away < 31.0 {
            [255, 255, 255, 128]
        } else if away < 40.0 {
            [0, 0, 0, 60]
        } else {
            [13, 240, 77, 0]
        }
    });
    let image = Raster::new(size, Channels::Rgba, Samples::U8(pixels.collect()));
    let pipeline = bicubics(&[4]);
    let over = |image: &Raster, x: u32, y: u32, ground: f32| {
        let alpha = image.level(x, y, 3) / 255.0;
        image.level(x, y, 1) * alpha + ground * (1.0 - alpha)
    };
    let out = made(&pipeline, &image, to(24, 24, Fit::Inside)).await;
    for ground in [0.0, 255.0] {
        let flat: Vec<u8> = (0..96 * 96).map(|at| (over(&image, at % 96, at / 96, ground) + 0.5) as u8).collect();
        let flat = Raster::new(size, Channels::Gray, Samples::U8(flat));
        let expected = independent(&flat, all_of(&flat), out.size());
        let seen: Vec<u8> = (0..24 * 24).map(|at| (over(&out, at % 24, at / 24, ground) + 0.5) as u8).collect();
        let seen = Raster::new(out.size(), Channels::Gray, Samples::U8(seen));
        // Clamped overshoot, of color and alpha apart, makes up to 10; averaged without weights, the rim is 40 off.
        assert_near(&seen, &expected, 12.0, &format!("on {ground}"));
    }
    // Reduced after a network, what is clear stays clear and what is solid stays solid.
    let out = made(&pipeline, &image, by("1.5")).await;
    assert!(out.level(2, 2, 3) == 0.0 && out.level(60, 72, 3) == 255.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sides_are_those_of_the_upright_image() {
    let pipeline = bicubics(&[2, 4]);
    // A JPEG that lies on its side: stored 40 x 30, seen 30 x 40.
    let stored = waves(Size::new(40, 30), Channels::Rgb);
    let Samples::U8(samples) = stored.samples() else { unreachable!("8 bit") };
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95)
        .encode(samples, 40, 30, image::ExtendedColorType::Rgb8)
        .expect("memory");
    let exif = [&b"Exif\0\0"[..], &file_parts::oriented(6, true)].concat();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let turned = [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat();
    let answer = pipeline.upscale(turned.into(), to(90, None, Fit::Inside)).await.expect("a good image");
    assert_eq!((answer.plan.input, answer.plan.output), (Size::new(30, 40), Size::new(90, 120)));
    assert_eq!(decoded(&file(answer).await.expect("whole")).size(), Size::new(90, 120));
}

#[tokio::test]
async fn a_size_out_of_reach_is_refused_from_the_header() {
    let pipeline = bicubics(&[2]);
    let image = png(&noise(Size::new(10, 10), Channels::Rgb));
    let ask = async |options: Options| pipeline.plan(image.clone(), &options).await.map(|plan| plan.output);
    assert_eq!(ask(to(80, None, Fit::Inside)).await.expect("eight times"), Size::new(80, 80));
    assert!(matches!(ask(to(81, None, Fit::Inside)).await, Err(PipelineError::Geometry(error)) if error.most == 80));
    let tall = png(&noise(Size::new(4, 2100), Channels::Gray));
    let webp = |text| Options { format: OutputFormat::WebP, ..by(text) };
    assert!(pipeline.plan(tall.clone(), &webp("7.8")).await.is_ok(), "16380 pixels");
    let else_tiff = Options { alternatives: vec![OutputFormat::WebP, OutputFormat::Tiff], ..webp("7.802") };
    let format =
        async |options| pipeline.plan(tall.clone(), &options).await.expect("one of them holds it").output_format;
    assert_eq!(format(else_tiff.clone()).await, OutputFormat::Tiff, "the client takes it as well");
    assert_eq!(format(Options { alternatives: else_tiff.alternatives, ..webp("7.8") }).await, OutputFormat::WebP);
    let error = pipeline.plan(tall, &webp("7.802")).await;
    assert!(
        matches!(error, Err(PipelineError::Codec(CodecError::TooLarge { name: "output_side", actual: 16_384, .. }))),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_model_that_upscales_nothing_says_what_it_has() {
    let pipeline = bicubics(&[1]);
    let image = png(&noise(Size::new(10, 10), Channels::Rgb));
    let error = pipeline.plan(image.clone(), &by("1.5")).await.expect_err("out of its reach");
    assert_eq!(error.to_string(), "model 'bicubic' has no scale 2; it has 1");
    assert_eq!(pipeline.plan(image, &by("1")).await.expect("its own").passes.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_the_tag_follow_the_size() {
    let pipeline = bicubics(&[2, 4]);
    let image = png(&noise(Size::new(64, 64), Channels::Rgb));
    let bytes = async |options: Options| pipeline.plan(image.clone(), &options).await.expect("good").bytes;
    let (four, eight) = (bytes(by("4")).await, bytes(by("8")).await);
    assert!(eight >= four + 256 * 256 * 6, "what is between two networks is counted: {four} and {eight}");
    let tag = async |options| pipeline.upscale(image.clone(), options).await.expect("good").etag;
    let two = tag(by("2")).await;
    assert_eq!(two, tag(by("2.0")).await);
    assert_eq!(two, tag(to(128, None, Fit::Inside)).await, "the same image, however it was asked for");
    assert_ne!(two, tag(by("2.1")).await);
    assert_ne!(tag(to(128, 100, Fit::Fill)).await, tag(to(128, 100, Fit::Cover)).await);
    idle(&pipeline).await;
}
