//! Decoders and encoders in bytes of pixels per second, on the sample photograph upscaled to some megapixels.
//!
//! `cargo bench -p images --bench codec`

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use images::encode::helpers::{Helpers, Job};
use images::encode::{QUALITY, Target, encode, encode_with};
use images::metadata::OutputMetadata;
use images::raster::{Channels, Depth, Raster, Samples};
use images::units::Size;
use images::{InputLimits, Interrupt, Opened, OutputFormat, open};

const LIMITS: InputLimits = InputLimits { input_pixels: 100_000_000, output_pixels: 100_000_000 };
const SAMPLE: &[u8] = include_bytes!("../../../docs/sample/astronaut.jpg");
/// Bands as the blender gives them: the rows of one row of tiles.
const BAND: usize = 256;

fn opened(file: &Bytes) -> Opened {
    open(file.clone(), &LIMITS, None, &Interrupt::default()).expect("it is an image")
}

/// The sample, upscaled bilinearly, in the channels and depth asked for.
fn photograph(factor: u32, channels: Channels, depth: Depth) -> Raster {
    let small = opened(&Bytes::from_static(SAMPLE)).decode().expect("the sample is whole");
    let size = Size::new(small.size().width * factor, small.size().height * factor);
    let at = |x: u32, y: u32, c: usize| {
        let along = |v: u32, end: u32| {
            let v = ((v as f32 + 0.5) / factor as f32 - 0.5).clamp(0.0, (end - 1) as f32);
            (v as u32, (v as u32 + 1).min(end - 1), v.fract())
        };
        let (x0, x1, fx) = along(x, small.size().width);
        let (y0, y1, fy) = along(y, small.size().height);
        let row = |y| small.level(x0, y, c) * (1.0 - fx) + small.level(x1, y, c) * fx;
        row(y0) * (1.0 - fy) + row(y1) * fy
    };
    let levels = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y))).flat_map(|(x, y)| {
        (0..channels.count()).map(move |c| {
            let opaque = channels.has_alpha() && c + 1 == channels.count();
            if opaque { 255.0 } else { at(x, y, c) }
        })
    });
    let samples = match depth {
        Depth::Eight => Samples::U8(levels.map(|v| v.round() as u8).collect()),
        Depth::Sixteen => Samples::U16(levels.map(|v| (v * 257.0).round() as u16).collect()),
    };
    Raster::new(size, channels, samples)
}

fn bands(image: &Raster) -> Vec<Raster> {
    let Size { width, .. } = image.size();
    let row = width as usize * image.channels().count();
    let cut = |samples: Samples| {
        let rows = (samples.len() / row) as u32;
        Raster::new(Size::new(width, rows), image.channels(), samples)
    };
    match image.samples() {
        Samples::U8(v) => v.chunks(row * BAND).map(|c| cut(Samples::U8(c.to_vec()))).collect(),
        Samples::U16(v) => v.chunks(row * BAND).map(|c| cut(Samples::U16(c.to_vec()))).collect(),
    }
}

fn file(format: OutputFormat, image: &Raster) -> Vec<u8> {
    let (size, channels, depth) = (image.size(), image.channels(), image.depth());
    let target =
        Target { format, quality: QUALITY, size, channels, depth, icc: None, metadata: OutputMetadata::default() };
    let mut out = Vec::new();
    encode(&target, &mut bands(image).into_iter(), &mut out).expect("a Vec takes everything");
    out
}

fn decoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    let rgb = photograph(10, Channels::Rgb, Depth::Eight);
    let deep = photograph(10, Channels::Rgb, Depth::Sixteen);
    for (name, file, image) in [
        ("jpeg", file(OutputFormat::Jpeg, &rgb), &rgb),
        ("png", file(OutputFormat::Png, &rgb), &rgb),
        ("png-16", file(OutputFormat::Png, &deep), &deep),
        ("webp-lossless", file(OutputFormat::WebP, &rgb), &rgb),
        ("tiff", file(OutputFormat::Tiff, &rgb), &rgb),
    ] {
        let file = Bytes::from(file);
        group.throughput(Throughput::Bytes(image.bytes()));
        group.bench_with_input(BenchmarkId::from_parameter(name), &file, |b, file| {
            b.iter(|| black_box(opened(file).decode().expect("it was just made")));
        });
    }
    group.finish();
}

fn encoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    for (name, format, channels, depth) in [
        ("png-rgb", OutputFormat::Png, Channels::Rgb, Depth::Eight),
        ("png-rgba", OutputFormat::Png, Channels::Rgba, Depth::Eight),
        ("png-gray", OutputFormat::Png, Channels::Gray, Depth::Eight),
        ("png-rgb-16", OutputFormat::Png, Channels::Rgb, Depth::Sixteen),
        ("jpeg-rgb", OutputFormat::Jpeg, Channels::Rgb, Depth::Eight),
        ("jpeg-gray", OutputFormat::Jpeg, Channels::Gray, Depth::Eight),
        ("tiff-rgb-16", OutputFormat::Tiff, Channels::Rgb, Depth::Sixteen),
        ("webp-rgb", OutputFormat::WebP, Channels::Rgb, Depth::Eight),
    ] {
        let image = photograph(10, channels, depth);
        let size = file(format, &image).len() as u64;
        println!("{name}: {:.1} % of the pixels' bytes", 100.0 * size as f64 / image.bytes() as f64);
        group.throughput(Throughput::Bytes(image.bytes()));
        group.bench_with_input(BenchmarkId::from_parameter(name), &image, |b, image| {
            b.iter(|| black_box(file(format, image)));
        });
    }
    group.finish();
}

/// As many threads as there are cores, less the encoder's own.
struct Cores(Arc<AtomicUsize>);

impl Helpers for Cores {
    fn try_spawn(&self, job: Job) -> bool {
        let free = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(1)).is_ok();
        let cores = Arc::clone(&self.0);
        free && std::thread::Builder::new()
            .spawn(move || {
                job();
                cores.fetch_add(1, Ordering::Relaxed);
            })
            .is_ok()
    }
}

/// A large PNG: alone, with every core, and by the fastest ways of the `png` crate and of zlib.
fn large(c: &mut Criterion) {
    let mut group = c.benchmark_group("large-png");
    let image = photograph(12, Channels::Rgb, Depth::Eight);
    let Samples::U8(samples) = image.samples() else { unreachable!("8 bits were asked for") };
    let Size { width, height } = image.size();
    let theirs = |compression, filter| {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_deflate_compression(compression);
        encoder.set_filter(filter);
        let mut writer = encoder.write_header().expect("a Vec takes everything");
        writer.write_image_data(samples).expect("the size is right");
        writer.finish().expect("a Vec takes everything");
        out
    };
    let target = Target {
        format: OutputFormat::Png,
        quality: QUALITY,
        size: image.size(),
        channels: Channels::Rgb,
        depth: Depth::Eight,
        icc: None,
        metadata: OutputMetadata::default(),
    };
    let free = std::thread::available_parallelism().map_or(0, |cores| cores.get() - 1);
    let helpers = Cores(Arc::new(AtomicUsize::new(free)));
    let shared = || {
        let mut out = Vec::new();
        encode_with(&target, &mut bands(&image).into_iter(), &mut out, &helpers).expect("a Vec takes everything");
        out
    };
    let fdeflate = png::DeflateCompression::FdeflateUltraFast;
    let ways: [(&str, &dyn Fn() -> Vec<u8>); 5] = [
        ("ours, one core", &|| file(OutputFormat::Png, &image)),
        ("ours, every core", &shared),
        ("png, fdeflate, Paeth", &|| theirs(fdeflate, png::Filter::Paeth)),
        ("png, fdeflate, adaptive", &|| theirs(fdeflate, png::Filter::Adaptive)),
        ("png, level 1, Up", &|| theirs(png::DeflateCompression::Level(1), png::Filter::Up)),
    ];
    for (name, way) in ways {
        println!("{name}: {:.2} % of the pixels' bytes", 100.0 * way().len() as f64 / image.bytes() as f64);
        group.throughput(Throughput::Bytes(image.bytes()));
        group.bench_function(name, |b| b.iter(|| black_box(way())));
    }
    group.finish();
}

fn opening(c: &mut Criterion) {
    let sample = Bytes::from_static(SAMPLE);
    c.bench_function("open/jpeg", |b| b.iter(|| black_box(opened(black_box(&sample)))));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = decoding, encoding, large, opening
}
criterion_main!(benches);
