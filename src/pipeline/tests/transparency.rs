//! Transparency: no halo, and what it is laid over.

use super::*;
use crate::pipeline::fidelity::{Background, Conversion, Transparency};

fn wish(format: OutputFormat, alpha: Transparency, background: [u8; 3]) -> Options {
    let fidelity = Fidelity { alpha, background: Background(background), ..Fidelity::default() };
    Options { fidelity, ..options(format) }
}

/// A disc of one color, opaque, in garbage that is clear.
fn disc(color: [u8; 3], garbage: [u8; 3]) -> Raster {
    let inside = |x: i32, y: i32| (x - 20).pow(2) + (y - 20).pow(2) < 200;
    let pixels = (0..40).flat_map(|y| (0..40).map(move |x| (x, y)));
    let samples = pixels.flat_map(|(x, y)| {
        let ([r, g, b], a) = if inside(x, y) { (color, 255) } else { (garbage, 0) };
        [r, g, b, a]
    });
    Raster::new(Size::new(40, 40), Channels::Rgba, Samples::U8(samples.collect()))
}

async fn upscaled(image: &Raster, options: Options) -> (Raster, Plan) {
    let answer = bicubic().upscale(png(image), options).await.expect("a good image");
    let plan = answer.plan.clone();
    (decoded(&file(answer).await.expect("whole")), plan)
}

fn bytes(image: &Raster) -> &[u8] {
    match image.samples() {
        Samples::U8(v) => v,
        Samples::U16(_) => panic!("8 bits were expected"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_halo_on_black_nor_on_white_and_interiors_are_exact() {
    let red = [220, 30, 10];
    for garbage in [[0, 0, 0], [255, 255, 255], [0, 255, 0]] {
        let (out, plan) = upscaled(&disc(red, garbage), wish(OutputFormat::Png, Transparency::Keep, [0; 3])).await;
        assert_eq!((out.channels(), plan.conversions.len()), (Channels::Rgba, 0));
        let pixels = bytes(&out).as_chunks::<4>().0;
        // Whatever is seen at all has the color of the disc.
        assert!(pixels.iter().all(|[r, g, b, a]| *a == 0 || [*r, *g, *b] == red), "{garbage:?}");
        let at = |x: usize, y: usize| pixels[y * 80 + x][3];
        assert_eq!((at(40, 40), at(2, 2)), (255, 0));
        assert!(pixels.iter().any(|pixel| !matches!(pixel[3], 0 | 255)), "the edge is soft");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jpeg_lies_on_the_background_and_says_so() {
    let image = disc([200, 40, 40], [0, 255, 0]);
    for background in [[255, 255, 255], [0, 0, 0], [0, 90, 200]] {
        let (out, plan) = upscaled(&image, wish(OutputFormat::Jpeg, Transparency::Keep, background)).await;
        assert_eq!((out.channels(), &plan.conversions[..]), (Channels::Rgb, &[Conversion::AlphaFlattened][..]));
        assert_eq!(plan.background, Some(Background(background).to_string()));
        let near = |x: usize, y: usize, color: [u8; 3]| {
            bytes(&out).as_chunks::<3>().0[y * 80 + x].iter().zip(color).all(|(a, b)| a.abs_diff(b) <= 3)
        };
        assert!(near(2, 2, background) && near(77, 77, background) && near(40, 40, [200, 40, 40]), "{background:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_may_be_flattened_in_any_format() {
    // Half transparent all over: 0.2 of the color.
    let image = Raster::new(Size::new(3, 3), Channels::Rgba, Samples::U8([200, 0, 80, 51].repeat(9)));
    let (out, _) = upscaled(&image, wish(OutputFormat::Png, Transparency::Flatten, [255; 3])).await;
    assert!(out.channels() == Channels::Rgb && out.samples() == &Samples::U8([244, 204, 220].repeat(36)));
    let (out, _) = upscaled(&image, wish(OutputFormat::WebP, Transparency::Flatten, [0, 100, 0])).await;
    assert!(out.channels() == Channels::Rgb && out.samples() == &Samples::U8([40, 80, 16].repeat(36)));
    // Nothing to flatten is nothing done.
    let opaque = noise(Size::new(8, 8), Channels::Rgb);
    let (out, plan) = upscaled(&opaque, wish(OutputFormat::Png, Transparency::Flatten, [9; 3])).await;
    assert!(plan.conversions.is_empty() && plan.background.is_none() && out.samples() == &eight(&whole(&opaque)));
}

#[tokio::test(flavor = "multi_thread")]
async fn gray_stays_gray_on_gray_and_is_colored_on_a_color() {
    let image = Raster::new(Size::new(2, 2), Channels::GrayAlpha, Samples::U8([100, 0].repeat(4)));
    let (out, plan) = upscaled(&image, wish(OutputFormat::Png, Transparency::Flatten, [7; 3])).await;
    assert!(out.channels() == Channels::Gray && out.samples() == &Samples::U8(vec![7; 16]));
    assert_eq!(plan.conversions, [Conversion::AlphaFlattened]);
    let (out, plan) = upscaled(&image, wish(OutputFormat::Png, Transparency::Flatten, [7, 8, 9])).await;
    assert!(out.channels() == Channels::Rgb && out.samples() == &Samples::U8([7, 8, 9].repeat(16)));
    assert_eq!(plan.conversions, [Conversion::AlphaFlattened, Conversion::GrayToRgb]);
}

#[test]
fn backgrounds_are_six_digits() {
    for (text, color) in [("ffffff", [255; 3]), ("#00ff7F", [0, 255, 127])] {
        assert_eq!(text.parse(), Ok(Background(color)));
    }
    for text in ["", "#", "fff", "#fffffff", "gggggg", "+12345", "white", "ééé"] {
        assert!(text.parse::<Background>().is_err(), "{text}");
    }
    assert_eq!(Background([0, 171, 5]).to_string(), "#00ab05");
}
