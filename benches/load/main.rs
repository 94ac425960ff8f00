//! Speed of the whole service beside that of the bare session: `cargo bench --bench load`.
//!
//! Starts this build's server on a free port and lets clients send photographs of mixed sizes to it. Prints useful
//! input pixels a second, latencies and failures; beside it, measured before and after in the same run, what the bare
//! session does on exactly the tiles of those photographs; and how much longer a 64x64 upload takes while a
//! 2000x2000 image is being worked on. Last, on a server of its own, what memory is left half a minute after a mixed
//! load; too much is a failure.

mod bare;
mod clients;
mod memory;
mod photos;
mod server;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use images::units::Scale;
use inference::registry::{ModelChoice, Network, Registry};
use san_upscaler::config::{EngineArgs, EngineSettings, Machine};

use crate::clients::{Load, Outcome};
use crate::memory::Memory;
use crate::photos::Photo;
use crate::server::Server;

#[derive(Parser)]
#[command(about = "Speed of the whole service beside that of the bare session")]
struct Arguments {
    /// Magnification
    #[arg(long, default_value_t = 4)]
    scale: u8,
    /// Clients that send one request after the other
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Seconds of load that count
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Seconds of load before, which do not count
    #[arg(long, default_value_t = 5.0)]
    lead: f64,
    /// Seconds for each figure of the bare session
    #[arg(long, default_value_t = 5.0)]
    bare_seconds: f64,
    /// 64x64 uploads for each latency
    #[arg(long, default_value_t = 15)]
    small: usize,
    /// Seconds of mixed load before the rest after which memory is measured
    #[arg(long, default_value_t = 20.0)]
    memory_seconds: f64,
    /// Only measure memory
    #[arg(long)]
    memory_only: bool,
    /// What cargo passes to every bench
    #[arg(long, hide = true)]
    bench: bool,
    /// The server gets the same.
    #[command(flatten)]
    engine: EngineArgs,
}

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let mut settings = arguments.engine.settings(&Machine::here())?;
    // The bare session beside it runs one network, so the server does, too.
    let model = settings.model.name().unwrap_or("san-light").to_owned();
    settings.model = ModelChoice::Named(model.clone());
    settings.only = vec![model.clone()];
    let registry = Registry::load(&settings.models, &settings.only)?;
    let scale = Scale::new(arguments.scale).ok_or("--scale must be 1 to 8")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    if !arguments.memory_only {
        speed(&arguments, &settings, &registry, registry.find(&model, scale)?, &runtime)?;
    }
    let server = Server::start(&settings)?;
    let time = Duration::from_secs_f64(arguments.memory_seconds);
    let memory = runtime.block_on(Memory::measure(&server, arguments.clients, time))?;
    memory.ok_or("memory was not measured: this system has no /proc")?.report()
}

/// The service's speed beside the bare session's.
fn speed(
    arguments: &Arguments,
    settings: &EngineSettings,
    registry: &Registry,
    network: &Network,
    runtime: &tokio::runtime::Runtime,
) -> Result<(), Failure> {
    let scale = network.scale;
    let photos = Arc::new(photos::mixed(&network.tile)?);
    let mut shapes: Vec<_> = photos.iter().map(|photo| photo.shape).collect();
    shapes.sort_unstable();
    shapes.dedup();
    let seconds = Duration::from_secs_f64(arguments.bare_seconds);
    let costs = || bare::seconds_per_tile(registry, network, settings, &shapes, seconds);

    let before = costs()?;
    let server = Server::start(settings)?;
    let load = Load {
        url: server.url(scale),
        clients: arguments.clients,
        lead: Duration::from_secs_f64(arguments.lead),
        window: Duration::from_secs_f64(arguments.seconds),
        scale,
    };
    let outcome = runtime.block_on(load.run(Arc::clone(&photos)))?;
    let batches = runtime.block_on(server.mean_batch())?;
    let small = runtime.block_on(clients::small_beside_large(&load, arguments.small))?;
    let execution = server.runs_on().to_owned();
    drop(server);
    let after = costs()?;

    println!(
        "model {} x{scale}, {execution}; batches of {} at most (more of small tiles), {batches:.1} on average",
        settings.model, settings.scheduler.batch_max
    );
    report(arguments, &outcome, &photos, &before, &after);
    let ratio = small.busy.as_secs_f64() / small.idle.as_secs_f64();
    println!(
        "64x64 upload, median of {}: {:.0} ms on an idle server, {:.0} ms beside a 2000x2000 image, ratio {ratio:.1}",
        arguments.small,
        small.idle.as_secs_f64() * 1e3,
        small.busy.as_secs_f64() * 1e3,
    );
    Ok(())
}

/// Pixels a second of the service and of the bare session on the same tiles, and latencies by size.
fn report(arguments: &Arguments, outcome: &Outcome, photos: &[Photo], before: &bare::Costs, after: &bare::Costs) {
    let window = arguments.seconds;
    let pixels: f64 = outcome.shares(photos).map(|(photo, share)| share * photo.size.pixels() as f64).sum();
    let bare_seconds = |costs: &bare::Costs| {
        outcome.shares(photos).map(|(photo, share)| share * photo.bare_seconds(costs)).sum::<f64>()
    };
    let (first, last) = (pixels / bare_seconds(before), pixels / bare_seconds(after));
    let (service, bare) = (pixels / window, f64::midpoint(first, last));
    println!(
        "bare session:  {bare:>9.0} useful input pixels/s on the tiles of these photographs ({first:.0} before, {last:.0} after)"
    );
    println!(
        "whole service: {service:>9.0} useful input pixels/s, {} clients, {window:.0} s, {} answers, {} failures",
        arguments.clients,
        outcome.answers.len(),
        outcome.failures.len(),
    );
    println!("service / bare session: {:.2}", service / bare);
    for failure in outcome.failures.iter().take(5) {
        println!("  failed: {failure}");
    }
    println!("latency by size, seconds:      n     p50     p99");
    for (index, photo) in photos.iter().enumerate() {
        let mut took: Vec<_> = outcome
            .answers
            .iter()
            .filter(|answer| answer.photo == index)
            .map(|answer| answer.took().as_secs_f64())
            .collect();
        took.sort_by(f64::total_cmp);
        if let (Some(p50), Some(p99)) = (clients::quantile(&took, 0.5), clients::quantile(&took, 0.99)) {
            println!(
                "  {:>9} ({:>3} tiles of {:>7}) {:>10} {p50:>7.2} {p99:>7.2}",
                photo.size.to_string(),
                photo.tiles,
                photo.shape.to_string(),
                took.len()
            );
        }
    }
}
