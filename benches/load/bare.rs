//! What a tile costs the bare session, by shape.

use std::collections::HashMap;
use std::time::Duration;

use san_upscaler::config::EngineSettings;
use san_upscaler::engine::TileEngine;
use san_upscaler::engine::batch_sizer::BatchSizer;
use san_upscaler::engine::bench::bare_rate;
use san_upscaler::engine::bicubic::Bicubic;
use san_upscaler::engine::start::open;
use san_upscaler::registry::{Kind, Network, Registry};
use san_upscaler::units::TileShape;

use crate::Failure;

/// Seconds of all workers together for one tile.
pub type Costs = HashMap<TileShape, f64>;

/// Runs as many engines as the server has workers, in full batches.
pub fn seconds_per_tile(
    registry: &Registry,
    network: &Network,
    settings: &EngineSettings,
    time: Duration,
) -> Result<Costs, Failure> {
    let mut engines: Vec<Box<dyn TileEngine>> = Vec::new();
    for _ in 0..settings.workers {
        engines.push(match network.kind {
            Kind::Bicubic => Box::new(Bicubic::new(network.scale)),
            Kind::Onnx { .. } => Box::new(open(network, settings)?),
        });
    }
    let sizer = BatchSizer::new(settings.scheduler.batch_max, registry);
    let mut costs = Costs::new();
    for tile in &network.tiles {
        let batch = sizer.of(network.id, tile.shape);
        let rate = bare_rate(&mut engines, tile.shape, batch, time)?;
        costs.insert(tile.shape, 1.0 / rate.tiles_per_second());
    }
    Ok(costs)
}
