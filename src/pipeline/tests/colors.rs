//! Colors come out as they went in, whatever profile they are in.

use std::borrow::Cow;

use images::color::signals;
use images::{Interrupt, Warning};
use moxcms::ColorProfile;

use super::delta_e::{Space, adobe_rgb, delta_e, display_p3, pro_photo, srgb};
use super::file_parts::{by_tables, chunk, made, padded};
use super::*;
use crate::pipeline::fidelity::{Conversion, Icc};

/// A PNG with a profile; 8 or 16 bits.
fn tagged(image: &Raster, profile: Option<&[u8]>) -> Bytes {
    let mut info = png::Info::with_size(image.size().width, image.size().height);
    info.color_type = match image.channels() {
        Channels::Gray => png::ColorType::Grayscale,
        Channels::GrayAlpha => png::ColorType::GrayscaleAlpha,
        Channels::Rgb => png::ColorType::Rgb,
        Channels::Rgba => png::ColorType::Rgba,
    };
    info.icc_profile = profile.map(Cow::Borrowed);
    let bytes: Vec<u8> = match image.samples() {
        Samples::U8(v) => v.clone(),
        Samples::U16(v) => v.iter().flat_map(|v| v.to_be_bytes()).collect(),
    };
    info.bit_depth = if image.depth() == Depth::Eight { png::BitDepth::Eight } else { png::BitDepth::Sixteen };
    let mut file = Vec::new();
    let mut writer = png::Encoder::with_info(&mut file, info).expect("good info").write_header().expect("memory");
    writer.write_image_data(&bytes).expect("memory");
    writer.finish().expect("memory");
    file.into()
}

/// Pixels and profile of a PNG, by the `png` crate.
fn untagged(file: &[u8]) -> (Raster, Option<Vec<u8>>) {
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info().expect("a PNG");
    let mut bytes = vec![0; reader.output_buffer_size().expect("a small image")];
    reader.next_frame(&mut bytes).expect("pixels");
    let info = reader.info();
    let channels = match info.color_type {
        png::ColorType::Grayscale => Channels::Gray,
        png::ColorType::GrayscaleAlpha => Channels::GrayAlpha,
        png::ColorType::Rgba => Channels::Rgba,
        _ => Channels::Rgb,
    };
    let samples = match info.bit_depth {
        png::BitDepth::Sixteen => {
            Samples::U16(bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
        }
        _ => Samples::U8(bytes),
    };
    let profile = info.icc_profile.as_ref().map(|profile| profile.to_vec());
    (Raster::new(Size::new(info.width, info.height), channels, samples), profile)
}

fn unit(raster: &Raster) -> Vec<[f64; 3]> {
    let values: Vec<f64> = match raster.samples() {
        Samples::U8(v) => v.iter().map(|v| f64::from(*v) / 255.0).collect(),
        Samples::U16(v) => v.iter().map(|v| f64::from(*v) / 65_535.0).collect(),
    };
    values.as_chunks::<3>().0.to_vec()
}

fn raster(size: Size, values: &[[f64; 3]], depth: Depth) -> Raster {
    let values = values.iter().flatten();
    let samples = match depth {
        Depth::Eight => Samples::U8(values.map(|v| (v * 255.0).round() as u8).collect()),
        Depth::Sixteen => Samples::U16(values.map(|v| (v * 65_535.0).round() as u16).collect()),
    };
    Raster::new(size, Channels::Rgb, samples)
}

/// A piece of the sample photograph, in which there are skin, orange, white and black.
fn photograph() -> (Size, Vec<[f64; 3]>) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sample/astronaut.jpg");
    let image = image::open(file).expect("it is part of the project").to_rgb8();
    let size = Size::new(90, 70);
    let (x, y) = (image.width() / 3, image.height() / 3);
    let pixels = (0..size.height).flat_map(|row| (0..size.width).map(move |column| (x + column, y + row)));
    (size, pixels.map(|(x, y)| image.get_pixel(x, y).0.map(|v| f64::from(v) / 255.0)).collect())
}

fn wish(icc: Icc) -> Options {
    Options { fidelity: Fidelity { icc, ..Fidelity::default() }, ..options(OutputFormat::Png) }
}

fn spaces() -> [(ColorProfile, Space); 3] {
    [
        (ColorProfile::new_display_p3(), display_p3()),
        (ColorProfile::new_adobe_rgb(), adobe_rgb()),
        (ColorProfile::new_pro_photo_rgb(), pro_photo()),
    ]
}

async fn upscaled(image: &Raster, profile: Option<&[u8]>, options: Options) -> (Raster, Option<Vec<u8>>, Plan) {
    let answer = bicubic().upscale(tagged(image, profile), options).await.expect("a good image");
    let plan = answer.plan.clone();
    let (raster, profile) = untagged(&file(answer).await.expect("whole"));
    (raster, profile, plan)
}

/// Mean and largest CIEDE2000 between two images, each in its space.
fn apart((one, of_one): (&Raster, &Space), (other, of_other): (&Raster, &Space)) -> (f64, f64) {
    let pairs = unit(one).into_iter().zip(unit(other));
    let each: Vec<f64> = pairs.map(|(a, b)| delta_e(of_one.lab(a), of_other.lab(b))).collect();
    (each.iter().sum::<f64>() / each.len() as f64, each.iter().copied().fold(0.0, f64::max))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_photograph_in_three_profiles_has_the_same_colors_and_keeps_its_profile() {
    let (size, pixels) = photograph();
    let plain = raster(size, &pixels, Depth::Sixteen);
    let (reference, none, plan) = upscaled(&plain, None, wish(Icc::Keep)).await;
    assert_eq!((none, plan.conversions), (None, vec![]));
    for (profile, space) in spaces() {
        for (depth, allowed) in [(Depth::Sixteen, 0.1), (Depth::Eight, 0.6)] {
            let bytes = made(&profile);
            let own: Vec<_> = pixels.iter().map(|pixel| space.from(&srgb(), *pixel)).collect();
            let (answer, kept, plan) = upscaled(&raster(size, &own, depth), Some(&bytes), wish(Icc::Keep)).await;
            assert_eq!(kept.as_deref(), Some(&bytes[..]), "its own profile");
            assert_eq!(answer.depth(), depth);
            assert_eq!((plan.conversions, plan.warnings), (vec![Conversion::ProfileRoundTrip], vec![]));
            let (mean, _) = apart((&answer, &space), (&reference, &srgb()));
            assert!(mean < allowed, "{:?} {depth:?}: {mean}", profile.description);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_for_srgb_it_comes_in_srgb_and_says_so() {
    let (size, pixels) = photograph();
    let (reference, ..) = upscaled(&raster(size, &pixels, Depth::Sixteen), None, wish(Icc::Keep)).await;
    for (profile, space) in spaces() {
        let own: Vec<_> = pixels.iter().map(|pixel| space.from(&srgb(), *pixel)).collect();
        let image = raster(size, &own, Depth::Sixteen);
        let (answer, tag, plan) = upscaled(&image, Some(&made(&profile)), wish(Icc::Srgb)).await;
        assert_eq!(tag.as_deref(), Some(&signals::srgb(false)[..]));
        assert_eq!(plan.conversions, [Conversion::ProfileToSrgb]);
        let (mean, _) = apart((&answer, &srgb()), (&reference, &srgb()));
        assert!(mean < 0.1, "{:?}: {mean}", profile.description);
    }
    // Without a profile it is sRGB, and now declares it.
    let image = noise(Size::new(5, 4), Channels::Gray);
    let (answer, tag, plan) = upscaled(&image, None, wish(Icc::Srgb)).await;
    assert_eq!((tag.as_deref(), plan.conversions), (Some(&signals::srgb(true)[..]), vec![]));
    assert!(answer.samples() == &eight(&whole(&image)));
}

/// Networks answer between black and white; an engine that is bicubic and clamps replaces them.
fn clamping() -> Arc<Pipeline> {
    pipeline(|| {
        Box::new(Faulty(|mut tiles: Vec<Vec<f32>>| {
            for level in tiles.iter_mut().flatten() {
                *level = level.clamp(0.0, 255.0);
            }
            Ok(tiles)
        }))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flat_image_of_any_color_keeps_it_to_the_bit_in_8_bits_and_nearly_in_16() {
    let pipeline = clamping();
    let corners: Vec<[f64; 3]> = (0..27).map(|i| [i / 9, i / 3 % 3, i % 3].map(|v| f64::from(v) * 0.5)).collect();
    for (profile, _) in spaces() {
        for depth in [Depth::Eight, Depth::Sixteen] {
            for color in &corners {
                let size = Size::new(3, 2);
                let flat = raster(size, &[*color; 6], depth);
                let bytes = tagged(&flat, Some(&made(&profile)));
                let answer = pipeline.upscale(bytes, wish(Icc::Keep)).await.expect("a good image");
                let (out, _) = untagged(&file(answer).await.expect("whole"));
                let given = unit(&flat)[0];
                let far = |pixel: [f64; 3]| pixel.iter().zip(given).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                let worst = unit(&out).into_iter().map(far).fold(0.0, f64::max);
                let allowed = if depth == Depth::Eight { 0.0 } else { 30.0 / 65_535.0 };
                assert!(worst <= allowed, "{:?} {color:?} {depth:?}: {worst}", profile.description);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn colors_that_srgb_has_not_survive_with_their_detail() {
    // From the green of Display P3 to its red, with a fine pattern, 40 x 30.
    let size = Size::new(40, 30);
    let pattern = |x: u32, y: u32| {
        let (x, light) = (f64::from(x) / 39.0, if (x / 2 + y / 2).is_multiple_of(2) { 1.0 } else { 0.8 });
        [x * light, (1.0 - x) * light, 0.0]
    };
    let pixels: Vec<_> = (0..30).flat_map(|y| (0..40).map(move |x| pattern(x, y))).collect();
    let image = raster(size, &pixels, Depth::Sixteen);
    let bytes = tagged(&image, Some(&made(&ColorProfile::new_display_p3())));
    let answer = clamping().upscale(bytes, wish(Icc::Keep)).await.expect("a good image");
    let (out, _) = untagged(&file(answer).await.expect("whole"));
    // Upscaled in its own numbers, nothing is lost: that is what it is held against.
    let own: Vec<f64> = whole(&image).iter().map(|level| f64::from(level / 255.0).clamp(0.0, 1.0)).collect();
    let own = raster(out.size(), own.as_chunks::<3>().0, Depth::Sixteen);
    let (mean, largest) = apart((&out, &display_p3()), (&own, &display_p3()));
    assert!(mean < 0.5 && largest < 8.0, "mean {mean}, largest {largest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gray_has_profiles_too_and_stays_gray() {
    let profile = made(&ColorProfile::new_gray_with_gamma(1.0));
    let flat = Raster::new(Size::new(4, 4), Channels::Gray, Samples::U8(vec![55; 16]));
    let (answer, kept, plan) = upscaled(&flat, Some(&profile), wish(Icc::Keep)).await;
    assert_eq!((answer.channels(), kept.as_deref()), (Channels::Gray, Some(&profile[..])));
    assert_eq!(plan.conversions, [Conversion::ProfileRoundTrip]);
    assert!(answer.samples() == &Samples::U8(vec![55; 64]));
    // 55 of 255 of linear light is 0.2157, which sRGB writes as 128.
    let (answer, tag, _) = upscaled(&flat, Some(&profile), wish(Icc::Srgb)).await;
    assert_eq!((answer.channels(), tag.as_deref()), (Channels::Gray, Some(&signals::srgb(true)[..])));
    assert!(answer.samples() == &Samples::U8(vec![128; 64]), "{:?}", answer.samples());
    // WebP has no gray, and a profile for gray does not fit into it.
    let options = Options { format: OutputFormat::WebP, ..wish(Icc::Keep) };
    let answer = bicubic().upscale(tagged(&flat, Some(&profile)), options).await.expect("a good image");
    assert_eq!(answer.plan.conversions, [Conversion::ProfileToSrgb, Conversion::GrayToRgb]);
    let webp = file(answer).await.expect("whole");
    let header = images::open(webp.clone().into(), &pipeline_limits(), None, &Interrupt::default()).expect("a WebP");
    assert_eq!(header.probe.icc.map(|profile| profile.bytes), Some(signals::srgb(false)));
    assert!(decoded(&webp).samples() == &Samples::U8(vec![128; 192]));
}

fn pipeline_limits() -> InputLimits {
    InputLimits { input_pixels: 1 << 20, output_pixels: 1 << 22 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_by_tables_is_kept_and_the_numbers_with_it() {
    let image = noise(Size::new(9, 7), Channels::Rgb);
    let profile = by_tables();
    let (answer, kept, plan) = upscaled(&image, Some(&profile), wish(Icc::Keep)).await;
    assert_eq!(kept.as_deref(), Some(&profile[..]));
    assert_eq!((plan.conversions, plan.warnings), (vec![], vec![Warning::ProfileNotInvertible]));
    assert!(answer.samples() == &eight(&whole(&image)));
    let (_, tag, plan) = upscaled(&image, Some(&profile), wish(Icc::Srgb)).await;
    assert_eq!(tag.as_deref(), Some(&signals::srgb(false)[..]));
    assert_eq!((plan.conversions, plan.warnings), (vec![Conversion::ProfileToSrgb], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_profile_is_reported_and_left_out() {
    let image = noise(Size::new(9, 7), Channels::Rgb);
    let (answer, kept, plan) = upscaled(&image, Some(b"no profile at all"), wish(Icc::Keep)).await;
    assert_eq!((kept, plan.conversions, plan.warnings), (None, vec![], vec![Warning::ProfileUnreadable]));
    assert!(answer.samples() == &eight(&whole(&image)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_high_dynamic_range_is_refused() {
    let image = noise(Size::new(9, 7), Channels::Rgb);
    for (profile, name) in [(ColorProfile::new_bt2020_pq(), "PQ"), (ColorProfile::new_bt2020_hlg(), "HLG")] {
        let sent = tagged(&image, Some(&made(&profile)));
        let error = bicubic().plan(sent, &wish(Icc::Keep)).await.expect_err("refused");
        assert!(matches!(error, PipelineError::Codec(CodecError::HighDynamicRange(header)) if header == name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn colors_that_a_png_tells_by_chunks_are_honored() {
    let flat = raster(Size::new(4, 4), &[[55.0 / 255.0; 3]; 16], Depth::Eight);
    let with = |kind: [u8; 4], data: &[u8]| {
        let file = tagged(&flat, None);
        Bytes::from([&file[..33], &chunk(kind, data), &file[33..]].concat())
    };
    let linear = with(*b"gAMA", &100_000_u32.to_be_bytes());
    for (icc, level, done) in
        [(Icc::Keep, 55, Conversion::ProfileRoundTrip), (Icc::Srgb, 128, Conversion::ProfileToSrgb)]
    {
        let answer = bicubic().upscale(linear.clone(), wish(icc)).await.expect("a good image");
        assert_eq!(answer.plan.conversions, [Conversion::ProfileMade, done]);
        let (out, profile) = untagged(&file(answer).await.expect("whole"));
        assert!(out.samples() == &Samples::U8(vec![level; 192]), "{icc:?}");
        assert!(profile.is_some(), "a profile that says what the chunk said");
    }
    for code in [16, 18] {
        let error = bicubic().plan(with(*b"cICP", &[9, code, 0, 1]), &wish(Icc::Keep)).await.expect_err("refused");
        assert!(matches!(error, PipelineError::Codec(CodecError::HighDynamicRange(_))));
    }
    let odd = with(*b"cICP", &[1, 13, 9, 1]);
    let plan = bicubic().plan(odd, &wish(Icc::Keep)).await.expect("a good image");
    assert_eq!(plan.warnings, [Warning::ColorChunksUnreadable]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_held_once_beside_what_is_made_of_it() {
    const LENGTH: usize = 3 << 20;
    let pipeline = bicubic();
    let profile = |length| {
        let bytes = padded(made(&ColorProfile::new_srgb()), length);
        images::color::Profile::judge(&bytes, Channels::Rgb).expect("a good profile")
    };
    let prepared = |icc| {
        let probe = images::Probe::of_pixels(Size::new(64, 64), Channels::Rgb, Depth::Eight);
        let (options, deadline) = (options(OutputFormat::Png), Instant::now() + Duration::from_mins(1));
        pipeline.prepare(images::Probe { icc, ..probe }, 0, &options, Depth::Eight, deadline).expect("a good image")
    };
    let (long, short) = (profile(LENGTH), profile(1000));
    let (with, without) = (prepared(Some(long.clone())), prepared(Some(short)));
    // Once in the plan, and what an encoder makes of it.
    assert_eq!(with.plan.bytes - without.plan.bytes, 3 * (LENGTH as u64 - 1000));
    for held in [with.plan.probe.icc.map(|profile| profile.bytes), with.target.icc] {
        assert!(held.is_some_and(|held| Arc::ptr_eq(&held, &long.bytes)), "a copy");
    }
}
