//! What an image costs outside the network: cutting tiles, upscaling them by bicubic, joining them.
//!
//! `cargo bench -p tiling --bench tiling`. Throughput is in bytes of `f32` that come out.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use images::raster::{Channels, Raster, Samples};
use images::resample::bicubic::Kernel;
use images::units::{Scale, Size, TileShape};
use tiling::{Blender, Grid, TileSpec, extract};

const SPEC: TileSpec = TileSpec { shape: TileShape::square(96), halo: 4 };

fn image() -> Raster {
    let size = Size::new(1024, 512);
    Raster::new(size, Channels::Rgb, Samples::U8((0..3 * size.pixels()).map(|i| (i * 31 % 251) as u8).collect()))
}

fn scale(factor: u8) -> Scale {
    Scale::new(factor).expect("1 to 8")
}

fn bytes(samples: usize) -> Throughput {
    Throughput::Bytes((samples * size_of::<f32>()) as u64)
}

fn cut(c: &mut Criterion) {
    let image = image();
    let grid = Grid::of(image.size(), SPEC);
    let mut group = c.benchmark_group("extract");
    group.throughput(bytes(grid.len() * 3 * SPEC.shape.pixels()));
    group.bench_function("rgb 8 bit", |b| {
        b.iter(|| {
            for index in 0..grid.len() {
                black_box(extract::tile(&image, &grid, index));
            }
        });
    });
    group.finish();
}

fn upscale(c: &mut Criterion) {
    let size = SPEC.shape.size();
    let plane = vec![99.0; SPEC.shape.pixels()];
    let mut group = c.benchmark_group("bicubic, one plane");
    for factor in [2, 3, 4] {
        let kernel = Kernel::new(scale(factor));
        let mut out = vec![0.0; plane.len() * usize::from(factor).pow(2)];
        group.throughput(bytes(out.len()));
        group.bench_function(BenchmarkId::from_parameter(format!("x{factor}")), |b| {
            let row = |y: u32| &plane[(y * size.width) as usize..][..size.width as usize];
            b.iter(|| kernel.upscale(size, row, 0..size.height * kernel.factor(), black_box(&mut out)));
        });
    }
    group.finish();
}

fn join(c: &mut Criterion) {
    let grid = Grid::of(image().size(), SPEC);
    let mut group = c.benchmark_group("blend");
    for factor in [2, 4] {
        let scale = scale(factor);
        let tile = vec![99.0; SPEC.shape.samples(scale)];
        group.throughput(bytes(3 * grid.image().scaled(scale).pixels() as usize));
        group.bench_function(BenchmarkId::from_parameter(format!("x{factor}")), |b| {
            b.iter(|| {
                let mut blender = Blender::new(&grid, scale);
                for _ in 0..grid.len() {
                    blender.push(black_box(&tile));
                    while let Some(band) = blender.band() {
                        black_box(band);
                    }
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, cut, upscale, join);
criterion_main!(benches);
