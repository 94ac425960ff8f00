//! WebP in, against what libwebp makes of the same files.

use super::{difference, eight_bit, fixture, made_pixels, probe, read};
use crate::orientation::Orientation;
use crate::raster::Channels;
use crate::units::Size;
use crate::{CodecError, Warning};

#[test]
fn lossless_is_exact_under_transparency_too() {
    let (header, image) = read(fixture!("lossless.webp")).expect("lossless");
    assert_eq!(header.channels, Channels::Rgb);
    assert_eq!(eight_bit(&image), made_pixels(3));
    let (header, image) = read(fixture!("lossless-alpha.webp")).expect("lossless with alpha");
    assert_eq!(header.channels, Channels::Rgba);
    assert_eq!(eight_bit(&image), made_pixels(4));
}

#[test]
fn lossy_is_that_of_libwebp() {
    for (file, reference, channels) in [
        (&fixture!("lossy.webp")[..], &fixture!("lossy.png")[..], Channels::Rgb),
        (fixture!("lossy-alpha.webp"), fixture!("lossy-alpha.png"), Channels::Rgba),
    ] {
        let (header, ours) = read(file).expect("lossy");
        assert_eq!(header.channels, channels);
        let (_, theirs) = read(reference).expect("its reference");
        // The format defines the planes to the bit; only the step to RGB may be rounded.
        let (largest, mean) = difference(eight_bit(&ours), eight_bit(&theirs));
        assert!(largest <= 2 && mean < 0.2, "{channels:?}: largest {largest}, mean {mean}");
    }
}

#[test]
fn animations_are_refused() {
    let error = read(fixture!("animated.webp")).expect_err("two frames");
    assert!(matches!(error, CodecError::Unsupported(text) if text.contains("animated")));
}

#[test]
fn orientation_is_applied_once() {
    let (header, image) = read(fixture!("orientation-6.webp")).expect("EXIF by Pillow");
    assert_eq!((header.size, header.orientation), (Size::new(32, 16), Orientation::Rotate90));
    super::jpeg::assert_quarters(&image, 0);
}

#[test]
fn a_profile_is_carried() {
    let (header, image) = read(fixture!("profile.webp")).expect("a profile by Pillow");
    assert_eq!(header.icc.map(|kept| kept.bytes.to_vec()).as_deref(), Some(&fixture!("srgb.icc")[..]));
    assert_eq!(eight_bit(&image), made_pixels(3));
}

#[test]
fn of_two_profiles_the_first_counts_and_a_broken_one_does_not() {
    let (profile, stream) = (&fixture!("srgb.icc")[..], plain_stream(fixture!("lossless.webp")));
    let header = |chunks: &[&[u8]]| {
        let canvas = [0x20, 0, 0, 0, 36, 0, 0, 25, 0, 0];
        let profiles = chunks.iter().map(|profile| (b"ICCP", *profile));
        let all: Vec<_> = [(b"VP8X", &canvas[..])].into_iter().chain(profiles).chain([(b"VP8L", stream)]).collect();
        let header = read(&riff(&all)).expect("a profile fails no image").0;
        (header.icc.map(|kept| kept.bytes.len()), header.warnings)
    };
    assert_eq!(header(&[profile]), (Some(profile.len()), vec![]));
    assert_eq!(header(&[profile, b"nonsense"]), (Some(profile.len()), vec![Warning::ProfileDuplicated]));
    let many = [profile, b"a", b"b", b"c"];
    assert_eq!(header(&many).1, [Warning::ProfileDuplicated], "reported once");
    assert_eq!(header(&[b"nonsense"]), (None, vec![Warning::ProfileUnreadable]));
}

fn riff(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let body: Vec<u8> = chunks
        .iter()
        .flat_map(|(kind, data)| {
            let pad = if data.len() % 2 == 1 { &b"\0"[..] } else { b"" };
            [&kind[..], &(data.len() as u32).to_le_bytes(), data, pad].concat()
        })
        .collect();
    [b"RIFF", &(body.len() as u32 + 4).to_le_bytes()[..], b"WEBP", &body].concat()
}

/// The one chunk of a plain file.
fn plain_stream(file: &[u8]) -> &[u8] {
    &file[20..]
}

#[test]
fn metadata_that_is_missing_or_false_fails_no_image() {
    let stream = plain_stream(fixture!("lossless.webp"));
    // All flags but animation set, nothing of it there.
    let canvas = [0x3c, 0, 0, 0, 36, 0, 0, 25, 0, 0];
    let (header, image) = read(&riff(&[(b"VP8X", &canvas), (b"VP8L", stream)])).expect("flags without chunks");
    assert_eq!((header.channels, header.icc), (Channels::Rgb, None));
    assert_eq!(eight_bit(&image), made_pixels(3));
}

#[test]
fn two_sizes_are_damaged_not_allocated() {
    let stream = plain_stream(fixture!("lossless.webp"));
    let canvas = [0, 0, 0, 0, 1, 0, 0, 1, 0, 0];
    let error = probe(&riff(&[(b"VP8X", &canvas), (b"VP8L", stream)])).expect_err("2x2 around 37x26");
    assert!(matches!(error, CodecError::Damaged(_)));
}

#[test]
fn a_canvas_is_enough_to_probe() {
    let canvas = [0x10, 0, 0, 0, 99, 0, 0, 49, 0, 0];
    let whole = riff(&[(b"VP8X", &canvas), (b"VP8L", &[0; 50])]);
    let header = probe(&whole[..30]).expect("VP8X is there");
    assert_eq!((header.size, header.channels), (Size::new(100, 50), Channels::Rgba));
    let error = probe(&whole[..20]).expect_err("VP8X is cut off");
    assert!(matches!(error, CodecError::Damaged(_)));
}

#[test]
fn an_image_that_may_lie_on_its_side_is_not_guessed_at() {
    let file = &fixture!("orientation-6.webp")[..];
    assert_eq!(probe(file).expect("whole").size, Size::new(32, 16));
    let error = probe(&file[..64]).expect_err("its Exif is missing");
    assert!(matches!(error, CodecError::Damaged(text) if text.ends_with("send the whole file")));
}
