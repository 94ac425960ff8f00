//! Any picture with any options: the answer is what the plan promised, other decoders read it, and with bicubic it is
//! what another's resize makes of it.
//!
//! 32 cases, the same in every run; `PROPTEST_CASES=8000` makes it a thousand new ones (an eighth of what proptest is
//! asked for).
//! `convert`, if there is one, reads the answers too.

use std::f64::consts::TAU;
use std::io::{Cursor, Write};
use std::process::{Command, Stdio};

use image::{DynamicImage, ExtendedColorType, ImageBuffer, ImageFormat};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use tiff::decoder::DecodingResult;

use crate::support::Server;

/// What proptest runs if nobody asks for more.
const USUAL: u32 = 256;
/// Levels that two ways of bicubic may differ by: one enlarges first and reduces then.
const NEAR: f64 = 5.0;
/// The same on average, through a JPEG.
const NEAR_IN_JPEG: f64 = 4.0;

/// A picture as it is made up: levels of 0 to 255 of each channel, alpha the last.
#[derive(Clone, Debug)]
struct Picture {
    width: u32,
    height: u32,
    channels: usize,
    levels: Vec<f64>,
}

/// A file of such a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Container {
    Png { sixteen: bool },
    Jpeg { orientation: u8 },
    WebP,
    Bmp,
}

#[derive(Clone, Debug)]
enum Size {
    /// In tenths.
    Scale(u32),
    /// Shares of what can be asked for at most.
    Sides { width: Option<f64>, height: Option<f64>, fit: &'static str },
}

#[derive(Clone, Debug)]
struct Case {
    width: u32,
    height: u32,
    channels: usize,
    /// Periods of the waves that the picture is made of, in pixels.
    waves: (f64, f64),
    container: Container,
    size: Size,
    format: &'static str,
    flatten: Option<[u8; 3]>,
    ensemble: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    let container = (0..6, 1u8..=8).prop_map(|(kind, orientation)| match kind {
        0 => Container::Jpeg { orientation },
        1 => Container::WebP,
        2 => Container::Bmp,
        kind => Container::Png { sixteen: kind < 5 },
    });
    let share = || prop::option::of(0.001..1.0);
    let fit = prop::sample::select(vec!["inside", "cover", "fill"]);
    let size = prop_oneof![
        (10u32..=80).prop_map(Size::Scale),
        (share(), share(), fit).prop_map(|(width, height, fit)| match (width, height) {
            (None, None) => Size::Scale(10),
            _ => Size::Sides { width, height, fit },
        }),
    ];
    let format = prop::sample::select(vec!["png", "jpeg", "webp", "tiff"]);
    let flatten = prop::option::weighted(0.3, any::<[u8; 3]>());
    let picture = (1u32..=200, 1u32..=200, 1usize..=4, (24.0..90.0, 24.0..90.0));
    (picture, container, size, format, flatten, prop::bool::weighted(0.2)).prop_map(
        |((width, height, channels, waves), container, size, format, flatten, ensemble)| {
            let channels = match container {
                Container::Png { .. } => channels,
                // JPEG has no transparency, and WebP no gray.
                Container::Jpeg { .. } => {
                    if channels < 3 {
                        1
                    } else {
                        3
                    }
                }
                Container::WebP => {
                    if channels < 4 {
                        3
                    } else {
                        4
                    }
                }
                Container::Bmp => 3,
            };
            Case { width, height, channels, waves, container, size, format, flatten, ensemble }
        },
    )
}

impl Case {
    /// Smooth, so that all ways of resizing agree; alpha is never quite clear, so that all colours count.
    fn picture(&self) -> Picture {
        let Self { width, height, channels, waves: (across, down), .. } = *self;
        let wave = |x: u32, y: u32, channel: usize| {
            let (x, y, turn) = (f64::from(x) / across, f64::from(y) / down, channel as f64 / 4.0);
            let level = 128.0 + 60.0 * ((x + turn) * TAU).sin() + 50.0 * ((y - turn) * TAU).cos();
            if channel + 1 == channels && channels.is_multiple_of(2) { level / 2.0 + 120.0 } else { level }
        };
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let levels = pixels.flat_map(|(x, y)| (0..channels).map(move |c| wave(x, y, c))).collect();
        Picture { width, height, channels, levels }
    }

    fn query(&self) -> String {
        let (width, height) = self.seen();
        let size = match &self.size {
            Size::Scale(tenths) => format!("scale={}.{}", tenths / 10, tenths % 10),
            Size::Sides { width: w, height: h, fit } => {
                let side = |name: &str, share: Option<f64>, side: u32| {
                    share.map(|share| format!("{name}={}", asked(share, side))).into_iter()
                };
                let both = w.is_some() && h.is_some();
                let sides = side("width", *w, width).chain(side("height", *h, height));
                sides.chain(both.then(|| format!("fit={fit}"))).collect::<Vec<_>>().join("&")
            }
        };
        let flatten = |[r, g, b]: [u8; 3]| format!("&alpha=flatten&background={r:02x}{g:02x}{b:02x}");
        let flatten = self.flatten.map(flatten).unwrap_or_default();
        format!("{size}&format={}&ensemble={}{flatten}", self.format, self.ensemble)
    }

    /// Sides of the upright picture.
    fn seen(&self) -> (u32, u32) {
        match self.container {
            Container::Jpeg { orientation: 5.. } => (self.height, self.width),
            _ => (self.width, self.height),
        }
    }

    /// The size of the answer, and the part of the upright picture that it shows: left, top, width, height.
    fn expected(&self) -> ((u32, u32), [f64; 4]) {
        let (width, height) = self.seen();
        let whole = [0.0, 0.0, f64::from(width), f64::from(height)];
        let follows = |side: u32, to: u32, from: u32| ((2 * side * to + from) / (2 * from)).max(1);
        match &self.size {
            Size::Scale(tenths) => (((width * tenths + 5) / 10, (height * tenths + 5) / 10), whole),
            Size::Sides { width: Some(w), height: None, .. } => {
                let w = asked(*w, width);
                ((w, follows(height, w, width)), whole)
            }
            Size::Sides { width: None, height, .. } => {
                let h = asked(height.unwrap_or(1.0), self.seen().1);
                ((follows(width, h, self.seen().1), h), whole)
            }
            Size::Sides { width: Some(w), height: Some(h), fit } => {
                let (w, h) = (asked(*w, width), asked(*h, height));
                let wide = w * height >= h * width;
                match *fit {
                    "fill" => ((w, h), whole),
                    "inside" if wide => ((follows(width, h, height), h), whole),
                    "inside" => ((w, follows(height, w, width)), whole),
                    _ => {
                        let (all_w, all_h) =
                            if wide { (w, follows(height, w, width)) } else { (follows(width, h, height), h) };
                        // Pixels of the upload that one of the answer is, and the first that is shown.
                        let (x, y) = (f64::from(width) / f64::from(all_w), f64::from(height) / f64::from(all_h));
                        let (left, top) = (f64::from((all_w - w) / 2) * x, f64::from((all_h - h) / 2) * y);
                        ((w, h), [left, top, f64::from(w) * x, f64::from(h) * y])
                    }
                }
            }
        }
    }

    /// Channels and bits that the answer's file must have.
    fn layout(&self) -> (usize, u8) {
        let (gray, alpha) = (self.channels < 3, self.channels.is_multiple_of(2));
        let flattened = alpha && (self.format == "jpeg" || self.flatten.is_some());
        let grayish = self.flatten.is_none_or(|[r, g, b]| r == g && g == b);
        let gray = gray && self.format != "webp" && (!flattened || grayish);
        let channels = if gray { 1 } else { 3 } + usize::from(alpha && !flattened);
        let sixteen = self.container == (Container::Png { sixteen: true }) && matches!(self.format, "png" | "tiff");
        (channels, if sixteen { 16 } else { 8 })
    }
}

/// A side of 1 to 8 times `side`.
fn asked(share: f64, side: u32) -> u32 {
    ((share * f64::from(8 * side)) as u32).max(1)
}

impl Picture {
    /// An answer, as another than our codec reads it.
    fn read(file: &[u8], format: &str) -> (Self, u8) {
        if format != "tiff" {
            return Self::decoded(&image::load_from_memory(file).expect("a picture"));
        }
        let mut decoder = tiff::decoder::Decoder::new(Cursor::new(file)).expect("a TIFF");
        let (width, height) = decoder.dimensions().expect("its size");
        let (levels, bits): (Vec<f64>, u8) = match decoder.read_image().expect("its samples") {
            DecodingResult::U8(v) => (v.into_iter().map(f64::from).collect(), 8),
            DecodingResult::U16(v) => (v.into_iter().map(|level| f64::from(level) / 257.0).collect(), 16),
            _ => panic!("neither 8 nor 16 bits"),
        };
        (Self { width, height, channels: levels.len() / (width * height) as usize, levels }, bits)
    }

    /// From samples of 8 or 16 bits.
    fn decoded(picture: &DynamicImage) -> (Self, u8) {
        let (width, height, colour) = (picture.width(), picture.height(), picture.color());
        let bits = (colour.bits_per_pixel() / u16::from(colour.channel_count())) as u8;
        let levels = match picture {
            DynamicImage::ImageLuma8(v) => v.iter().map(|level| f64::from(*level)).collect(),
            DynamicImage::ImageLumaA8(v) => v.iter().map(|level| f64::from(*level)).collect(),
            DynamicImage::ImageRgb8(v) => v.iter().map(|level| f64::from(*level)).collect(),
            DynamicImage::ImageRgba8(v) => v.iter().map(|level| f64::from(*level)).collect(),
            DynamicImage::ImageLuma16(v) => v.iter().map(|level| f64::from(*level) / 257.0).collect(),
            DynamicImage::ImageLumaA16(v) => v.iter().map(|level| f64::from(*level) / 257.0).collect(),
            DynamicImage::ImageRgb16(v) => v.iter().map(|level| f64::from(*level) / 257.0).collect(),
            DynamicImage::ImageRgba16(v) => v.iter().map(|level| f64::from(*level) / 257.0).collect(),
            other => panic!("an answer in {:?}", other.color()),
        };
        (Self { width, height, channels: usize::from(colour.channel_count()), levels }, bits)
    }

    fn eight(&self) -> Vec<u8> {
        self.levels.iter().map(|level| level.round() as u8).collect()
    }

    fn file(&self, container: Container) -> Vec<u8> {
        let (width, height) = (self.width, self.height);
        let mut out = Cursor::new(Vec::new());
        match container {
            Container::Png { sixteen: true } => {
                let samples: Vec<u16> = self.levels.iter().map(|level| (level * 257.0).round() as u16).collect();
                let picture: DynamicImage = match self.channels {
                    1 => ImageBuffer::<image::Luma<u16>, _>::from_raw(width, height, samples).map(Into::into),
                    2 => ImageBuffer::<image::LumaA<u16>, _>::from_raw(width, height, samples).map(Into::into),
                    3 => ImageBuffer::<image::Rgb<u16>, _>::from_raw(width, height, samples).map(Into::into),
                    _ => ImageBuffer::<image::Rgba<u16>, _>::from_raw(width, height, samples).map(Into::into),
                }
                .expect("as many samples as pixels");
                picture.write_to(&mut out, ImageFormat::Png).expect("memory");
            }
            container => {
                let colour =
                    [ExtendedColorType::L8, ExtendedColorType::La8, ExtendedColorType::Rgb8, ExtendedColorType::Rgba8];
                let format = match container {
                    Container::Png { .. } => ImageFormat::Png,
                    Container::Jpeg { .. } => ImageFormat::Jpeg,
                    Container::WebP => ImageFormat::WebP,
                    Container::Bmp => ImageFormat::Bmp,
                };
                let colour = colour[self.channels - 1];
                image::write_buffer_with_format(&mut out, &self.eight(), width, height, colour, format)
                    .expect("memory");
            }
        }
        let file = out.into_inner();
        match container {
            Container::Jpeg { orientation } => [&file[..2], &exif(orientation), &file[2..]].concat(),
            _ => file,
        }
    }

    fn at(&self, x: u32, y: u32, channel: usize) -> f64 {
        self.levels[(y * self.width + x) as usize * self.channels + channel]
    }

    /// Upright, from how it is stored (EXIF 2.32, tag 0x0112).
    fn turned(&self, orientation: u8) -> Self {
        let (w, h) = (self.width, self.height);
        let (width, height) = if orientation >= 5 { (h, w) } else { (w, h) };
        let from = |x: u32, y: u32| match orientation {
            2 => (w - 1 - x, y),
            3 => (w - 1 - x, h - 1 - y),
            4 => (x, h - 1 - y),
            5 => (y, x),
            6 => (y, h - 1 - x),
            7 => (w - 1 - y, h - 1 - x),
            8 => (w - 1 - y, x),
            _ => (x, y),
        };
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| from(x, y)));
        let levels = pixels.flat_map(|(x, y)| (0..self.channels).map(move |c| self.at(x, y, c))).collect();
        Self { width, height, channels: self.channels, levels }
    }

    /// Catmull and Rom's cubic over the part that is shown, as wide as a step where that is more than a pixel.
    fn resized(&self, (width, height): (u32, u32), [left, top, across, down]: [f64; 4]) -> Self {
        let cubic = |x: f64| match x.abs() {
            x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            x if x < 2.0 => ((2.5 - 0.5 * x) * x - 4.0) * x + 2.0,
            _ => 0.0,
        };
        let taps = |i: u32, from: f64, shown: f64, count: u32, side: u32| -> Vec<(u32, f64)> {
            let step = shown / f64::from(count);
            let (centre, wide) = (from + (f64::from(i) + 0.5) * step - 0.5, step.max(1.0));
            let folded = |at: i64| {
                let at = at.rem_euclid(2 * i64::from(side));
                at.min(2 * i64::from(side) - 1 - at) as u32
            };
            let all = (centre - 2.0 * wide).floor() as i64..=(centre + 2.0 * wide).ceil() as i64;
            let taps: Vec<_> = all.map(|at| (folded(at), cubic((at as f64 - centre) / wide))).collect();
            let sum: f64 = taps.iter().map(|tap| tap.1).sum();
            taps.into_iter().map(|(at, weight)| (at, weight / sum)).collect()
        };
        let columns: Vec<_> = (0..width).map(|x| taps(x, left, across, width, self.width)).collect();
        let (count, line) = (self.channels, width as usize * self.channels);
        let mut between = Vec::with_capacity(self.height as usize * line);
        for y in 0..self.height {
            for column in &columns {
                between.extend((0..count).map(|c| column.iter().map(|(x, w)| w * self.at(*x, y, c)).sum::<f64>()));
            }
        }
        let mut levels = Vec::with_capacity(height as usize * line);
        for y in 0..height {
            let rows = taps(y, top, down, height, self.height);
            levels.extend(
                (0..line).map(|at| rows.iter().map(|(y, w)| w * between[*y as usize * line + at]).sum::<f64>()),
            );
        }
        Self { width, height, channels: count, levels }
    }

    /// Colours times their alpha, as they are seen; or taken out of it again.
    fn weighted(mut self, weight: impl Fn(f64, f64) -> f64) -> Self {
        let count = self.channels;
        for pixel in self.levels.chunks_exact_mut(count).filter(|_| count.is_multiple_of(2)) {
            let alpha = pixel[count - 1] / 255.0;
            pixel[..count - 1].iter_mut().for_each(|level| *level = weight(*level, alpha));
        }
        self
    }

    /// In these channels, over this colour if its alpha goes.
    fn laid_out(&self, channels: usize, background: [u8; 3]) -> Self {
        let (alpha, kept) = (self.channels.is_multiple_of(2), channels.is_multiple_of(2));
        let colours = channels - usize::from(kept);
        let mut levels = Vec::new();
        for pixel in self.levels.chunks_exact(self.channels) {
            let share = if alpha && !kept { (pixel[self.channels - 1] / 255.0).clamp(0.0, 1.0) } else { 1.0 };
            let under = |c: usize| f64::from(background[c]) * (1.0 - share);
            let own = |c: usize| if self.channels < 3 { pixel[0] } else { pixel[c] };
            levels.extend((0..colours).map(|c| own(c) * share + under(c)));
            levels.extend(kept.then(|| pixel[self.channels - 1]));
        }
        Self { channels, levels, ..*self }
    }

    /// The largest and the mean difference.
    fn away(&self, other: &Self) -> (f64, f64) {
        let differences = self.levels.iter().zip(&other.levels).map(|(a, b)| (a - b.clamp(0.0, 255.0)).abs());
        let (most, sum) = differences.fold((0.0, 0.0), |(most, sum): (f64, f64), d| (most.max(d), sum + d));
        (most, sum / self.levels.len() as f64)
    }
}

/// An APP1 segment that says nothing but an orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let entry = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0];
    let tiff = [&b"MM\0*\0\0\0\x08\0\x01"[..], &entry, &[0; 4]].concat();
    [&[0xff, 0xe1, 0, (tiff.len() + 8) as u8], &b"Exif\0\0"[..], &tiff].concat()
}

/// What `convert` reads; `None` where it is not installed or does not know the format.
fn by_imagemagick(file: &[u8], channels: usize, bits: u8) -> Option<Vec<f64>> {
    let layout = ["gray", "graya", "rgb", "rgba"][channels - 1];
    let command = ["-", "-depth", &bits.to_string(), "-endian", "MSB", &format!("{layout}:-")].map(str::to_owned);
    let mut child = Command::new("convert")
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let (mut input, sent) = (child.stdin.take()?, file.to_vec());
    let writer = std::thread::spawn(move || input.write_all(&sent));
    let output = child.wait_with_output().ok()?;
    writer.join().ok()?.ok()?;
    let wide = |pair: &[u8]| f64::from(u16::from_be_bytes([pair[0], pair[1]])) / 257.0;
    let levels = if bits == 16 {
        output.stdout.chunks_exact(2).map(wide).collect()
    } else {
        output.stdout.iter().map(|level| f64::from(*level)).collect()
    };
    output.status.success().then_some(levels)
}

async fn check(server: &Server, case: &Case) -> Result<(), TestCaseError> {
    let (picture, query) = (case.picture(), case.query());
    let file = picture.file(case.container);
    let plan = server.post(&format!("/v1/plan?{query}"), file.clone()).send().await.expect("an answer");
    prop_assert_eq!(plan.status(), 200, "{}", query);
    let plan: Value = plan.json().await.expect("JSON");
    let answer = server.upscale(&query, file.clone()).await;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let made = answer.bytes().await.expect("a whole body");
    prop_assert_eq!(status, 200, "{}: {}", query, String::from_utf8_lossy(&made));

    let (size, shown) = case.expected();
    let planned = serde_json::json!({"width": size.0, "height": size.1});
    prop_assert_eq!(&plan["output"], &planned, "{}", query);
    prop_assert_eq!(plan["tiles"].to_string(), headers["x-upscale-tiles"].to_str().expect("text"));
    let (channels, bits) = case.layout();
    prop_assert_eq!(headers["content-type"].to_str().expect("text"), format!("image/{}", case.format));
    let (read, depth) = Picture::read(&made, case.format);
    prop_assert_eq!((read.width, read.height, read.channels, depth), (size.0, size.1, channels, bits), "{}", query);
    match by_imagemagick(&made, channels, bits) {
        None => println!("skipped: no convert that reads {}", case.format),
        Some(levels) => {
            prop_assert_eq!(levels.len(), read.levels.len(), "{}", query);
            let (most, _) = read.away(&Picture { levels, ..read.clone() });
            // Decoders of JPEG round each in their way.
            let tolerance = if case.format == "jpeg" { 8.0 } else { 1e-3 };
            prop_assert!(most <= tolerance, "{}: two decoders are {} apart", query, most);
        }
    }

    let source = match case.container {
        // What the file says after its own losses.
        Container::Jpeg { orientation } => {
            Picture::decoded(&image::load_from_memory(&file).expect("our own file")).0.turned(orientation)
        }
        _ => picture,
    };
    let seen = source.weighted(|level, alpha| level * alpha).resized(size, shown);
    let expected = seen
        .weighted(|level, alpha| if alpha == 0.0 { 0.0 } else { level / alpha })
        .laid_out(channels, case.flatten.unwrap_or([255; 3]));
    let (most, mean) = read.away(&expected);
    let near = if case.format == "jpeg" { mean <= NEAR_IN_JPEG } else { most <= NEAR };
    prop_assert!(near, "{}: {} levels off, {} on average", query, most, mean);
    Ok(())
}

#[test]
fn any_picture_at_any_size_comes_out_as_planned() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let server = runtime.block_on(async { Server::start(&[]) });
    let asked = ProptestConfig::default();
    let usual = asked.cases == USUAL;
    let config = ProptestConfig { cases: asked.cases.div_ceil(8), failure_persistence: None, ..asked };
    let mut runner = if usual {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    } else {
        TestRunner::new(config)
    };
    if let Err(error) = runner.run(&cases(), |case| runtime.block_on(check(&server, &case))) {
        panic!("{error}");
    }
}
