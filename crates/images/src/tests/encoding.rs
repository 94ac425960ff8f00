//! Pictures out, and back in: what comes is what was given, and what breaks off never looks whole.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::atomic::AtomicU64;

use moxcms::ColorProfile;
use proptest::prelude::*;

use super::{eight_bit, fixture, read};
use crate::encode::helpers::tests::Fickle;
use crate::encode::{EncodeError, QUALITY, Target, encode, encode_with};
use crate::metadata::OutputMetadata;
use crate::raster::{Channels, Depth, Raster, Samples};
use crate::testing::{made, padded};
use crate::units::Size;
use crate::{CodecError, OutputFormat};

const CHANNELS: [Channels; 4] = [Channels::Gray, Channels::GrayAlpha, Channels::Rgb, Channels::Rgba];
const DEPTHS: [Depth; 2] = [Depth::Eight, Depth::Sixteen];
const FORMATS: [OutputFormat; 4] = [OutputFormat::Png, OutputFormat::Jpeg, OutputFormat::WebP, OutputFormat::Tiff];

fn target(format: OutputFormat, picture: &Raster) -> Target {
    let (channels, depth) = (picture.channels(), picture.depth());
    Target {
        format,
        quality: QUALITY,
        size: picture.size(),
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

/// A smooth picture, which JPEG keeps nearly as it is.
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

/// Cuts a picture into bands of these heights, over and over.
fn bands(picture: &Raster, heights: &[u32]) -> Vec<Raster> {
    let Size { width, height } = picture.size();
    let row = width as usize * picture.channels().count();
    let mut y = 0;
    let mut bands = Vec::new();
    for step in heights.iter().cycle() {
        let rows = (*step).min(height - y);
        let range = y as usize * row..(y + rows) as usize * row;
        let samples = match picture.samples() {
            Samples::U8(v) => Samples::U8(v[range].to_vec()),
            Samples::U16(v) => Samples::U16(v[range].to_vec()),
        };
        bands.push(Raster::new(Size::new(width, rows), picture.channels(), samples));
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

fn there_and_back(format: OutputFormat, picture: &Raster, heights: &[u32]) -> Raster {
    let file = write(&target(format, picture), bands(picture, heights)).expect("it encodes");
    read(&file).expect("it decodes").1
}

fn to_8_bit(picture: &Raster) -> Vec<u8> {
    match picture.samples() {
        Samples::U8(v) => v.clone(),
        Samples::U16(v) => v.iter().map(|s| (f64::from(*s) / 257.0).round() as u8).collect(),
    }
}

fn pictures() -> impl Strategy<Value = (Raster, Vec<u32>)> {
    let size = (1..40_u32, 1..40_u32).prop_map(|(w, h)| Size::new(w, h));
    let kind = (prop::sample::select(&CHANNELS[..]), prop::sample::select(&DEPTHS[..]));
    (size, kind, any::<u32>(), prop::collection::vec(1..9_u32, 1..4)).prop_map(
        |(size, (channels, depth), seed, heights)| (scattered(size, channels, depth, u64::from(seed)), heights),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn png_is_exact((picture, heights) in pictures()) {
        prop_assert_eq!(there_and_back(OutputFormat::Png, &picture, &heights), picture);
    }

    #[test]
    fn tiff_is_exact((picture, heights) in pictures()) {
        prop_assert_eq!(there_and_back(OutputFormat::Tiff, &picture, &heights), picture);
    }

    /// In 8 bits and in color, which is all that WebP has.
    #[test]
    fn webp_is_exact((picture, heights) in pictures()) {
        let back = there_and_back(OutputFormat::WebP, &picture, &heights);
        let given = to_8_bit(&picture);
        let expected: Vec<u8> = match picture.channels() {
            Channels::Gray => given.iter().flat_map(|v| [*v; 3]).collect(),
            Channels::GrayAlpha => given.chunks_exact(2).flat_map(|p| [p[0], p[0], p[0], p[1]]).collect(),
            Channels::Rgb | Channels::Rgba => given,
        };
        prop_assert_eq!(back.channels().has_alpha(), picture.channels().has_alpha());
        prop_assert_eq!(eight_bit(&back), expected);
    }

    #[test]
    fn jpeg_has_the_size_whatever_the_bands((picture, heights) in pictures()) {
        prop_assume!(holds(OutputFormat::Jpeg, picture.channels()));
        let back = there_and_back(OutputFormat::Jpeg, &picture, &heights);
        prop_assert_eq!(back.size(), picture.size());
        prop_assert_eq!(back.channels(), picture.channels());
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
            let picture = smooth(Size::new(45, 30), channels, depth);
            let back = there_and_back(OutputFormat::Jpeg, &picture, &[7, 1, 16]);
            assert_eq!(back.channels(), channels);
            let (largest, mean) = super::difference(eight_bit(&back), &to_8_bit(&picture));
            assert!(largest <= 6 && mean < 1.0, "{channels:?} {depth:?}: largest {largest}, mean {mean}");
        }
    }
}

#[test]
fn jpeg_with_alpha_is_a_mistake_and_told() {
    let picture = smooth(Size::new(3, 2), Channels::Rgba, Depth::Eight);
    let error = write(&target(OutputFormat::Jpeg, &picture), vec![picture]).expect_err("JPEG has no alpha");
    assert!(matches!(error, EncodeError::Encoder(text) if text.contains("flattened")));
}

#[test]
fn helpers_change_no_byte() {
    // Some twenty strips; the last one is short.
    let picture = scattered(Size::new(700, 2511), Channels::Rgb, Depth::Eight, 5);
    let alone = write(&target(OutputFormat::Png, &picture), bands(&picture, &[64])).expect("it encodes");
    for start in 0..5 {
        let helpers = Fickle(AtomicU64::new(start));
        let mut file = Vec::new();
        let mut bands = bands(&picture, &[100, 3]).into_iter();
        encode_with(&target(OutputFormat::Png, &picture), &mut bands, &mut file, &helpers).expect("it encodes");
        assert!(file == alone, "from {start}");
    }
    assert!(read(&alone).expect("it decodes").1 == picture);
}

#[test]
fn quality_buys_likeness_with_bytes() {
    let picture = read(fixture!("lossless.webp")).expect("a picture").1;
    let at = |quality| {
        let target = Target { quality, ..target(OutputFormat::Jpeg, &picture) };
        let file = write(&target, bands(&picture, &[9])).expect("it encodes");
        let (_, back) = read(&file).expect("it decodes");
        (file.len(), super::difference(eight_bit(&back), eight_bit(&picture)).1)
    };
    let steps = [1, 30, 90, 100].map(at);
    assert!(steps.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 > w[1].1), "{steps:?}");
}

#[test]
fn a_tiff_is_read_by_another_decoder() {
    for channels in CHANNELS {
        for depth in DEPTHS {
            let picture = scattered(Size::new(31, 17), channels, depth, 3);
            let file = write(&target(OutputFormat::Tiff, &picture), bands(&picture, &[5])).expect("it encodes");
            let mut decoder = tiff::decoder::Decoder::new(io::Cursor::new(&file)).expect("a TIFF");
            let theirs = match decoder.read_image().expect("pixels") {
                tiff::decoder::DecodingResult::U8(v) => Samples::U8(v),
                tiff::decoder::DecodingResult::U16(v) => Samples::U16(v),
                _ => panic!("other samples"),
            };
            assert_eq!(&theirs, picture.samples(), "{channels:?} {depth:?}");
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
            let picture = smooth(Size::new(9, 5), channels, Depth::Eight);
            // WebP is always in color.
            let icc = if format == OutputFormat::WebP { &rgb } else { icc };
            let target = Target { icc: Some(icc[..].into()), ..target(format, &picture) };
            let file = write(&target, vec![picture]).expect("it encodes");
            let kept = read(&file).expect("it decodes").0.icc;
            assert_eq!(kept.as_ref().map(|kept| &kept.bytes[..]), Some(&icc[..]), "{format:?} {channels:?}");
        }
    }
}

#[test]
fn bands_that_end_early_leave_no_whole_file() {
    for format in FORMATS {
        for channels in CHANNELS.into_iter().filter(|channels| holds(format, *channels)) {
            let picture = scattered(Size::new(300, 400), channels, Depth::Eight, 1);
            for given in [0, 1, 39] {
                let cut: Vec<_> = bands(&picture, &[10]).into_iter().take(given).collect();
                let mut file = Vec::new();
                let error = encode(&target(format, &picture), &mut cut.into_iter(), &mut file).expect_err("cut off");
                assert!(
                    matches!(error, EncodeError::BrokeOff(row) if row == 10 * given as u32),
                    "{format:?} {given}: {error}"
                );
                assert!(read(&file).is_err(), "{format:?} {channels:?} after {given} bands looks whole");
                assert!(!file.ends_with(b"IEND\xae\x42\x60\x82") && !file.ends_with(b"\xff\xd9"));
            }
        }
    }
}

#[test]
fn a_band_that_does_not_fit_is_refused() {
    for format in FORMATS {
        let picture = smooth(Size::new(8, 8), Channels::Rgb, Depth::Eight);
        for wrong in [
            smooth(Size::new(7, 8), Channels::Rgb, Depth::Eight),
            smooth(Size::new(8, 9), Channels::Rgb, Depth::Eight),
            smooth(Size::new(8, 8), Channels::Gray, Depth::Eight),
            smooth(Size::new(8, 8), Channels::Rgb, Depth::Sixteen),
        ] {
            let error = write(&target(format, &picture), vec![wrong]).expect_err("it does not fit");
            assert!(matches!(error, EncodeError::Encoder(_)), "{format:?}: {error}");
        }
    }
}

#[test]
fn no_band_is_asked_for_once_the_picture_is_whole() {
    for format in FORMATS {
        let picture = smooth(Size::new(8, 8), Channels::Rgb, Depth::Eight);
        let mut bands = bands(&picture, &[3]).into_iter().chain(std::iter::from_fn(|| panic!("one too many")));
        encode(&target(format, &picture), &mut bands, &mut Vec::new()).expect("it encodes");
    }
}

/// A reader who leaves after some bytes.
struct Leaves(usize);

impl Write for Leaves {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let taken = self.0.min(data.len());
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_who_leaves_is_a_write_error_and_stops_the_work() {
    for format in FORMATS {
        for stays in [0, 1000, 100_000] {
            let picture = scattered(Size::new(500, 600), Channels::Rgb, Depth::Eight, 1);
            let mut pulled = 0;
            let mut counted = bands(&picture, &[10]).into_iter().inspect(|_| pulled += 1);
            let error = encode(&target(format, &picture), &mut counted, &mut Leaves(stays)).expect_err("nobody reads");
            assert!(
                matches!(&error, EncodeError::Write(e) if e.kind() == io::ErrorKind::BrokenPipe),
                "{format:?}: {error}"
            );
            if format != OutputFormat::WebP {
                assert!(pulled < 30, "{format:?} went on for {pulled} of 60 bands");
            }
        }
    }
}

/// A reader who left while the picture was gathered: only asking tells.
struct Left {
    written: usize,
}

impl Write for Left {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.written += data.len();
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

#[test]
fn webp_is_not_encoded_for_nobody() {
    let picture = scattered(Size::new(50, 60), Channels::Rgb, Depth::Eight, 1);
    let mut left = Left { written: 0 };
    let error = encode(&target(OutputFormat::WebP, &picture), &mut bands(&picture, &[10]).into_iter(), &mut left);
    assert!(matches!(&error, Err(EncodeError::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe), "{error:?}");
    assert_eq!(left.written, 0);
}

/// A writer whose bytes can be looked at while it is lent out.
struct Shared<'a>(&'a RefCell<Vec<u8>>);

impl Write for Shared<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn bytes_leave_while_bands_still_come() {
    for format in [OutputFormat::Png, OutputFormat::Jpeg, OutputFormat::Tiff] {
        let picture = scattered(Size::new(1000, 300), Channels::Rgb, Depth::Eight, 1);
        let file = RefCell::new(Vec::new());
        let mut late = 0;
        let mut given = bands(&picture, &[10]).into_iter().enumerate().map(|(i, band)| {
            late = if i == 29 { file.borrow().len() } else { 0 };
            band
        });
        encode(&target(format, &picture), &mut given, &mut Shared(&file)).expect("it encodes");
        assert!(late > file.borrow().len() / 2, "{format:?}: {late} of {} before the last band", file.borrow().len());
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
                let told = remedy.rsplit("ask for").next().is_some_and(|formats| formats.contains(name));
                assert_eq!(told, check(other, width, height).is_ok(), "{remedy}");
            }
        }
    }
    let error = check(OutputFormat::WebP, 65_536, 1).expect_err("too long").to_string();
    assert!(error.ends_with("ask for PNG or TIFF"), "{error}");
}

#[test]
fn webp_holds_the_picture_and_the_others_do_not() {
    let size = Size::new(10_000, 10_000);
    let (channels, depth) = (Channels::Rgba, Depth::Sixteen);
    let held = |format| {
        Target { format, quality: QUALITY, size, channels, depth, icc: None, metadata: OutputMetadata::default() }
            .buffered_bytes()
    };
    assert!(held(OutputFormat::Png) < 10 << 20);
    assert!(held(OutputFormat::Jpeg) < 2 << 20);
    assert!(held(OutputFormat::Tiff) < 2 << 20);
    assert!(held(OutputFormat::WebP) >= 8 * size.pixels());
}

#[test]
fn the_same_picture_gives_the_same_bytes_whatever_the_bands() {
    let picture = read(fixture!("profile.png")).expect("a PNG").1;
    for format in FORMATS {
        let files = [vec![26], vec![1], vec![5, 2]]
            .map(|heights| write(&target(format, &picture), bands(&picture, &heights)).expect("it encodes"));
        assert!(files.windows(2).all(|w| w[0] == w[1]), "{format:?}");
    }
}
