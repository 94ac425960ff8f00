//! What a tile costs the bare session, by shape.

use std::collections::HashMap;
use std::time::Duration;

use images::units::TileShape;
use inference::engine::TileEngine;
use inference::engine::batch_sizer::BatchSizer;
use inference::engine::bench::bare_rate;
use inference::engine::bicubic::Bicubic;
use inference::engine::start::open;
use inference::registry::{Kind, Network, Registry};
use san_upscaler::config::EngineSettings;

use crate::Failure;

/// Seconds of all workers together for one tile.
pub type Costs = HashMap<TileShape, f64>;

/// Runs as many engines as the server has workers, in full batches of each of these shapes.
pub fn seconds_per_tile(
    registry: &Registry,
    network: &Network,
    settings: &EngineSettings,
    shapes: &[TileShape],
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
    for &shape in shapes {
        let rate = bare_rate(&mut engines, shape, sizer.of(network.id, shape), time)?;
        costs.insert(shape, 1.0 / rate.tiles_per_second());
    }
    Ok(costs)
}
