//! Small files from public reports that were answered wrongly before. What is right is what libjpeg-turbo and libtiff make of
//! them, read by Pillow.

use super::{eight_bit, fixture, read};
use crate::units::Size;

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
