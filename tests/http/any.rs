//! Any image with any options: the answer is what the plan promised, other decoders read it, and with bicubic it is
//! what another's resize makes of it.
//!
//! 32 cases, the same in every run; `PROPTEST_CASES=8000` makes it a thousand new ones (an eighth of what proptest is
//! asked for).
//! `convert`, if there is one, reads the answers too.

mod files;
mod sample;

use std::f64::consts::TAU;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::support::Server;
use files::Container;
use sample::{Sample, by_imagemagick, density};

/// What proptest runs if nobody asks for more.
const USUAL: u32 = 256;
/// Levels that two ways of bicubic may differ by: one upscales first and reduces then.
const NEAR: f64 = 5.0;
/// The same on average, through a JPEG.
const NEAR_IN_JPEG: f64 = 4.0;

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
    /// Periods of the waves that the image is made of, in pixels.
    waves: (f64, f64),
    container: Container,
    /// Pixels per inch.
    dots: Option<u32>,
    /// Whether a PNG has one, of sRGB.
    profile: bool,
    size: Size,
    wishes: Wishes,
}

/// What is asked for beside a size.
#[derive(Clone, Debug)]
struct Wishes {
    format: &'static str,
    /// Of a JPEG.
    quality: Option<u32>,
    flatten: Option<[u8; 3]>,
    ensemble: bool,
    metadata: &'static str,
    density: &'static str,
}

fn containers() -> impl Strategy<Value = Container> {
    (0..11, 1u8..=8, any::<[bool; 2]>()).prop_map(|(kind, orientation, [one, two])| match kind {
        0 | 1 => Container::Jpeg { orientation },
        2 => Container::WebP,
        3 => Container::Bmp,
        4 => Container::Gif,
        5 => Container::Palette { alpha: one },
        6 | 7 => Container::Tiff { sixteen: one, big: two, orientation },
        _ => Container::Png { sixteen: one, key: two },
    })
}

fn wishes() -> impl Strategy<Value = Wishes> {
    let format = prop::sample::select(vec!["png", "jpeg", "webp", "tiff"]);
    let quality = prop::option::of(80u32..=100);
    let flatten = prop::option::weighted(0.3, any::<[u8; 3]>());
    let metadata = prop::sample::select(vec!["safe", "all", "none"]);
    let density = prop::sample::select(vec!["scale", "keep"]);
    (format, quality, flatten, prop::bool::weighted(0.2), metadata, density).prop_map(
        |(format, quality, flatten, ensemble, metadata, density)| {
            let quality = quality.filter(|_| format == "jpeg");
            Wishes { format, quality, flatten, ensemble, metadata, density }
        },
    )
}

fn cases() -> impl Strategy<Value = Case> {
    let share = || prop::option::of(0.001..1.0);
    let fit = prop::sample::select(vec!["inside", "cover", "fill"]);
    let size = prop_oneof![
        (10u32..=80).prop_map(Size::Scale),
        (share(), share(), fit).prop_map(|(width, height, fit)| match (width, height) {
            (None, None) => Size::Scale(10),
            _ => Size::Sides { width, height, fit },
        }),
    ];
    let image = (1u32..=200, 1u32..=200, 1usize..=4, (24.0..90.0, 24.0..90.0));
    let found = (prop::option::of(20u32..=1200), any::<bool>());
    (image, containers(), found, size, wishes()).prop_map(
        |((width, height, channels, waves), container, (dots, profile), size, wishes)| {
            let channels = container.channels(channels);
            let dots = dots.filter(|_| container.has_density());
            // One in three channels.
            let profile = profile && channels > 2;
            Case { width, height, channels, waves, container, dots, profile, size, wishes }
        },
    )
}

impl Case {
    /// Smooth, so that all ways of resizing agree; alpha is never quite clear, so that all colors count.
    fn sample(&self) -> Sample {
        let Self { width, height, channels, waves: (across, down), container, .. } = *self;
        let opaque = matches!(container, Container::Png { key: true, .. });
        let wave = |x: u32, y: u32, channel: usize| {
            let (x, y, turn) = (f64::from(x) / across, f64::from(y) / down, channel as f64 / 4.0);
            let level = 128.0 + 60.0 * ((x + turn) * TAU).sin() + 50.0 * ((y - turn) * TAU).cos();
            match channel + 1 == channels && channels.is_multiple_of(2) {
                true if opaque => 255.0,
                true => level / 2.0 + 120.0,
                false => level,
            }
        };
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let levels = pixels.flat_map(|(x, y)| (0..channels).map(move |c| wave(x, y, c))).collect();
        let image = Sample { width, height, channels, levels };
        match container {
            Container::Palette { .. } | Container::Gif => image.of_palette(channels),
            _ => image,
        }
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
        let Wishes { format, ensemble, metadata, density, .. } = self.wishes;
        let flatten = self.wishes.flatten.map(flatten).unwrap_or_default();
        let quality = self.wishes.quality.map(|quality| format!("&quality={quality}")).unwrap_or_default();
        format!("{size}&format={format}&ensemble={ensemble}{flatten}{quality}&metadata={metadata}&density={density}")
    }

    /// Sides of the upright image.
    fn seen(&self) -> (u32, u32) {
        match self.container.orientation() {
            5.. => (self.height, self.width),
            _ => (self.width, self.height),
        }
    }

    /// The size of the answer, and the part of the upright image that it shows: left, top, width, height.
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
        let Wishes { format, flatten, .. } = self.wishes;
        let (gray, alpha) = (self.channels < 3, self.channels.is_multiple_of(2));
        let flattened = alpha && (format == "jpeg" || flatten.is_some());
        let grayish = flatten.is_none_or(|[r, g, b]| r == g && g == b);
        let gray = gray && format != "webp" && (!flattened || grayish);
        let channels = if gray { 1 } else { 3 } + usize::from(alpha && !flattened);
        let sixteen = self.container.is_deep() && matches!(format, "png" | "tiff");
        (channels, if sixteen { 16 } else { 8 })
    }

    /// Holds the notes of an answer to what the upload said and what was asked for.
    fn check_notes(&self, made: &[u8], headers: &HeaderMap) -> Result<(), TestCaseError> {
        let Wishes { format, metadata, density: wish, .. } = self.wishes;
        prop_assert!(!headers.contains_key("x-upscale-warnings"), "{:?}", headers);
        let done = headers.get("x-upscale-conversions").map_or("", |done| done.to_str().expect("text"));
        prop_assert_eq!(done.contains("orientation-applied"), self.container.orientation() > 1, "{}", done);
        let dots = self.dots.map(f64::from).filter(|_| metadata != "none");
        let found = density(made, format);
        prop_assert_eq!(found.is_some(), dots.is_some(), "{:?} of {:?}", found, self.dots);
        let times = match self.size {
            _ if wish == "keep" => 1.0,
            Size::Scale(tenths) => f64::from(tenths) / 10.0,
            // What is cut or stretched has two of them.
            Size::Sides { .. } => return Ok(()),
        };
        if let (Some(dots), Some(found)) = (dots, found) {
            // JFIF has whole numbers.
            prop_assert!((found - dots * times).abs() < 0.51, "{} of {} at {}", found, dots, times);
            prop_assert_eq!(done.contains("density-scaled"), wish == "scale" && times > 1.0, "{}", done);
        }
        Ok(())
    }
}

/// A side of 1 to 8 times `side`.
fn asked(share: f64, side: u32) -> u32 {
    ((share * f64::from(8 * side)) as u32).max(1)
}

async fn check(server: &Server, case: &Case) -> Result<(), TestCaseError> {
    let (image, query) = (case.sample(), case.query());
    let profile = case.profile.then_some(&include_bytes!("../fixtures/images/srgb.icc")[..]);
    let file = image.file(case.container, case.dots, profile);
    let Wishes { format, flatten, .. } = case.wishes;
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
    prop_assert_eq!(headers["content-type"].to_str().expect("text"), format!("image/{format}"));
    case.check_notes(&made, &headers)?;
    let (read, depth) = Sample::read(&made, format);
    prop_assert_eq!((read.width, read.height, read.channels, depth), (size.0, size.1, channels, bits), "{}", query);
    match by_imagemagick(&made, channels, bits) {
        None => println!("skipped: no convert that reads {format}"),
        Some(levels) => {
            prop_assert_eq!(levels.len(), read.levels.len(), "{}", query);
            let (most, _) = read.away(&Sample { levels, ..read.clone() });
            // Decoders of JPEG round each in their way.
            let tolerance = if format == "jpeg" { 8.0 } else { 1e-3 };
            prop_assert!(most <= tolerance, "{}: two decoders are {} apart", query, most);
        }
    }

    let source = match case.container {
        // What the file has after its own losses.
        Container::Jpeg { orientation } => {
            Sample::decoded(&image::load_from_memory(&file).expect("our own file")).0.turned(orientation)
        }
        container => image.turned(container.orientation()),
    };
    let seen = source.weighted(|level, alpha| level * alpha).resized(size, shown);
    let expected = seen
        .weighted(|level, alpha| if alpha == 0.0 { 0.0 } else { level / alpha })
        .laid_out(channels, flatten.unwrap_or([255; 3]));
    let (most, mean) = read.away(&expected);
    let near = if format == "jpeg" { mean <= NEAR_IN_JPEG } else { most <= NEAR };
    prop_assert!(near, "{}: {} levels off, {} on average", query, most, mean);
    Ok(())
}

#[test]
fn any_image_at_any_size_comes_out_as_planned() {
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
