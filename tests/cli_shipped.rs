//! The network that is shipped and served by default, on images whose right answer is known.

use std::path::Path;
use std::process::Command;

use image::codecs::png::PngEncoder;
use image::imageops::{FilterType, resize};
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};
use moxcms::ColorProfile;

/// Upscales every image of `folder` into `folder/out`; false where there is no ONNX Runtime, which `make test` lets
/// not be.
#[expect(clippy::disallowed_methods, reason = "a test has no settings to read it from")]
fn upscaled(folder: &Path, model: &str, scale: u32) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut upscaler = Command::new(env!("CARGO_BIN_EXE_san-upscaler"));
    upscaler.env_clear().current_dir(root).arg("upscale").arg(folder.join("in")).arg("-o").arg(folder.join("out"));
    upscaler.args(["--models", "models", "--model", model, "--only", model, "--scale", &scale.to_string()]);
    let output = upscaler.output().expect("the binary runs");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    if stderr.contains("ONNX Runtime was not found") {
        assert!(std::env::var_os("UPSCALER_TEST_REQUIRE_RUNTIME").is_none(), "{stderr}");
        println!("skipped: no ONNX Runtime; run `make runtime`");
        return false;
    }
    assert!(output.status.success(), "{stderr}");
    true
}

/// A network pads with zeros, which a flat image would show at its border and most of all in its corners.
#[test]
fn a_flat_image_keeps_its_color_within_one_level_up_to_its_corners() {
    let colors = [[0, 0, 0], [255, 255, 255], [128, 128, 128], [250, 240, 10], [0, 0, 192], [64, 255, 64]];
    for scale in [2, 3, 4] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("in")).expect("a folder");
        // One tile with room to spare for each, and for the last several of the larger kind.
        for (i, color) in colors.into_iter().enumerate() {
            let (width, height) = if i + 1 == colors.len() { (130, 70) } else { (23, 5) };
            let path = folder.path().join(format!("in/{i}.png"));
            RgbImage::from_pixel(width, height, Rgb(color)).save(path).expect("written");
        }
        if !upscaled(folder.path(), "san-light", scale) {
            return;
        }
        for (i, color) in colors.into_iter().enumerate() {
            let out = image::open(folder.path().join(format!("out/{i}.png"))).expect("an image").into_rgb8();
            let (off, x, y) = furthest(&out, color);
            assert!(off <= 1, "{color:?} at x{scale}: {off} levels off at {x}, {y}");
        }
    }
}

/// The way back from sRGB is steep at the border of a wide gamut: half a level there is ten here.
#[test]
fn a_flat_image_of_a_wide_gamut_keeps_its_color() {
    let profiles = [ColorProfile::new_adobe_rgb(), ColorProfile::new_display_p3(), ColorProfile::new_pro_photo_rgb()];
    let colors = [[0, 255, 0], [0, 0, 0], [255, 255, 255], [10, 200, 30], [1, 1, 1]];
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("in")).expect("a folder");
    for (at, profile) in profiles.iter().enumerate() {
        for (i, color) in colors.into_iter().enumerate() {
            let file = std::fs::File::create(folder.path().join(format!("in/{at}-{i}.png"))).expect("a file");
            let mut png = PngEncoder::new(file);
            png.set_icc_profile(profile.encode().expect("a profile")).expect("PNG takes profiles");
            let image = RgbImage::from_pixel(30, 20, Rgb(color));
            png.write_image(&image, 30, 20, ExtendedColorType::Rgb8).expect("written");
        }
    }
    if !upscaled(folder.path(), "san-light", 3) {
        return;
    }
    for at in 0..profiles.len() {
        for (i, color) in colors.into_iter().enumerate() {
            let out = image::open(folder.path().join(format!("out/{at}-{i}.png"))).expect("an image").into_rgb8();
            let (off, x, y) = furthest(&out, color);
            assert!(off <= 1, "profile {at}, {color:?}: {off} levels off at {x}, {y}");
        }
    }
}

/// Levels by which a flat image is off at most, and where.
fn furthest(out: &RgbImage, color: [u8; 3]) -> (u8, u32, u32) {
    let off = |pixel: &Rgb<u8>| pixel.0.into_iter().zip(color).map(|(a, b)| a.abs_diff(b)).max();
    let far = out.enumerate_pixels().map(|(x, y, pixel)| (off(pixel).unwrap_or(0), x, y));
    far.max().expect("an image has pixels")
}

/// Rings, from which the small image is made by an antialiased reduction: what is lost can be known from what is left.
#[test]
fn edges_come_out_nearer_to_the_truth_than_by_bicubic() {
    let truth = RgbImage::from_fn(192, 192, |x, y| {
        let (dx, dy) = (f64::from(x) - 95.5, f64::from(y) - 80.0);
        let ring = (dx.hypot(dy) / 7.0).sin();
        Rgb([if ring > 0.0 { 230 } else { 40 }, 128, if ring > 0.3 { 20 } else { 200 }])
    });
    let mut errors = Vec::new();
    for model in ["bicubic", "san-light"] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("in")).expect("a folder");
        resize(&truth, 48, 48, FilterType::CatmullRom).save(folder.path().join("in/a.png")).expect("written");
        if !upscaled(folder.path(), model, 4) {
            return;
        }
        let out = image::open(folder.path().join("out/a.png")).expect("an image").into_rgb8();
        assert_eq!(out.dimensions(), truth.dimensions());
        let error = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)).powi(2);
        errors.push(out.iter().zip(truth.iter()).map(error).sum::<f64>());
    }
    assert!(errors[1] < 0.7 * errors[0], "squared error of san-light is {} of bicubic's", errors[1] / errors[0]);
}
