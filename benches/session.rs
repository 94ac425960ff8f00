//! Bare session speed: `cargo bench --bench session -- --model san-light --scale 4 --batch 1,4,8`.
//!
//! Prints one JSON object a tile shape and batch. `useful_input_pixels_per_second` counts what a tile adds to a large
//! image, the overlap with its neighbors left out: that is what a service's rate is to be held against.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use images::units::{Scale, TileShape};
use inference::engine::TileEngine;
use inference::engine::backend::{Precision, Provider};
use inference::engine::bench::bare_rate;
use inference::engine::start::{Wanted, open};
use inference::registry::{Kind, Registry};

#[derive(Parser)]
#[command(about = "Speed of the bare session on prepared tiles, as JSON lines")]
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
    /// Tiles in a batch; several with commas
    #[arg(long, value_delimiter = ',', default_value = "1,4,8")]
    batch: Vec<usize>,
    /// Tiles, `72` or `120x108`, also such as the model has not; its smallest, its largest and one between if left out
    #[arg(long, value_delimiter = ',', value_parser = shape)]
    tile: Vec<TileShape>,
    /// Workers, each a thread with a session
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Intra-op threads of each worker; all cores shared out if left out
    #[arg(long)]
    threads: Option<usize>,
    /// Execution provider
    #[arg(long, value_enum, default_value_t = Provider::Auto)]
    provider: Provider,
    /// Arithmetic
    #[arg(long, value_enum, default_value_t = Precision::Auto)]
    precision: Precision,
    /// Bytes on a GPU for each session
    #[arg(long, default_value_t = 2_000_000_000)]
    gpu_memory: u64,
    /// ONNX Runtime library
    #[arg(long)]
    runtime: Option<PathBuf>,
    /// Seconds for each figure
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// What cargo passes to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let registry = Registry::load(&arguments.models, std::slice::from_ref(&arguments.model))?;
    let scale = Scale::new(arguments.scale).ok_or("--scale must be 1 to 8")?;
    let network = registry.find(&arguments.model, scale)?;
    let Kind::Onnx { sha256, .. } = &network.kind else { return Err("a built-in model has no session".into()) };
    let cores = std::thread::available_parallelism()?.get();
    let threads = arguments.threads.unwrap_or((cores / arguments.workers.max(1)).max(1));
    let wanted = Wanted {
        provider: arguments.provider,
        precision: arguments.precision,
        runtime: arguments.runtime.as_deref(),
        threads,
        gpu_memory: arguments.gpu_memory,
    };
    let mut engines = Vec::new();
    for _ in 0..arguments.workers.max(1) {
        engines.push(Box::new(open(network, wanted)?) as Box<dyn TileEngine>);
    }
    let execution = engines[0].execution();
    let halo = network.tile.halo;
    let shapes = if arguments.tile.is_empty() { network.tile.samples() } else { arguments.tile };
    for shape in shapes {
        let useful = f64::from(shape.width - 2 * halo) * f64::from(shape.height - 2 * halo);
        for &batch in &arguments.batch {
            let rate = bare_rate(&mut engines, shape, batch, Duration::from_secs_f64(arguments.seconds))?;
            let figures = serde_json::json!({
                "bench": "session",
                "model": network.model,
                "scale": scale,
                "sha256": sha256,
                "provider": execution.provider,
                "precision": execution.precision,
                "workers": engines.len(),
                "threads": threads,
                "tile": shape.to_string(),
                "halo": halo,
                "batch": batch,
                "tiles": rate.tiles,
                "seconds": rate.elapsed.as_secs_f64(),
                "milliseconds_per_tile": 1e3 / rate.tiles_per_second(),
                "input_pixels_per_second": rate.tiles_per_second() * shape.pixels() as f64,
                "useful_input_pixels_per_second": rate.tiles_per_second() * useful,
            });
            println!("{figures}");
        }
    }
    Ok(())
}

/// `72` or `120x108`.
fn shape(text: &str) -> Result<TileShape, String> {
    let (width, height) = text.split_once('x').unwrap_or((text, text));
    let side = |text: &str| text.parse().map_err(|error| format!("{text}: {error}; write 72 or 120x108"));
    Ok(TileShape::new(side(width)?, side(height)?))
}
