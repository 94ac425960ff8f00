//! What compression has cost a file, by its header.

use super::*;
use crate::Loss;

fn loss(file: &str, frame: Option<u32>) -> Loss {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/images");
    let bytes = std::fs::read(folder.join(file)).expect("a fixture");
    probe_frame(&bytes, frame).expect("a good image").loss
}

#[test]
fn formats_that_lose_nothing() {
    for file in [
        "gray.png",
        "palette-trns.png",
        "lossless.webp",
        "lossless-alpha.webp",
        "kinds/rgb.bmp",
        "kinds/still.gif",
        "kinds/rgb.tif",
        "kinds/g4.tif",
        "kinds/packbits.tif",
        "kinds/rgb.jxl",
        "kinds/rgb-16.jxl",
        "kinds/rgba.jxl",
    ] {
        assert_eq!(loss(file, None), Loss::Lossless, "{file}");
    }
    assert_eq!(loss("animated.png", Some(0)), Loss::Lossless);
}

#[test]
fn formats_that_lose_something() {
    for file in ["lossy.webp", "lossy-alpha.webp", "kinds/lossy.jxl"] {
        assert_eq!(loss(file, None), Loss::Lossy, "{file}");
    }
}

#[test]
fn jpegs_and_tiffs_of_them_have_a_quality() {
    for file in [
        "baseline-420.jpg",
        "progressive.jpg",
        "gray.jpg",
        "cmyk.jpg",
        "kinds/inks-ycck.jpg",
        "kinds/jpeg.tif",
        "kinds/jpeg-tiles.tif",
    ] {
        assert!(matches!(loss(file, None), Loss::Jpeg { quality: Some(_) }), "{file}: {:?}", loss(file, None));
    }
}

#[test]
fn a_header_alone_is_enough() {
    for (file, length) in [("lossy.webp", 64), ("kinds/lossy.jxl", 64), ("baseline-420.jpg", 640)] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/images");
        let bytes = std::fs::read(folder.join(file)).expect("a fixture");
        let cut = probe_frame(&bytes[..length.min(bytes.len())], None).expect("a header");
        assert_eq!(cut.loss, loss(file, None), "{file}");
    }
}
