//! Small files from public reports that were answered wrongly before. What is right is what libjpeg-turbo and libtiff make of
//! them, read by Pillow.

use super::{eight_bit, fixture, read};
use crate::units::Size;
use crate::{CodecError, Warning};

/// The mean of each channel.
fn means(pixels: &[u8]) -> [f64; 3] {
    let count = (pixels.len() / 3) as f64;
    [0, 1, 2].map(|c| pixels.iter().skip(c).step_by(3).map(|v| f64::from(*v)).sum::<f64>() / count)
}

#[test]
fn a_small_lzw_tiff_is_whole() {
    let (probe, image) = read(fixture!("cases/lzw-3x2.tif")).expect("it is valid");
    assert_eq!(probe.size, Size::new(3, 2));
    assert!(eight_bit(&image).iter().all(|sample| *sample == 255));
}

#[test]
fn a_jpeg_without_huffman_tables_has_the_default_ones() {
    let file = fixture!("cases/no-huffman-tables.jpg");
    let (_, image) = read(file).expect("the tables of T.81, K.3");
    let gray = eight_bit(&image);
    assert_eq!((image.size(), gray[0], gray[4 * 16 + 4]), (Size::new(16, 16), 125, 225));
}

#[test]
fn a_jfif_marker_means_ycbcr_whatever_adobe_says() {
    for (file, what) in [
        (&fixture!("cases/adobe-then-jfif.jpg")[..], "Adobe first"),
        (&fixture!("cases/jfif-then-adobe.jpg")[..], "JFIF first"),
    ] {
        let (_, image) = read(file).expect(what);
        let (ours, theirs) = (means(eight_bit(&image)), [170.83, 173.89, 118.56]);
        assert!(ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1.0), "{what}: {ours:?}");
    }
}

#[test]
fn a_png_without_its_end_is_answered_and_the_rest_is_reported() {
    let (whole, file) = (fixture!("profile.png"), fixture!("cases/without-iend.png"));
    let (probe, image) = read(file).expect("all pixels are there");
    assert_eq!(probe.warnings, [Warning::TruncatedTrailer]);
    assert_eq!(image.size(), probe.size);
    assert_eq!(read(whole).expect("whole").0.warnings, []);
}

/// All of its own directories are of small copies, and the image is in one below.
#[test]
fn an_image_in_a_directory_below_is_not_its_thumbnail() {
    let mut file = b"II*\0\x08\0\0\0\x08\0".to_vec();
    let entries: [[u32; 2]; 8] = [[254, 1], [256, 1], [257, 1], [258, 8], [262, 1], [273, 0], [279, 1], [330, 8]];
    for [tag, value] in entries {
        file.extend([(tag as u16).to_le_bytes(), 4_u16.to_le_bytes()].concat());
        file.extend([1_u32.to_le_bytes(), value.to_le_bytes()].concat());
    }
    file.extend([0; 4]);
    let error = read(&file).expect_err("raw");
    assert!(matches!(&error, CodecError::Unsupported(text) if text.contains("raw image")), "{error}");
    // A page with small copies below it is a page.
    file[18] = 0;
    assert!(read(&file).is_ok());
}

#[test]
fn the_places_of_tiles_may_be_where_those_of_strips_should_be() {
    let file = fixture!("cases/tiles-by-strip-offsets.tif");
    let (probe, image) = read(file).expect("tiles of 16x16");
    assert_eq!(probe.size, Size::new(40, 24));
    let mut usual = file.to_vec();
    for entry in usual[10..][..15 * 12].as_chunks_mut::<12>().0 {
        match u16::from_le_bytes([entry[0], entry[1]]) {
            273 => entry[..2].copy_from_slice(&324_u16.to_le_bytes()),
            279 => entry[..2].copy_from_slice(&325_u16.to_le_bytes()),
            _ => {}
        }
    }
    assert!(read(&usual).expect("by the standard's tags").1 == image);
}
