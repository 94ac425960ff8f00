//! `upscale` and `eval` as typed: files, folders, exit codes, what is printed. The built-in bicubic upscales, so that no
//! runtime and no model is needed.

use std::fs;
use std::path::Path;
use std::process::Command;

use image::{Rgb, RgbImage};
use tempfile::TempDir;

/// Exit code, standard output and standard error of a command with the built-in model.
fn run(command: &str, args: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let mut upscaler = Command::new(env!("CARGO_BIN_EXE_san-upscaler"));
    let output = upscaler.env_clear().current_dir(folder).args([command, "--model", "bicubic"]).args(args).output();
    let output = output.expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn image(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 9 % 256) as u8, (y * 7 % 256) as u8, ((x + y) * 5 % 256) as u8]))
}

/// A folder with these images.
fn folder(images: &[(&str, u32, u32)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for &(name, width, height) in images {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("inside")).expect("a folder");
        image(width, height).save(path).expect("written");
    }
    dir
}

fn size(path: &Path) -> (u32, u32) {
    image::image_dimensions(path).expect("an image")
}

#[test]
fn one_file_becomes_the_file_that_is_named() {
    let dir = folder(&[("a.png", 30, 20)]);
    let (code, out, err) = run("upscale", &["a.png", "-o", "b.webp", "--scale", "3"], dir.path());
    assert_eq!((code, out.as_str()), (Some(0), "1 of 1 upscaled\n"), "{err}");
    assert_eq!(size(&dir.path().join("b.webp")), (90, 60));
}

#[test]
fn what_was_ignored_is_reported_and_the_flags_of_the_service_are_there() {
    let dir = folder(&[]);
    let unfit = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/images/profile-gray.jpg");
    let flags = ["--icc", "srgb", "--alpha", "flatten", "--background", "#102030", "--metadata", "none"];
    let args = [&[unfit, "-o", "b.png", "--density", "keep"][..], &flags].concat();
    let (code, _, err) = run("upscale", &args, dir.path());
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("profile-gray.jpg: its color profile is for other channels"), "{err}");
    assert_eq!(size(&dir.path().join("b.png")), (148, 104));
}

#[test]
fn any_size_can_be_asked_for() {
    let dir = folder(&[("a.png", 30, 20)]);
    for (args, expected) in [
        (&["--scale", "2.45"][..], (74, 49)),
        (&["--width", "100"], (100, 67)),
        (&["--height", "10"], (15, 10)),
        (&["--width", "64", "--height", "64", "--fit", "cover"], (64, 64)),
        (&["--width", "64", "--height", "64"], (64, 43)),
    ] {
        let (code, _, err) = run("upscale", &[&["a.png", "-o", "b.png"][..], args].concat(), dir.path());
        assert_eq!(code, Some(0), "{err}");
        assert_eq!(size(&dir.path().join("b.png")), expected, "{args:?}");
    }
    let (code, _, err) = run("upscale", &["a.png", "-o", "b.png", "--width", "241"], dir.path());
    assert_eq!(code, Some(1));
    assert!(err.contains("at most 240"), "{err}");
}

#[test]
fn a_file_that_fails_does_not_end_the_batch() {
    let dir = folder(&[("in/a.png", 30, 20), ("in/sub/c.png", 5, 40)]);
    fs::write(dir.path().join("in/b.jpg"), b"no image").expect("written");
    let (code, out, err) = run("upscale", &["in", "gone.png", "-o", "out", "--scale", "2"], dir.path());
    assert_eq!((code, out.as_str()), (Some(1), "2 of 4 upscaled\n"), "{err}");
    assert!(err.contains("2 failed:") && err.contains("b.jpg: ") && err.contains("gone.png: cannot be read"), "{err}");
    assert_eq!(size(&dir.path().join("out/a.png")), (60, 40));
    assert_eq!(size(&dir.path().join("out/sub/c.png")), (10, 80));
    let left: Vec<_> = fs::read_dir(dir.path().join("out")).expect("a folder").collect();
    assert_eq!(left.len(), 2, "nothing partial is left: {left:?}");
}

#[test]
fn an_input_is_never_overwritten() {
    let dir = folder(&[("a.png", 30, 20)]);
    let (code, _, err) = run("upscale", &["a.png", "-o", "."], dir.path());
    assert_eq!(code, Some(1));
    assert!(err.contains("would overwrite an input"), "{err}");
    assert_eq!(size(&dir.path().join("a.png")), (30, 20));
}

#[test]
fn wrong_arguments_end_before_any_work() {
    let dir = folder(&[("a.png", 30, 20)]);
    for wrong in [
        &["a.png", "-o", "out", "--scale", "9"][..],
        &["a.png", "-o", "out", "--scale", "2", "--width", "60"],
        &["a.png", "-o", "out", "--width", "60", "--fit", "cover"],
        &["a.png", "-o", "out", "--height", "0"],
        &["a.png", "-o", "out", "--max-batch", "0"],
        &["a.png"],
    ] {
        assert_eq!(run("upscale", wrong, dir.path()).0, Some(2), "{wrong:?}");
    }
    assert!(!dir.path().join("out").exists());
}

#[test]
fn the_ensemble_runs_on_the_command_line_too() {
    let dir = folder(&[("a.png", 40, 33)]);
    let (code, _, err) = run("upscale", &["a.png", "-o", "out", "--scale", "2", "--ensemble"], dir.path());
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(size(&dir.path().join("out/a.png")), (80, 66));
}

#[test]
fn eval_prints_a_table_and_a_document_that_agree() {
    let dir = folder(&[("Set/HR/a.png", 60, 48), ("Set/HR/b.png", 45, 70)]);
    let (code, table, err) = run("eval", &["--data", "Set", "--scale", "2"], dir.path());
    assert_eq!(code, Some(0), "{err}");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "Set x2, bicubic, tiled, on builtin, fp32");
    assert!(lines[2].starts_with("a ") && lines[3].starts_with("b ") && lines[4].starts_with("mean of 2"), "{table}");

    let (code, json, err) = run("eval", &["--data", "Set", "--scale", "2", "--json"], dir.path());
    assert_eq!(code, Some(0), "{err}");
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let mean = &report["sets"][0]["mean"];
    let psnr = format!("{:.3}", mean["psnr"].as_f64().expect("a number"));
    assert!(lines[4].contains(&psnr), "{psnr} is not in {table}");
    assert_eq!(report["sets"][0]["images"][1]["name"], "b");
}

/// Without a network every file is answered by bicubic, with the reason.
fn by_file(command: &str, args: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let mut upscaler = Command::new(env!("CARGO_BIN_EXE_san-upscaler"));
    upscaler.env_clear().current_dir(folder).args([command, "--only", "bicubic"]).args(args);
    let output = upscaler.output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn by_default_the_file_chooses_the_model_and_upscale_says_why() {
    let dir = folder(&[("a.png", 30, 20), ("b.jpg", 30, 20)]);
    let (code, _, err) = by_file("upscale", &["a.png", "b.jpg", "-o", "out", "--scale", "2"], dir.path());
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("a.png: by bicubic (PNG, lossless, which no model here suits)"), "{err}");
    assert!(err.contains("b.jpg: by bicubic (JPEG, quality about 75, which no model here suits)"), "{err}");
    let (code, _, err) = run("upscale", &["a.png", "-o", "c.png"], dir.path());
    assert_eq!(code, Some(0), "{err}");
    assert!(!err.contains("by bicubic"), "a name needs no reason: {err}");
}

#[test]
fn eval_degrades_and_says_so() {
    let dir = folder(&[("Set/HR/a.png", 60, 48)]);
    let args = ["--data", "Set", "--scale", "2", "--blur", "0.5", "--noise", "2", "--jpeg", "75"];
    let (code, table, err) = by_file("eval", &args, dir.path());
    assert_eq!(code, Some(0), "{err}");
    let head = "Set x2, bicubic (JPEG, quality about 75, which no model here suits), tiled, on builtin, fp32; \
                LR: blur 0.5, noise 2, JPEG quality 75 4:2:0";
    assert_eq!(table.lines().next(), Some(head));
    for wrong in [
        &["--jpeg", "0"][..],
        &["--jpeg", "101"],
        &["--chroma", "444"],
        &["--jpeg", "75", "--chroma", "422"],
        &["--blur", "0"],
        &["--noise", "-1"],
        &["--jpeg", "75", "--compare", "."],
    ] {
        assert_eq!(by_file("eval", &[&["--data", "Set"], wrong].concat(), dir.path()).0, Some(2), "{wrong:?}");
    }
}

#[test]
fn a_folder_without_models_has_none_to_choose() {
    let dir = folder(&[("a.png", 30, 20)]);
    fs::create_dir(dir.path().join("models")).expect("a folder");
    let mut upscaler = Command::new(env!("CARGO_BIN_EXE_san-upscaler"));
    let output = upscaler.env_clear().current_dir(dir.path()).args(["upscale", "a.png", "-o", "b.png"]).output();
    let output = output.expect("the binary runs");
    let err = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("models (--models, UPSCALER_MODELS) holds no model to choose"), "{err}");
}

#[test]
fn eval_measures_eight_times() {
    let dir = folder(&[("Set/HR/a.png", 99, 90)]);
    let (code, table, err) = run("eval", &["--data", "Set", "--scale", "8"], dir.path());
    assert_eq!(code, Some(0), "{err}");
    assert!(table.starts_with("Set x8, bicubic, tiled") && table.contains("mean of 1"), "{table}");
}

#[test]
fn eval_says_what_a_test_set_is() {
    let dir = folder(&[("a.png", 30, 20)]);
    let (code, _, err) = run("eval", &["--data", "."], dir.path());
    assert_eq!(code, Some(1));
    assert!(err.contains("no test set") && err.contains("HR"), "{err}");
}
