//! JPEG in, against what libjpeg-turbo makes of the same files.

use super::{difference, eight_bit, fixture, probe, read};
use crate::orientation::Orientation;
use crate::raster::{Channels, Depth, Raster, Samples};
use crate::units::Size;
use crate::{CodecError, Warning};

/// Decoders round their inverse transforms and interpolate chroma each in their own way.
fn assert_like(name: &str, file: &[u8], reference: &[u8], max: u8, mean: f64) {
    let (_, ours) = read(file).expect(name);
    let (_, theirs) = read(reference).expect(name);
    assert_eq!(ours.channels(), theirs.channels(), "{name}");
    let (largest, average) = difference(eight_bit(&ours), eight_bit(&theirs));
    assert!(largest <= max && average <= mean, "{name}: largest {largest}, mean {average}");
}

macro_rules! like {
    ($name:literal, $max:literal, $mean:literal) => {
        assert_like($name, fixture!(concat!($name, ".jpg")), fixture!(concat!($name, ".png")), $max, $mean)
    };
}

#[test]
fn pixels_are_those_of_libjpeg() {
    like!("baseline-444", 4, 0.4);
    like!("baseline-422", 4, 0.4);
    like!("baseline-420", 4, 0.4);
    like!("baseline-411", 12, 0.8);
    like!("baseline-440", 12, 0.8);
    like!("restart", 4, 0.4);
    like!("progressive", 4, 0.4);
    like!("gray", 1, 0.2);
    like!("progressive-gray", 1, 0.2);
    like!("rgb-components", 1, 0.2);
}

/// What Pillow does not write: every sampling that is about, in one scan and in many, by the encoder of our JPEG
/// output. On a smooth image subsampled chroma is nearly what it was. Scans apart are refused where the decoder gets
/// their colors wrong; that encoder sets them apart when asked to, and for every factor of 4.
#[test]
fn every_subsampling_in_every_order_of_scans() {
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor as F};
    let (width, height) = (83_u16, 61_u16);
    let pixels: Vec<u8> = (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| [40 + x, 200 - 2 * y, 60 + x + y].map(|v| v as u8))
        .collect();
    for sampling in [F::F_1_1, F::F_2_1, F::F_1_2, F::F_2_2, F::F_4_1, F::F_4_2, F::F_1_4, F::F_2_4] {
        for (progressive, separate, restart) in
            [(false, false, 0), (false, false, 3), (false, true, 0), (true, false, 0), (true, false, 4)]
        {
            let what = format!("{sampling:?} progressive {progressive} separate {separate} restart {restart}");
            let mut file = Vec::new();
            let mut encoder = Encoder::new(&mut file, 95);
            encoder.set_sampling_factor(sampling);
            encoder.set_progressive(progressive);
            encoder.set_optimized_huffman_tables(separate);
            encoder.set_restart_interval(restart);
            encoder.encode(&pixels, width, height, ColorType::Rgb).expect("it encodes");
            let apart = !progressive && (separate || matches!(sampling, F::F_4_1 | F::F_4_2 | F::F_1_4 | F::F_2_4));
            if apart && sampling != F::F_1_1 {
                let error = read(&file).expect_err(&what);
                assert!(matches!(error, CodecError::Unsupported(text) if text.contains("separate scans")), "{what}");
                continue;
            }
            let (_, image) = read(&file).expect(&what);
            let (largest, mean) = difference(eight_bit(&image), &pixels);
            assert!(largest <= 24 && mean < 2.5, "{what}: largest {largest}, mean {mean}");
        }
    }
}

#[test]
fn gray_stays_gray() {
    for file in [&fixture!("gray.jpg")[..], fixture!("progressive-gray.jpg")] {
        let (header, _) = read(file).expect("gray");
        assert_eq!((header.channels, header.depth), (Channels::Gray, Depth::Eight));
    }
}

/// Red, green, blue, white, 16x8 each.
pub fn assert_quarters(image: &Raster, tolerance: u8) {
    assert_eq!(image.size(), Size::new(32, 16));
    for (x, y, color) in [(8, 4, [255, 0, 0]), (24, 4, [0, 255, 0]), (8, 12, [0, 0, 255]), (24, 12, [255; 3])] {
        for (c, level) in color.into_iter().enumerate() {
            let off = (image.level(x, y, c) - f32::from(level as u8)).abs();
            assert!(off <= f32::from(tolerance), "channel {c} at {x}, {y} is off by {off}");
        }
    }
}

#[test]
fn every_orientation_comes_out_upright() {
    let files: [&[u8]; 8] = [
        fixture!("orientation-1.jpg"),
        fixture!("orientation-2.jpg"),
        fixture!("orientation-3.jpg"),
        fixture!("orientation-4.jpg"),
        fixture!("orientation-5.jpg"),
        fixture!("orientation-6.jpg"),
        fixture!("orientation-7.jpg"),
        fixture!("orientation-8.jpg"),
    ];
    for (file, number) in files.into_iter().zip(1_u8..) {
        let (header, image) = read(file).expect("a JPEG by Pillow");
        assert_eq!(header.orientation as u8, number);
        assert_quarters(&image, 3);
    }
}

/// A frame header alone, with nothing before and after it.
fn frame(marker: u8, precision: u8, components: u8) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8, 0xff, marker, 0, 8 + 3 * components, precision, 0, 16, 0, 32, components];
    for id in 1..=components {
        file.extend([id, 0x11, 0]);
    }
    file
}

#[test]
fn kinds_that_are_not_decoded_are_refused_by_name() {
    for (marker, precision, components, word) in [
        (0xc0, 12, 3, "bits per sample"),
        (0xc1, 8, 2, "channels"),
        (0xc3, 8, 3, "lossless"),
        (0xc5, 8, 3, "hierarchical"),
        (0xc9, 8, 3, "arithmetic"),
        (0xca, 8, 1, "arithmetic"),
    ] {
        let error = probe(&frame(marker, precision, components)).expect_err(word);
        assert!(matches!(&error, CodecError::Unsupported(text) if text.contains(word)), "{word}: {error}");
    }
}

#[test]
fn a_header_is_enough_to_probe() {
    let header = probe(&frame(0xc0, 8, 3)).expect("baseline");
    assert_eq!((header.size, header.channels), (Size::new(32, 16), Channels::Rgb));
    assert!(matches!(read(&frame(0xc0, 8, 3)), Err(CodecError::Damaged(_))));
    // The image of a progressive file waits in coefficients of two bytes for its last scan.
    let progressive = probe(&frame(0xc2, 8, 3)).expect("progressive");
    assert_eq!(progressive.working_bytes - header.working_bytes, 32 * 16 * 3 * 2);
}

#[test]
fn a_header_that_tells_no_size_is_damaged() {
    for file in [&b"\xff\xd8\xff\xe0\0\x04ab"[..], b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xc0\0\x08\x08\0\x10"] {
        assert!(matches!(probe(file), Err(CodecError::Damaged(_))), "{file:?}");
    }
    let mut flat = frame(0xc0, 8, 3);
    flat[8] = 0;
    assert!(matches!(probe(&flat), Err(CodecError::Damaged(_))));
}

#[test]
fn a_profile_is_carried_only_if_it_fits() {
    let icc_of = |file: &[u8]| {
        let header = read(file).expect("a profile fails no image").0;
        (header.icc.map(|kept| kept.bytes.to_vec()), header.warnings)
    };
    assert_eq!(icc_of(fixture!("profile.jpg")), (Some(fixture!("srgb.icc").to_vec()), vec![]));
    assert_eq!(icc_of(fixture!("profile-gray.jpg")), (None, vec![Warning::ProfileMismatch]), "RGB in gray");
    assert_eq!(icc_of(fixture!("gray.jpg")), (None, vec![]));
}

#[test]
fn a_profile_in_parts_needs_every_part_and_of_two_the_first_counts() {
    use Warning::{ProfileDuplicated, ProfileUnreadable};
    let profile = fixture!("srgb.icc");
    let with = |parts: &[(u8, u8, &[u8])]| {
        let mut file = fixture!("baseline-444.jpg").to_vec();
        let segments: Vec<u8> = parts
            .iter()
            .flat_map(|(number, count, part)| {
                let length = (2 + 12 + 2 + part.len() as u16).to_be_bytes();
                [&[0xff, 0xe2][..], &length, b"ICC_PROFILE\0", &[*number, *count], part].concat()
            })
            .collect();
        file.splice(2..2, segments);
        let header = read(&file).expect("a profile fails no image").0;
        (header.icc.map(|kept| kept.bytes.to_vec()), header.warnings)
    };
    let (one, two) = profile.split_at(200);
    let whole = |warnings| (Some(profile.to_vec()), warnings);
    assert_eq!(with(&[(1, 2, one), (2, 2, two)]), whole(vec![]));
    assert_eq!(with(&[(2, 2, two), (1, 2, one)]), whole(vec![]));
    assert_eq!(with(&[(1, 1, profile), (1, 1, profile)]), whole(vec![ProfileDuplicated]));
    assert_eq!(with(&[(1, 1, profile), (1, 1, one)]), whole(vec![ProfileDuplicated]));
    assert_eq!(with(&[(1, 2, one)]), (None, vec![ProfileUnreadable]));
    assert_eq!(with(&[(1, 2, one), (1, 2, one)]), (None, vec![ProfileDuplicated, ProfileUnreadable]));
    assert_eq!(with(&[(0, 2, one), (1, 2, two)]), (None, vec![ProfileUnreadable]));
    assert_eq!(with(&[(1, 3, one), (2, 3, two)]), (None, vec![ProfileUnreadable]));
}

#[test]
fn what_follows_the_image_is_not_looked_at() {
    let alone = read(fixture!("baseline-420.jpg")).expect("a JPEG");
    let followed = [&fixture!("baseline-420.jpg")[..], b"\xff\xd8 a second image, \xff\xda and so on"].concat();
    assert_eq!(read(&followed).expect("with garbage after it"), alone);
    assert!(matches!(alone.1.samples(), Samples::U8(_)));
    assert_eq!(alone.0.orientation, Orientation::Upright);
}
