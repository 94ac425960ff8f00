//! TIFF, BMP and JPEG XL in, of every kind that is read, against what their makers put into them.

use super::{difference, eight_bit, fixture, made_pixels, probe, probe_frame, read, read_frame};
use crate::metadata::Density;
use crate::orientation::Orientation;
use crate::raster::{Channels, Depth, Raster, Samples};
use crate::units::Size;
use crate::{CodecError, InputFormat, Warning};

macro_rules! kind {
    ($name:expr) => {
        &fixture!(concat!("kinds/", $name))[..]
    };
}

/// Some channels of what `pixel` in make.py declares.
fn made(channels: &[usize]) -> Vec<u8> {
    made_pixels(4).as_chunks::<4>().0.iter().flat_map(|pixel| channels.iter().map(|c| pixel[*c])).collect()
}

fn image(file: &[u8], what: &str) -> Raster {
    read(file).unwrap_or_else(|error| panic!("{what}: {error}")).1
}

#[test]
fn samples_are_what_was_written() {
    for (file, what, channels, expected) in [
        (kind!("gray.tif"), "strips", Channels::Gray, made(&[0])),
        (kind!("white-is-zero.tif"), "white is zero", Channels::Gray, made(&[0])),
        (kind!("gray-alpha.tif"), "gray with alpha", Channels::GrayAlpha, made(&[0, 3])),
        (kind!("rgb.tif"), "big-endian", Channels::Rgb, made(&[0, 1, 2])),
        (kind!("rgba.tif"), "differences, deflate", Channels::Rgba, made(&[0, 1, 2, 3])),
        (kind!("rgb-unspecified.tif"), "a sample that means nothing", Channels::Rgb, made(&[0, 1, 2])),
        (kind!("packbits.tif"), "run lengths", Channels::Rgb, made(&[0, 1, 2])),
        (kind!("tiles.tif"), "tiles, LZW", Channels::Rgb, made(&[0, 1, 2])),
        (kind!("planes.tif"), "planes in strips", Channels::Rgb, made(&[0, 1, 2])),
        (kind!("plane-tiles.tif"), "planes in tiles", Channels::Rgba, made(&[0, 1, 2, 3])),
        (kind!("rgb.bmp"), "24 bits", Channels::Rgb, made(&[0, 1, 2])),
        (kind!("gray.bmp"), "a palette of grays", Channels::Rgb, made(&[0, 0, 0])),
        (kind!("rgba.bmp"), "alpha by a mask", Channels::Rgba, made(&[0, 1, 2, 3])),
        (kind!("gray.jxl"), "JPEG XL", Channels::Gray, made(&[0])),
        (kind!("rgb.jxl"), "JPEG XL in boxes", Channels::Rgb, made(&[0, 1, 2])),
        (kind!("rgba.jxl"), "JPEG XL with alpha", Channels::Rgba, made(&[0, 1, 2, 3])),
    ] {
        let image = image(file, what);
        assert_eq!(image.channels(), channels, "{what}");
        assert!(eight_bit(&image) == expected, "{what}");
    }
}

#[test]
fn sixteen_bits_stay_so_in_either_byte_order() {
    let expected: Vec<u16> = made(&[0, 1, 2]).iter().map(|v| u16::from(*v) * 256 + 7).collect();
    for (file, what) in [
        (kind!("rgb-16-be.tif"), "big-endian, differences, LZW"),
        (kind!("rgb-16-le.tif"), "little-endian, differences, deflate"),
        (kind!("big.tif"), "BigTIFF"),
        (kind!("rgb-16.jxl"), "JPEG XL"),
    ] {
        let image = image(file, what);
        assert_eq!((image.channels(), image.depth()), (Channels::Rgb, Depth::Sixteen), "{what}");
        assert!(image.samples() == &Samples::U16(expected.clone()), "{what}");
    }
}

#[test]
fn one_bit_is_black_and_white() {
    let expected: Vec<u8> = made(&[2]).iter().map(|v| if v & 4 == 0 { 0 } else { 255 }).collect();
    for (file, what) in [
        (kind!("bits.tif"), "bits"),
        (kind!("g4.tif"), "fax"),
        (kind!("g4-turned.tif"), "fax, low bit first"),
        (kind!("g4-white.tif"), "fax in strips"),
    ] {
        let image = image(file, what);
        assert_eq!(image.channels(), Channels::Gray);
        assert!(eight_bit(&image) == expected, "{what}");
    }
    let in_color: Vec<u8> = expected.iter().flat_map(|v| [*v; 3]).collect();
    assert!(eight_bit(&image(kind!("bits.bmp"), "BMP")) == in_color);
}

#[test]
fn palettes_are_expanded() {
    let expected = image(kind!("palette.png"), "the reference");
    for (file, what) in
        [(kind!("palette.tif"), "8 bits"), (kind!("palette.bmp"), "BMP"), (kind!("rle.bmp"), "BMP, run lengths")]
    {
        assert!(image(file, what) == expected, "{what}");
    }
    assert!(image(kind!("palette-4.tif"), "4 bits") == image(kind!("palette-4.png"), "the reference"));
}

#[test]
fn five_six_five_bits_are_spread() {
    let (largest, _) = difference(eight_bit(&image(kind!("565.bmp"), "565")), &made(&[0, 1, 2]));
    assert!(largest <= 8, "{largest}");
}

#[test]
fn colors_lose_the_alpha_they_were_multiplied_by() {
    let image = image(kind!("premultiplied.tif"), "premultiplied");
    let expected = made(&[0, 1, 2, 3]);
    for (ours, made) in eight_bit(&image).as_chunks::<4>().0.iter().zip(expected.as_chunks::<4>().0) {
        assert_eq!(ours[3], made[3]);
        // The product was rounded: that is half a level of it.
        let slack = if made[3] == 0 { 255.0 } else { 0.5 + 0.5 * 255.0 / f64::from(made[3]) };
        let near = (0..3).all(|c| f64::from(ours[c].abs_diff(made[c])) <= slack);
        assert!(near, "{ours:?} of {made:?}");
    }
}

#[test]
fn photographs_within_are_those_of_libtiff() {
    for (file, reference, what) in [
        (kind!("jpeg.tif"), kind!("jpeg.png"), "strips in YCbCr"),
        (kind!("jpeg-tiles.tif"), kind!("jpeg-tiles.png"), "tiles"),
        (kind!("jpeg-rgb.tif"), kind!("jpeg-rgb.png"), "RGB, whatever a JPEG decoder would guess"),
    ] {
        let (ours, theirs) = (image(file, what), image(reference, what));
        let (largest, mean) = difference(eight_bit(&ours), eight_bit(&theirs));
        assert!(largest <= 6 && mean < 0.8, "{what}: largest {largest}, mean {mean}");
    }
}

#[test]
fn lossy_jpeg_xl_is_that_of_libjxl() {
    let (ours, theirs) = (image(kind!("lossy.jxl"), "ours"), image(kind!("lossy-jxl.png"), "theirs"));
    let (largest, mean) = difference(eight_bit(&ours), eight_bit(&theirs));
    assert!(largest <= 4 && mean < 0.5, "largest {largest}, mean {mean}");
}

#[test]
fn four_inks_become_three_colors() {
    let expected = eight_bit(&image(kind!("inks.png"), "Pillow's own")).to_vec();
    assert_eq!(eight_bit(&image(kind!("cmyk.tif"), "TIFF")), expected);
    for (file, theirs, what) in [
        (kind!("inks-turned.jpg"), kind!("inks-turned.png"), "Adobe's way"),
        (kind!("inks-progressive.jpg"), kind!("inks-progressive.png"), "progressive"),
        (kind!("inks-ycck.jpg"), kind!("inks-ycck.png"), "luma and chroma"),
    ] {
        let (ours, theirs) = (image(file, what), image(theirs, what));
        assert_eq!(ours.channels(), Channels::Rgb);
        assert_eq!(read(file).expect("read once").0.warnings, [Warning::CmykNaive], "{what}");
        let (largest, mean) = difference(eight_bit(&ours), eight_bit(&theirs));
        assert!(largest <= 8 && mean < 0.8, "{what}: largest {largest}, mean {mean}");
        // A rough likeness to what was meant, lest both be wrong.
        let (_, mean) = difference(eight_bit(&ours), &expected);
        assert!(mean < 6.0, "{what}: {mean} from the inks");
    }
}

#[test]
fn inks_with_a_profile_look_as_it_says() {
    for (file, theirs) in
        [(kind!("inks-profile.jpg"), kind!("inks-profile.png")), (kind!("cmyk-profile.tif"), kind!("cmyk-profile.png"))]
    {
        let (header, ours) = read(file).expect("inks and a profile");
        assert_eq!((header.warnings, header.icc, header.cmyk_transform.is_some()), (Vec::new(), None, true));
        let (largest, mean) = difference(eight_bit(&ours), eight_bit(&image(theirs, "Little CMS")));
        assert!(largest <= 8 && mean < 1.0, "largest {largest}, mean {mean}");
    }
}

#[test]
fn inks_are_made_colors_by_rule_where_their_profile_is_of_no_use() {
    let file = kind!("inks-profile.jpg");
    let bent = |from: &[u8], to: &[u8]| {
        let at = file.windows(from.len()).position(|part| part == from).expect("it is there");
        [&file[..at], to, &file[at + from.len()..]].concat()
    };
    let naive = eight_bit(&image(kind!("inks-turned.jpg"), "the same inks")).to_vec();
    for (bent, warning) in [
        (bent(b"CMYKLab ", b"RGB Lab "), Warning::ProfileMismatch),
        (bent(b"prtrCMYK", b"linkCMYK"), Warning::ProfileMismatch),
        (bent(b"mft2", b"mft9"), Warning::ProfileUnreadable),
        (bent(b"acsp", b"acps"), Warning::ProfileUnreadable),
    ] {
        let (header, image) = read(&bent).expect("the image is sound");
        assert_eq!(header.warnings, [warning, Warning::CmykNaive]);
        assert!(header.cmyk_transform.is_none() && eight_bit(&image) == naive, "{warning:?}");
    }
}

#[test]
fn orientation_and_profile_are_heard() {
    let (header, image) = read(kind!("orientation-6.tif")).expect("turned");
    assert_eq!((header.size, header.orientation), (Size::new(32, 16), Orientation::Rotate90));
    super::jpeg::assert_quarters(&image, 12);
    let (header, _) = read(kind!("profile.tif")).expect("a profile");
    assert_eq!(header.icc.map(|kept| kept.bytes.to_vec()).as_deref(), Some(&fixture!("srgb.icc")[..]));
}

#[test]
fn a_page_must_be_named_where_there_are_several() {
    let file = kind!("pages.tif");
    assert!(matches!(probe(file), Err(CodecError::Unsupported(text)) if text.contains("2 pages")));
    // The small copy between them is no page.
    for (page, channels) in [(0, Channels::Rgb), (1, Channels::Gray)] {
        let (header, image) = read_frame(file, Some(page)).expect("it is there");
        assert_eq!((header.format, header.channels, header.size), (InputFormat::Tiff, channels, Size::new(37, 26)));
        assert_eq!(eight_bit(&image), made_pixels(channels.count()));
    }
    assert!(matches!(probe_frame(file, Some(2)), Err(CodecError::NoFrame(text)) if text.contains("2 pages")));
}

#[test]
fn each_page_has_notes_of_its_own() {
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    for (artist, next) in [(*b"Ada\0", true), (*b"Bob\0", false)] {
        let short = |tag: u16, value: u32| (tag, 3_u16, 1_u32, value.to_le_bytes());
        // One pixel of gray, which is the first byte of the file.
        let entries = [
            short(256, 1),
            short(257, 1),
            short(258, 8),
            short(262, 1),
            short(273, 0),
            short(279, 1),
            (315, 2, 4, artist),
        ];
        file.extend((entries.len() as u16).to_le_bytes());
        for (tag, kind, count, value) in entries {
            file.extend([&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value].concat());
        }
        let end = file.len() as u32 + 4;
        file.extend(if next { end } else { 0 }.to_le_bytes());
    }
    for (page, artist) in [(0, b"Ada"), (1, b"Bob")] {
        let header = probe_frame(&file, Some(page)).expect("two pages");
        assert_eq!(header.metadata.rights.artist.as_deref(), Some(&artist[..]));
    }
}

/// A BMP of one pixel of 24 bits, with these sides and this density in its header.
fn bmp([width, height, across, down]: [i32; 4]) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    for number in [58, 0, 54, 40, width, height, 1 | 24 << 16, 0, 4, across, down, 0, 0, 0] {
        file.extend(number.to_le_bytes());
    }
    file
}

#[test]
fn a_bmp_says_how_large_it_is_on_paper() {
    for (meter, inch) in [([3780, 3780], (96.0, 96.0)), ([11_811, 2835], (300.0, 72.0))] {
        let header = probe(&bmp([1, 1, meter[0], meter[1]])).expect("a BMP");
        assert_eq!(header.metadata.density, Density::per_inch(inch.0, inch.1));
    }
    for meter in [[0, 0], [3780, 0], [-1, -1]] {
        let header = probe(&bmp([1, 1, meter[0], meter[1]])).expect("a BMP");
        assert_eq!(header.metadata.density, None, "{meter:?}");
    }
    // The oldest header has no such numbers: where they would be are pixels.
    let old = *b"BM\x3a\0\0\0\0\0\0\0\x1a\0\0\0\x0c\0\0\0\x02\0\x04\0\x01\0\x18\0";
    let (header, image) = read(&[&old[..], &[0x10, 0x27, 0, 0].repeat(8)].concat()).expect("a BMP");
    assert_eq!((header.metadata.density, image.size()), (None, Size::new(2, 4)));
}

#[test]
fn sides_of_a_bmp_are_judged_by_their_values() {
    let judged = |width, height| probe(&bmp([width, height, 0, 0])).map(|header| header.size);
    assert_eq!(judged(1, -1), Ok(Size::new(1, 1)), "from the top");
    assert_eq!(judged(65_535, 1), Ok(Size::new(65_535, 1)));
    for (width, height, side) in
        [(65_536, 1, 65_536), (1, -65_536, 65_536), (1, i32::MIN, 1 << 31), (100_000, 100_000, 100_000)]
    {
        let error = judged(width, height).expect_err("too long");
        let CodecError::TooLarge { name, limit, actual, .. } = error else { panic!("{width} x {height}: {error}") };
        assert_eq!((name, limit, actual), ("input_side", 65_535, side));
    }
    for (width, height) in [(0, 0), (0, 5), (5, 0), (-5, 5)] {
        let error = judged(width, height).expect_err("no size");
        let header = format!("{width} x {height} pixels");
        assert!(matches!(&error, CodecError::Damaged(text) if text.contains(&header)), "{error}");
    }
}

#[test]
fn what_is_not_read_is_reported_by_name() {
    for (file, name) in [
        (kind!("float.tif"), "floating-point"),
        (kind!("rgb-32.tif"), "32 bits"),
        (kind!("g3.tif"), "group 3"),
        // Found by bending rgb.jxl: it claims to be in XYB for good.
        (kind!("xyb.jxl"), "colors of a rare kind"),
        (kind!("inks-plain.jpg"), "does not say how its inks are stored"),
        (&fixture!("cases/dng-thumbnail.dng")[..], "camera's raw image"),
    ] {
        let error = probe(file).expect_err(name);
        assert!(matches!(&error, CodecError::Unsupported(text) if text.contains(name)), "{error}");
        assert!(!error.to_string().contains("numbers, which is"), "{error}");
    }
}
