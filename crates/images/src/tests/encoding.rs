//! Images out, and back in: what comes is what was given, and what breaks off never looks whole.

mod ends;

use std::sync::atomic::AtomicU64;

use moxcms::ColorProfile;
use proptest::prelude::*;

use super::{eight_bit, fixture, read};
use crate::encode::helpers::tests::Fickle;
use crate::encode::{EncodeError, QUALITY, Target, buffered_bytes, encode, encode_with};
use crate::metadata::OutputMetadata;
use crate::raster::{Channels, Depth, Raster, Samples};
use crate::testing::{made, padded};
use crate::units::Size;
use crate::{CodecError, OutputFormat};

const CHANNELS: [Channels; 4] = [Channels::Gray, Channels::GrayAlpha, Channels::Rgb, Channels::Rgba];
const DEPTHS: [Depth; 2] = [Depth::Eight, Depth::Sixteen];
const FORMATS: [OutputFormat; 4] = [OutputFormat::Png, OutputFormat::Jpeg, OutputFormat::WebP, OutputFormat::Tiff];

fn target(format: OutputFormat, image: &Raster) -> Target {
    let (channels, depth) = (image.channels(), image.depth());
    Target {
        format,
        quality: QUALITY,
        size: image.size(),
        channels,
        depth,
        icc: None,
        metadata: OutputMetadata::default(),
    }
}

/// Whether there is such a file.
fn holds(format: OutputFormat, channels: Channels) -> bool {
    format != OutputFormat::Jpeg || !channels.has_alpha()
}

fn scattered(size: Size, channels: Channels, depth: Depth, seed: u64) -> Raster {
    let count = size.pixels() * channels.count() as u64;
    let noise = (0..count).map(|i| ((i + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u16);
    let samples = match depth {
        Depth::Eight => Samples::U8(noise.map(|v| v as u8).collect()),
        Depth::Sixteen => Samples::U16(noise.collect()),
    };
    Raster::new(size, channels, samples)
}

/// A smooth image, which JPEG keeps nearly as it is.
fn smooth(size: Size, channels: Channels, depth: Depth) -> Raster {
    let mut samples = Vec::new();
    for y in 0..size.height {
        for x in 0..size.width {
            for c in 0..channels.count() as u32 {
                samples.push((20 + 2 * x + y + 30 * c).min(255) as u8);
            }
        }
    }
    let samples = match depth {
        Depth::Eight => Samples::U8(samples),
        Depth::Sixteen => Samples::U16(samples.into_iter().map(|v| u16::from(v) * 257).collect()),
    };
    Raster::new(size, channels, samples)
}

/// Cuts an image into bands of these heights, over and over.
fn bands(image: &Raster, heights: &[u32]) -> Vec<Raster> {
    let Size { width, height } = image.size();
    let row = width as usize * image.channels().count();
    let mut y = 0;
    let mut bands = Vec::new();
    for step in heights.iter().cycle() {
        let rows = (*step).min(height - y);
        let range = y as usize * row..(y + rows) as usize * row;
        let samples = match image.samples() {
            Samples::U8(v) => Samples::U8(v[range].to_vec()),
            Samples::U16(v) => Samples::U16(v[range].to_vec()),
        };
        bands.push(Raster::new(Size::new(width, rows), image.channels(), samples));
        y += rows;
        if y == height {
            break;
        }
    }
    bands
}

fn write(target: &Target, bands: Vec<Raster>) -> Result<Vec<u8>, EncodeError> {
    let mut file = Vec::new();
    encode(target, &mut bands.into_iter(), &mut file)?;
    Ok(file)
}

fn there_and_back(format: OutputFormat, image: &Raster, heights: &[u32]) -> Raster {
    let file = write(&target(format, image), bands(image, heights)).expect("it encodes");
    read(&file).expect("it decodes").1
}

fn to_8_bit(image: &Raster) -> Vec<u8> {
    match image.samples() {
        Samples::U8(v) => v.clone(),
        Samples::U16(v) => v.iter().map(|s| (f64::from(*s) / 257.0).round() as u8).collect(),
    }
}

fn images() -> impl Strategy<Value = (Raster, Vec<u32>)> {
    let size = (1..40_u32, 1..40_u32).prop_map(|(w, h)| Size::new(w, h));
    let kind = (prop::sample::select(&CHANNELS[..]), prop::sample::select(&DEPTHS[..]));
    (size, kind, any::<u32>(), prop::collection::vec(1..9_u32, 1..4)).prop_map(
        |(size, (channels, depth), seed, heights)| (scattered(size, channels, depth, u64::from(seed)), heights),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn png_is_exact((image, heights) in images()) {
        prop_assert_eq!(there_and_back(OutputFormat::Png, &image, &heights), image);
    }

    #[test]
    fn tiff_is_exact((image, heights) in images()) {
        prop_assert_eq!(there_and_back(OutputFormat::Tiff, &image, &heights), image);
    }

    /// In 8 bits and in color, which is all that WebP has.
    #[test]
    fn webp_is_exact((image, heights) in images()) {
        let back = there_and_back(OutputFormat::WebP, &image, &heights);
        let given = to_8_bit(&image);
        let expected: Vec<u8> = match image.channels() {
            Channels::Gray => given.iter().flat_map(|v| [*v; 3]).collect(),
            Channels::GrayAlpha => given.chunks_exact(2).flat_map(|p| [p[0], p[0], p[0], p[1]]).collect(),
            Channels::Rgb | Channels::Rgba => given,
        };
        prop_assert_eq!(back.channels().has_alpha(), image.channels().has_alpha());
        prop_assert_eq!(eight_bit(&back), expected);
    }

    #[test]
    fn jpeg_has_the_size_whatever_the_bands((image, heights) in images()) {
        prop_assume!(holds(OutputFormat::Jpeg, image.channels()));
        let back = there_and_back(OutputFormat::Jpeg, &image, &heights);
        prop_assert_eq!(back.size(), image.size());
        prop_assert_eq!(back.channels(), image.channels());
    }
}

#[test]
fn long_runs_survive_webp() {
    for channels in CHANNELS {
        let size = Size::new(211, 97);
        let samples = Samples::U8(vec![9; size.pixels() as usize * channels.count()]);
        let flat = Raster::new(size, channels, samples);
        let back = there_and_back(OutputFormat::WebP, &flat, &[97]);
        assert!(eight_bit(&back).iter().all(|v| *v == 9), "{channels:?}");
    }
}

#[test]
fn jpeg_keeps_colors_and_gray() {
    for channels in [Channels::Gray, Channels::Rgb] {
        for depth in DEPTHS {
            let image = smooth(Size::new(45, 30), channels, depth);
            let back = there_and_back(OutputFormat::Jpeg, &image, &[7, 1, 16]);
            assert_eq!(back.channels(), channels);
            let (largest, mean) = super::difference(eight_bit(&back), &to_8_bit(&image));
            assert!(largest <= 6 && mean < 1.0, "{channels:?} {depth:?}: largest {largest}, mean {mean}");
        }
    }
}

#[test]
fn jpeg_with_alpha_is_a_mistake_and_reported() {
    let image = smooth(Size::new(3, 2), Channels::Rgba, Depth::Eight);
    let error = write(&target(OutputFormat::Jpeg, &image), vec![image]).expect_err("JPEG has no alpha");
    assert!(matches!(error, EncodeError::Encoder(text) if text.contains("flattened")));
}

#[test]
fn helpers_change_no_byte() {
    // Some twenty strips; the last one is short.
    let image = scattered(Size::new(700, 2511), Channels::Rgb, Depth::Eight, 5);
    let alone = write(&target(OutputFormat::Png, &image), bands(&image, &[64])).expect("it encodes");
    for start in 0..5 {
        let helpers = Fickle(AtomicU64::new(start));
        let mut file = Vec::new();
        let mut bands = bands(&image, &[100, 3]).into_iter();
        encode_with(&target(OutputFormat::Png, &image), &mut bands, &mut file, &helpers).expect("it encodes");
        assert!(file == alone, "from {start}");
    }
    assert!(read(&alone).expect("it decodes").1 == image);
}

#[test]
fn quality_buys_likeness_with_bytes() {
    let image = read(fixture!("lossless.webp")).expect("an image").1;
    let at = |quality| {
        let target = Target { quality, ..target(OutputFormat::Jpeg, &image) };
        let file = write(&target, bands(&image, &[9])).expect("it encodes");
        let (_, back) = read(&file).expect("it decodes");
        (file.len(), super::difference(eight_bit(&back), eight_bit(&image)).1)
    };
    let steps = [1, 30, 90, 100].map(at);
    assert!(steps.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 > w[1].1), "{steps:?}");
}

#[test]
fn a_tiff_is_read_by_another_decoder() {
    for channels in CHANNELS {
        for depth in DEPTHS {
            let image = scattered(Size::new(31, 17), channels, depth, 3);
            let file = write(&target(OutputFormat::Tiff, &image), bands(&image, &[5])).expect("it encodes");
            let mut decoder = tiff::decoder::Decoder::new(std::io::Cursor::new(&file)).expect("a TIFF");
            let theirs = match decoder.read_image().expect("pixels") {
                tiff::decoder::DecodingResult::U8(v) => Samples::U8(v),
                tiff::decoder::DecodingResult::U16(v) => Samples::U16(v),
                _ => panic!("other samples"),
            };
            assert_eq!(&theirs, image.samples(), "{channels:?} {depth:?}");
        }
    }
}

#[test]
fn a_profile_goes_out_as_it_came() {
    // Large enough for two JPEG segments.
    let rgb = padded(made(&ColorProfile::new_display_p3()), 100_000);
    let gray = made(&ColorProfile::new_gray_with_gamma(1.8));
    for format in FORMATS {
        for (channels, icc) in [(Channels::Rgb, &rgb), (Channels::Rgba, &rgb), (Channels::Gray, &gray)] {
            if !holds(format, channels) {
                continue;
            }
            let image = smooth(Size::new(9, 5), channels, Depth::Eight);
            // WebP is always in color.
            let icc = if format == OutputFormat::WebP { &rgb } else { icc };
            let target = Target { icc: Some(icc[..].into()), ..target(format, &image) };
            let file = write(&target, vec![image]).expect("it encodes");
            let kept = read(&file).expect("it decodes").0.icc;
            assert_eq!(kept.as_ref().map(|kept| &kept.bytes[..]), Some(&icc[..]), "{format:?} {channels:?}");
        }
    }
}

#[test]
fn sides_have_a_limit_by_format() {
    let check = |format, width, height| {
        let size = Size::new(width, height);
        Target {
            format,
            quality: QUALITY,
            size,
            channels: Channels::Rgb,
            depth: Depth::Eight,
            icc: None,
            metadata: OutputMetadata::default(),
        }
        .check()
    };
    for (format, limit) in
        [(OutputFormat::WebP, 16_383), (OutputFormat::Jpeg, 65_535), (OutputFormat::Png, 2_147_483_647)]
    {
        assert_eq!(check(format, limit, 1), Ok(()));
        assert_eq!(check(format, 1, limit), Ok(()));
        for (width, height) in [(limit + 1, 1), (1, limit + 1)] {
            let error = check(format, width, height).expect_err("too long");
            assert!(matches!(
                error,
                CodecError::TooLarge { name: "output_side", limit: l, actual, .. }
                    if l == u64::from(limit) && actual == u64::from(limit) + 1
            ));
            // What is recommended does hold it, and all that does is.
            let remedy = error.to_string();
            for (other, name) in
                [(OutputFormat::Png, "PNG"), (OutputFormat::Tiff, "TIFF"), (OutputFormat::Jpeg, "JPEG")]
            {
                let header = remedy.rsplit("ask for").next().is_some_and(|formats| formats.contains(name));
                assert_eq!(header, check(other, width, height).is_ok(), "{remedy}");
            }
        }
    }
    let error = check(OutputFormat::WebP, 65_536, 1).expect_err("too long").to_string();
    assert!(error.ends_with("ask for PNG or TIFF"), "{error}");
}

#[test]
fn webp_holds_the_image_and_the_others_do_not() {
    let size = Size::new(10_000, 10_000);
    let (channels, depth) = (Channels::Rgba, Depth::Sixteen);
    let held = |format| {
        let metadata = OutputMetadata::default();
        buffered_bytes(&Target { format, quality: QUALITY, size, channels, depth, icc: None, metadata })
    };
    assert!(held(OutputFormat::Png) < 10 << 20);
    assert!(held(OutputFormat::Jpeg) < 2 << 20);
    assert!(held(OutputFormat::Tiff) < 2 << 20);
    assert!(held(OutputFormat::WebP) >= 8 * size.pixels());
}

#[test]
fn the_same_image_gives_the_same_bytes_whatever_the_bands() {
    let image = read(fixture!("profile.png")).expect("a PNG").1;
    for format in FORMATS {
        let files = [vec![26], vec![1], vec![5, 2]]
            .map(|heights| write(&target(format, &image), bands(&image, &heights)).expect("it encodes"));
        assert!(files.windows(2).all(|w| w[0] == w[1]), "{format:?}");
    }
}
