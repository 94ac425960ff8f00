//! PNG in: every color type and depth, transparency, interlacing, profiles, orientation.

use moxcms::ColorProfile;

use super::png_maker::{Png, profile_chunk, samples_per_pixel};
use super::{eight_bit, fixture, made_pixels, read};
use crate::orientation::Orientation;
use crate::raster::{Channels, Depth, Samples};
use crate::testing::{chunk, made, oriented, padded};
use crate::units::Size;
use crate::{CodecError, Warning};

/// Color type and bits of every pair in the standard.
const KINDS: [(u8, u8); 15] = [
    (0, 1),
    (0, 2),
    (0, 4),
    (0, 8),
    (0, 16),
    (2, 8),
    (2, 16),
    (3, 1),
    (3, 2),
    (3, 4),
    (3, 8),
    (4, 8),
    (4, 16),
    (6, 8),
    (6, 16),
];

fn palette_entry(i: u16) -> [u16; 3] {
    [i * 3 % 256, 255 - i, i * 7 % 256]
}

/// An image of scattered samples; palettes have as many entries as the depth has indices.
fn scattered(color: u8, bits: u8, interlaced: bool, size: Size) -> Png {
    let count = size.pixels() as usize * samples_per_pixel(color);
    let samples = (0..count).map(|i| ((i * 40_503 + 7) >> 3) as u16 & (u16::MAX >> (16 - bits))).collect();
    let before = if color == 3 {
        vec![(b"PLTE", (0..1_u16 << bits).flat_map(|i| palette_entry(i).map(|v| v as u8)).collect())]
    } else {
        Vec::new()
    };
    Png { width: size.width, height: size.height, bits, color, interlaced, samples, before }
}

/// What the standard makes of the samples: palette looked up, low depths stretched over 0..=255, transparency put in.
fn expected(png: &Png, transparent: Option<&[u16]>) -> Vec<u16> {
    let full = if png.bits == 16 { u16::MAX } else { u16::from(u8::MAX) };
    let stretch = |v: u16| if png.bits < 8 { v * (255 / ((1 << png.bits) - 1)) } else { v };
    let mut out = Vec::new();
    for pixel in png.samples.chunks_exact(samples_per_pixel(png.color)) {
        if png.color == 3 {
            out.extend(palette_entry(pixel[0]));
            out.extend(transparent.map(|t| t.get(usize::from(pixel[0])).copied().unwrap_or(full)));
        } else {
            out.extend(pixel.iter().map(|v| stretch(*v)));
            out.extend(transparent.map(|t| if t == pixel { 0 } else { full }));
        }
    }
    out
}

fn check(png: &Png, transparent: Option<&[u16]>) {
    let what = format!("color {} bits {} interlaced {} {transparent:?}", png.color, png.bits, png.interlaced);
    let (header, image) = read(&png.file()).expect(&what);
    let alpha = transparent.is_some() || png.color >= 4;
    let channels = match (png.color, alpha) {
        (0 | 4, false) => Channels::Gray,
        (0 | 4, true) => Channels::GrayAlpha,
        (_, false) => Channels::Rgb,
        (_, true) => Channels::Rgba,
    };
    assert_eq!((header.size, header.channels), (Size::new(png.width, png.height), channels), "{what}");
    assert_eq!(header.depth == Depth::Sixteen, png.bits == 16, "{what}");
    let samples = match image.into_samples() {
        Samples::U8(v) => v.into_iter().map(u16::from).collect(),
        Samples::U16(v) => v,
    };
    assert_eq!(samples, expected(png, transparent), "{what}");
}

#[test]
fn every_color_type_depth_and_interlacing() {
    for (color, bits) in KINDS {
        for interlaced in [false, true] {
            for size in [Size::new(1, 1), Size::new(13, 9), Size::new(3, 20)] {
                check(&scattered(color, bits, interlaced, size), None);
            }
        }
    }
}

#[test]
fn transparency_becomes_alpha() {
    for (color, bits) in KINDS {
        let mut png = scattered(color, bits, bits == 4, Size::new(13, 9));
        let transparent = match color {
            0 | 2 => png.samples[..samples_per_pixel(color)].to_vec(),
            // Shorter than the palette: what is not named is opaque.
            3 => vec![0, 77].into_iter().take(1 << (bits - 1)).collect(),
            _ => continue,
        };
        let data = if color == 3 {
            transparent.iter().map(|v| *v as u8).collect()
        } else {
            transparent.iter().flat_map(|v| v.to_be_bytes()).collect()
        };
        png.before.push((b"tRNS", data));
        check(&png, Some(&transparent));
    }
}

#[test]
fn transparency_that_cannot_be_meant_is_no_alpha() {
    let cut_short = |color, bits, data: &[u8]| {
        let mut png = scattered(color, bits, false, Size::new(5, 5));
        png.before.push((b"tRNS", data.to_vec()));
        png
    };
    check(&cut_short(0, 8, &[0]), None);
    check(&cut_short(2, 16, &[0; 5]), None);
    check(&cut_short(3, 8, &[]), None);
    let mut with_alpha = cut_short(6, 8, &[0; 6]);
    check(&with_alpha, None);
    with_alpha.before.clear();
    let mut before_palette = scattered(3, 8, false, Size::new(5, 5));
    before_palette.before.insert(0, (b"tRNS", vec![0; 4]));
    check(&before_palette, None);
}

#[test]
fn images_of_another_maker() {
    let (_, image) = read(fixture!("profile.png")).expect("RGB by Pillow");
    assert_eq!(eight_bit(&image), made_pixels(3));

    let (header, image) = read(fixture!("gray-16.png")).expect("16-bit gray by Pillow");
    assert_eq!((header.channels, header.depth), (Channels::Gray, Depth::Sixteen));
    let made: Vec<u16> = (0..26).flat_map(|y| (0..37).map(move |x| x * 1700 + y * 13)).collect();
    assert_eq!(image.samples(), &Samples::U16(made));

    let (header, image) = read(fixture!("palette-trns.png")).expect("palette with alpha by Pillow");
    assert_eq!(header.channels, Channels::Rgba);
    let made: Vec<u8> = (0..64_u8).map(|i| i % 16).flat_map(|i| [i * 16, 255 - i * 16, i, i * 17]).collect();
    assert_eq!(eight_bit(&image), made);
}

#[test]
fn animations_are_refused() {
    let error = read(fixture!("animated.png")).expect_err("two frames");
    assert!(matches!(error, CodecError::Unsupported(text) if text.contains("animated")));
    // One frame is a still image.
    let mut png = Png::gray(4, 4);
    png.before.push((b"acTL", [1_u32.to_be_bytes(), 0_u32.to_be_bytes()].concat()));
    assert!(read(&png.file()).is_ok());
}

#[test]
fn orientation_is_applied_once() {
    let (header, image) = read(fixture!("orientation-6.png")).expect("eXIf by Pillow");
    assert_eq!((header.size, header.orientation), (Size::new(32, 16), Orientation::Rotate90));
    super::jpeg::assert_quarters(&image, 0);
    // After the pixels, where the standard allows it as well.
    let mut file = Png::gray(4, 2).file();
    let end = file.len() - 12;
    file.splice(end..end, chunk(*b"eXIf", &oriented(8, true)));
    assert_eq!(read(&file).expect("eXIf at the end").0.size, Size::new(2, 4));
}

#[test]
fn a_profile_is_carried_only_if_it_fits() {
    use Warning::{ProfileMismatch, ProfileUnreadable};
    let icc_of = |file: &[u8]| {
        let header = read(file).expect("a profile fails no image").0;
        (header.icc.map(|kept| kept.bytes.to_vec()), header.warnings)
    };
    assert_eq!(icc_of(fixture!("profile.png")), (Some(fixture!("srgb.icc").to_vec()), vec![]));
    let with = |data: Vec<u8>| {
        let mut png = Png::gray(3, 3);
        png.before.push((b"iCCP", data));
        png.file()
    };
    let gray = made(&ColorProfile::new_gray_with_gamma(1.8));
    assert_eq!(icc_of(&with(profile_chunk(&gray))), (Some(gray.clone()), vec![]));
    assert_eq!(icc_of(&with(profile_chunk(fixture!("srgb.icc")))), (None, vec![ProfileMismatch]), "RGB in gray");
    for broken in [
        profile_chunk(b"nonsense"),
        b"no end of name".to_vec(),
        b"name\0\x01method".to_vec(),
        b"name\0\0not zlib".to_vec(),
    ] {
        assert_eq!(icc_of(&with(broken)), (None, vec![ProfileUnreadable]));
    }
    let mut broken = with(profile_chunk(&gray));
    let at = broken.windows(4).position(|w| w == b"iCCP").expect("it is there") + 5;
    broken[at] ^= 1;
    assert_eq!(icc_of(&broken), (None, vec![ProfileUnreadable]), "a wrong checksum");
}

#[test]
fn one_profile_is_inflated_and_no_more() {
    use Warning::{ProfileDuplicated, ProfileUnreadable};
    let gray = made(&ColorProfile::new_gray_with_gamma(1.8));
    let icc_of = |first: Vec<u8>| {
        let mut png = Png::gray(3, 3);
        png.before = vec![(b"iCCP", first), (b"iCCP", profile_chunk(&gray))];
        let header = read(&png.file()).expect("a profile fails no image").0;
        (header.icc.map(|kept| kept.bytes.len()), header.warnings)
    };
    // The second would do. That it is not taken shows that it was not looked at.
    let unread = (None, vec![ProfileDuplicated, ProfileUnreadable]);
    assert_eq!(icc_of(profile_chunk(&vec![0; (4 << 20) + 1])), unread, "the first one is too long");
    assert_eq!(icc_of(b"name\0\0not zlib".to_vec()), unread);
    assert_eq!(icc_of(profile_chunk(&padded(gray.clone(), 2000))), (Some(2000), vec![ProfileDuplicated]));
    let mut many = Png::gray(3, 3);
    many.before = vec![(b"iCCP", profile_chunk(&gray)); 4];
    assert_eq!(read(&many.file()).expect("a profile fails no image").0.warnings, [ProfileDuplicated], "reported once");
}
