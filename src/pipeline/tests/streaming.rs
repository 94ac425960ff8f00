//! What comes out is the image upscaled whole, whatever its channels, depth and size.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_streamed_through_tiles_is_the_image_upscaled_whole() {
    let pipeline = bicubic();
    for (width, height) in [(1, 1), (2, 75), (31, 32), (150, 97)] {
        for channels in [Channels::Gray, Channels::Rgb] {
            let image = noise(Size::new(width, height), channels);
            let answer = pipeline.upscale(png(&image), options(OutputFormat::Png)).await.expect("a good image");
            assert_eq!(answer.plan.output, image.size().scaled(scale()));
            let length = answer.length.expect("a small file is ready at once");
            let file = file(answer).await.expect("whole");
            assert_eq!(file.len() as u64, length);
            let out = decoded(&file);
            assert_eq!((out.size(), out.channels()), (image.size().scaled(scale()), channels));
            assert!(out.samples() == &eight(&whole(&image)), "{width}x{height} {channels:?}");
        }
    }
    idle(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alpha_is_upscaled_beside_the_colors() {
    let pipeline = bicubic();
    for channels in [Channels::GrayAlpha, Channels::Rgba] {
        let image = noise(Size::new(70, 41), channels);
        let (extended, alpha) = alpha::survey(image.clone(), false, &Interrupt::default()).expect("not interrupted");
        assert_eq!(alpha, alpha::Alpha::Plane, "noise is transparent in part");
        let answer = pipeline.upscale(png(&image), options(OutputFormat::Png)).await.expect("a good image");
        let out = decoded(&file(answer).await.expect("whole"));
        assert_eq!(out.channels(), channels);
        assert!(out.samples() == &eight(&whole(&extended)), "{channels:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_bits_stay_sixteen_in_png_and_become_eight_in_jpeg() {
    let pipeline = bicubic();
    let image = widened(&noise(Size::new(40, 40), Channels::Rgb));
    let answer = pipeline.upscale(png(&image), options(OutputFormat::Png)).await.expect("a good image");
    let out = decoded(&file(answer).await.expect("whole"));
    let exact = whole(&image).iter().map(|level| (level * 257.0 + 0.5).clamp(0.0, 65_535.0) as u16).collect();
    assert!(out.samples() == &Samples::U16(exact));
    let answer = pipeline.upscale(png(&image), options(OutputFormat::Jpeg)).await.expect("a good image");
    assert_eq!(decoded(&file(answer).await.expect("whole")).depth(), Depth::Eight);
}

#[tokio::test(flavor = "multi_thread")]
async fn pixels_without_a_file_take_the_same_way() {
    let pipeline = bicubic();
    let image = noise(Size::new(90, 130), Channels::Rgb);
    let out = pipeline.upscale_raster(image.clone(), options(OutputFormat::Jpeg)).await.expect("good pixels");
    assert!(out.samples() == &eight(&whole(&image)));
    let wide = pipeline.upscale_raster(widened(&image), options(OutputFormat::Jpeg)).await.expect("good pixels");
    assert_eq!(wide.depth(), Depth::Sixteen);
    idle(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ensemble_of_bicubic_is_bicubic() {
    let pipeline = bicubic();
    let image = noise(Size::new(50, 37), Channels::Rgb);
    let options = Options { ensemble: true, ..options(OutputFormat::Png) };
    assert_eq!(pipeline.plan(png(&image), &options).await.expect("a good image").tiles, 8 * 6);
    let out = pipeline.upscale_raster(image.clone(), options).await.expect("good pixels");
    // Sums in another order: half a level may round the other way, but no pixel may be out of place.
    let (Samples::U8(out), Samples::U8(expected)) = (out.samples(), eight(&whole(&image))) else {
        unreachable!("8 bit in, 8 bit out")
    };
    assert!(out.iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) <= 1));
    idle(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_answer_leaves_before_it_is_whole_and_adds_up() {
    let pipeline = bicubic();
    let image = noise(Size::new(600, 500), Channels::Rgb);
    let answer = pipeline.upscale(png(&image), options(OutputFormat::Png)).await.expect("a good image");
    assert_eq!(answer.length, None, "noise of this size is more than 1 MiB");
    assert!(answer.timings.decode > Duration::ZERO);
    let out = decoded(&file(answer).await.expect("whole"));
    assert!(out.samples() == &eight(&whole(&image)));
    idle(&pipeline).await;
    let count = |direction| pipeline.metrics.pixels.with_label_values(&[direction, MODEL]).get();
    assert_eq!((count("input"), count("output")), (300_000, 1_200_000));
    for stage in [Stage::Decode, Stage::Queue, Stage::Infer, Stage::Encode] {
        let histogram = pipeline.metrics.stage_duration.with_label_values(&[stage.name(), MODEL]);
        assert_eq!(histogram.get_sample_count(), 1, "{}", stage.name());
    }
}
