//! What a tile shape costs when it is first seen: `cargo bench --bench shapes -- --provider openvino`.
//!
//! After the service's own warm-up, each shape that the model allows runs three times, in an order that repeats; then the memory of
//! the process is given. The service warms three shapes and serves them all, which is honest while the first run costs hardly more than the others.

use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use images::units::{Scale, TileShape};
use inference::engine::TileEngine;
use inference::engine::backend::{Precision, Provider};
use inference::engine::start::{Wanted, open};
use inference::registry::Registry;

#[derive(Parser)]
#[command(about = "The first run of each tile shape beside the next")]
struct Arguments {
    /// Folder of models
    #[arg(long, default_value = "models")]
    models: PathBuf,
    /// Model with an ONNX file
    #[arg(long, default_value = "san-light")]
    model: String,
    /// Its scale
    #[arg(long, default_value_t = 4)]
    scale: u8,
    /// Shapes at most
    #[arg(long, default_value_t = 200)]
    shapes: usize,
    /// Threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Execution provider
    #[arg(long, value_enum, default_value_t = Provider::Auto)]
    provider: Provider,
    /// Arithmetic
    #[arg(long, value_enum, default_value_t = Precision::Auto)]
    precision: Precision,
    /// ONNX Runtime library
    #[arg(long)]
    runtime: Option<PathBuf>,
    /// What cargo passes to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let registry = Registry::load(&arguments.models, std::slice::from_ref(&arguments.model))?;
    let network = registry.find(&arguments.model, Scale::new(arguments.scale).ok_or("--scale must be 1 to 8")?)?;
    let wanted = Wanted {
        provider: arguments.provider,
        precision: arguments.precision,
        runtime: arguments.runtime.as_deref(),
        threads: arguments.threads,
        gpu_memory: 2_000_000_000,
    };
    let mut engine = open(network, wanted)?;
    let execution = engine.execution();
    let bounds = network.tile;
    let mut run = |shape: TileShape| -> Result<f64, Box<dyn std::error::Error>> {
        let tile: Vec<f32> = (0..3 * shape.pixels()).map(|i| (i * 37 % 256) as f32).collect();
        let begun = Instant::now();
        engine.upscale(shape, std::slice::from_ref(&tile))?;
        Ok(begun.elapsed().as_secs_f64())
    };
    for shape in bounds.samples() {
        run(shape)?;
    }
    let sides = || (bounds.min_side..=bounds.max_side).step_by(bounds.step as usize);
    let all = sides().flat_map(|width| sides().map(move |height| TileShape::new(width, height)));
    let mut shapes: Vec<_> = all.filter(|shape| bounds.allows(*shape)).collect();
    // Neighbors in the list are nearly alike: mixed, each shape comes after one that differs.
    shapes.sort_by_key(|shape| (shape.width * 7919 + shape.height * 104_729) % 1009);
    shapes.truncate(arguments.shapes);

    let before = memory();
    let mut ratios = Vec::new();
    for &shape in &shapes {
        let (first, second, third) = (run(shape)?, run(shape)?, run(shape)?);
        ratios.push(first / second.min(third));
    }
    let seen = memory();
    for &shape in &shapes {
        run(shape)?;
    }
    ratios.sort_by(f64::total_cmp);
    let at = |q: f64| ratios[((ratios.len() - 1) as f64 * q) as usize];
    let (median, decile, most) = (at(0.5), at(0.9), at(1.0));
    println!("{} x{}, {execution}: {} shapes", network.model, network.scale, shapes.len());
    println!(
        "the first run takes {median:.3} of the faster of two more in the median, {decile:.3} at the ninth decile, {most:.3} at most"
    );
    println!("resident: {before} MiB before, {seen} once all were seen, {} after another round", memory());
    Ok(())
}

/// Of this process, in MiB; 0 where there is no `/proc`.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) >> 10
}
