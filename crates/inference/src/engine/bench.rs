//! The rate that a service can be held against: bare sessions on prepared tiles, nothing around them.

use std::thread;
use std::time::{Duration, Instant};

use images::units::TileShape;

use crate::engine::{EngineError, TileEngine};

/// What [`bare_rate`] measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tiles that were upscaled.
    pub tiles: u64,
    /// From the first batch to the end of the last.
    pub elapsed: Duration,
}

impl Rate {
    /// Tiles a second.
    pub fn tiles_per_second(self) -> f64 {
        self.tiles as f64 / self.elapsed.as_secs_f64()
    }
}

/// Runs each engine on a thread of its own, as workers do, on full batches of one shape for `duration` (each at least
/// once), after one batch that does not count.
pub fn bare_rate(
    engines: &mut [Box<dyn TileEngine>],
    shape: TileShape,
    batch: usize,
    duration: Duration,
) -> Result<Rate, EngineError> {
    let tiles: Vec<Vec<f32>> = (0..batch.max(1)).map(|seed| noise(seed as u32, 3 * shape.pixels())).collect();
    for engine in &mut *engines {
        engine.upscale(shape, &tiles)?;
    }
    let begun = Instant::now();
    let batches: Result<Vec<u64>, EngineError> = thread::scope(|scope| {
        let run = |engine: &mut dyn TileEngine| {
            let mut batches = 0;
            loop {
                engine.upscale(shape, &tiles)?;
                batches += 1;
                if begun.elapsed() >= duration {
                    return Ok(batches);
                }
            }
        };
        let running: Vec<_> = engines.iter_mut().map(|engine| scope.spawn(move || run(engine.as_mut()))).collect();
        running.into_iter().map(|worker| worker.join().expect("an engine does not panic on noise")).collect()
    });
    Ok(Rate { tiles: batches?.iter().sum::<u64>() * tiles.len() as u64, elapsed: begun.elapsed() })
}

/// Levels without structure that a network could be quick about (zeros, denormals); the same every time.
fn noise(seed: u32, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_769).wrapping_add(1);
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Execution;

    /// Counts its tiles and fails on demand.
    struct Counting {
        tiles: usize,
        fails: bool,
    }

    impl TileEngine for Counting {
        fn upscale(&mut self, shape: TileShape, tiles: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
            assert!(tiles.iter().all(|t| t.len() == 3 * shape.pixels()));
            self.tiles += tiles.len();
            if self.fails && self.tiles > tiles.len() {
                return Err(EngineError::Runtime("broken".into()));
            }
            Ok(tiles.to_vec())
        }

        fn execution(&self) -> Execution {
            Execution { provider: "builtin".into(), precision: "fp32".into() }
        }
    }

    fn engines(fails: bool) -> Vec<Box<dyn TileEngine>> {
        vec![Box::new(Counting { tiles: 0, fails: false }), Box::new(Counting { tiles: 0, fails })]
    }

    #[test]
    fn every_engine_runs_and_warming_does_not_count() {
        let rate = bare_rate(&mut engines(false), TileShape::square(16), 3, Duration::ZERO).expect("it counts");
        assert_eq!(rate.tiles, 6, "two engines, one batch of three each");
        assert_eq!(Rate { tiles: 6, elapsed: Duration::from_millis(500) }.tiles_per_second(), 12.0);
    }

    #[test]
    fn a_failure_ends_the_measurement() {
        assert!(bare_rate(&mut engines(true), TileShape::square(16), 1, Duration::ZERO).is_err());
    }

    #[test]
    fn noise_is_levels_and_repeats() {
        let levels = noise(3, 1000);
        assert_eq!(levels, noise(3, 1000));
        assert_ne!(levels, noise(4, 1000));
        assert!(levels.iter().all(|l| (0.0..=255.0).contains(l)));
        assert!(levels.iter().any(|l| *l < 16.0) && levels.iter().any(|l| *l > 239.0));
    }
}
