//! Success, failure, panic, cancellation and expiry in any mix, on real threads.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::{Bench, LIMITS, PATIENCE, registry};
use crate::{Limits, Metrics, Scheduler};
use images::units::TileShape;
use inference::engine::{EngineError, EngineSet, Execution, TileEngine};
use inference::registry::NetworkId;

/// Fails on 1, panics on 2, else gives tiles back.
struct Moody;

impl TileEngine for Moody {
    fn upscale(&mut self, _: TileShape, tiles: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
        if tiles.iter().any(|tile| tile[0] == 2.0) {
            resume_unwind(Box::new("as asked for"));
        }
        match tiles.iter().position(|tile| tile[0] == 1.0) {
            Some(tile) => Err(EngineError::NonFinite { tile }),
            None => Ok(tiles.to_vec()),
        }
    }

    fn execution(&self) -> Execution {
        Execution { provider: "test".to_owned(), precision: "fp32".to_owned() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What comes back is what was sent, and all counters end at 0.
    #[test]
    fn counters_return_to_zero(
        requests in prop::collection::vec((prop::collection::vec(0..20_u8, 1..12), 0..12_usize, any::<bool>()), 1..20),
    ) {
        let metrics = Metrics::unregistered();
        let engines = || EngineSet::from([(NetworkId(0), Box::new(Moody) as Box<dyn TileEngine>)]);
        let limits = Limits { queue_tiles: 100, ..LIMITS };
        let scheduler = Scheduler::start(limits, vec![engines(), engines()], &registry(), metrics.clone(), Arc::new(())).expect("threads");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let mut tickets = Vec::new();
            for (tiles, patience, overdue) in requests {
                let left = if overdue { Duration::ZERO } else { PATIENCE };
                let Ok(ticket) = scheduler.admit(Bench::admission(tiles.len(), left)) else { continue };
                for (index, value) in tiles.iter().enumerate() {
                    ticket.submit(index, vec![f32::from(*value)]);
                }
                tickets.push((ticket, tiles, patience));
            }
            for (mut ticket, tiles, patience) in tickets {
                // Some wait for all tiles, some leave before.
                for _ in 0..tiles.len().min(patience) {
                    match ticket.finished().await {
                        Ok(finished) => assert!(finished.samples[0] == f32::from(tiles[finished.index])),
                        Err(_) => break,
                    }
                }
            }
        });
        scheduler.stop();
        prop_assert_eq!(scheduler.admitted_tiles(), 0);
        prop_assert_eq!(metrics.queued_tiles.get(), 0);
        prop_assert_eq!(metrics.admitted_tiles.get(), 0);
        prop_assert_eq!(metrics.admitted_seconds.get(), 0.0);
        prop_assert_eq!(metrics.inflight_bytes.get(), 0);
    }
}
