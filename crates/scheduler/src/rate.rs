//! The measured rate of each batch class: seconds of one worker for one tile, and what a full batch gains.

use std::collections::HashMap;
use std::time::Duration;

use super::queue::{BatchClass, Terms};
use inference::engine::batch_sizer::BatchSizer;

/// Weight of a new batch in the moving average: a lasting change is believed after some ten batches.
const WEIGHT: f64 = 0.2;

/// One batch moves the average as if it were at most this many times slower or faster: a batch that waited for a
/// page fault or a busy neighbor is no reason to turn requests away.
const STEP: f64 = 4.0;

/// What a pixel is taken to cost in the fair queue while its batch class is not measured: between the 5 µs (OpenVINO bf16) and
/// 24 µs (CPU fp32) that a light SAN took on two cores. Estimates never use it.
const UNMEASURED_NANOS_PER_PIXEL: u64 = 10_000;

/// Seconds per tile of every batch class that has been measured or seeded.
#[derive(Clone, Debug)]
pub struct Rates {
    sizer: BatchSizer,
    classes: HashMap<BatchClass, Rate>,
    /// Seconds of batches of one tile, and of full ones.
    batches: HashMap<(BatchClass, Measured), Rate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Measured {
    One,
    Full,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    seconds: f64,
    /// One batch so far, and nothing seeded: first batches allocate, so the second may replace it outright.
    first: bool,
}

impl Rates {
    /// No rates yet, for batches that are full as `fill` says.
    pub fn new(sizer: BatchSizer) -> Self {
        Self { sizer, classes: HashMap::new(), batches: HashMap::new() }
    }

    /// Takes a time measured elsewhere; ignored unless it is positive and finite.
    pub fn seed(&mut self, class: BatchClass, seconds: f64) {
        if seconds.is_finite() && seconds > 0.0 {
            self.classes.insert(class, Rate { seconds, first: false });
        }
    }

    /// Takes the time of one batch.
    pub fn record(&mut self, class: BatchClass, tiles: usize, ran: Duration) {
        if tiles == 0 {
            return;
        }
        let seconds = ran.as_secs_f64().max(1e-9);
        let rate = |sample| Rate { seconds: sample, first: true };
        let sample = seconds / tiles as f64;
        self.classes.entry(class).and_modify(|rate| rate.follow(sample)).or_insert(rate(sample));
        for (size, measured) in [(1, Measured::One), (self.batch(class), Measured::Full)] {
            if tiles == size {
                self.batches.entry((class, measured)).and_modify(|rate| rate.follow(seconds)).or_insert(rate(seconds));
            }
        }
    }

    /// Seconds of one worker for one tile; `None` until measured or seeded.
    pub fn seconds(&self, class: BatchClass) -> Option<f64> {
        self.classes.get(&class).map(|rate| rate.seconds)
    }

    /// Tiles of one batch class in a batch at most.
    pub fn batch(&self, class: BatchClass) -> usize {
        self.sizer.of(class.network, class.shape)
    }

    /// What the fair queue must know: the cost in nanoseconds, the largest batch, and whether filler tiles are cheap. Unknown,
    /// they are not, so that single tiles run and are measured.
    pub fn terms(&self, class: BatchClass) -> Terms {
        let nanos = match self.seconds(class) {
            Some(seconds) => (seconds * 1e9) as u64,
            None => class.shape.pixels() as u64 * UNMEASURED_NANOS_PER_PIXEL,
        };
        let seconds = |measured| self.batches.get(&(class, measured)).map(|rate| rate.seconds);
        // If a batch of n tiles takes a + n·c, a rider costs the new requests c and saves the engine a/b, b the largest
        // batch; it is cheap if c < a/b, which in terms of the two that are measured is this.
        let batch = self.batch(class);
        let b = batch as f64;
        let fillers = seconds(Measured::One)
            .zip(seconds(Measured::Full))
            .is_some_and(|(one, full)| (b + 1.0) * full < 2.0 * b * one);
        Terms { cost: nanos.clamp(1, 1_000_000_000_000), batch, fillers }
    }
}

impl Rate {
    fn follow(&mut self, sample: f64) {
        self.seconds = if self.first {
            self.seconds.min(sample)
        } else {
            let sample = sample.clamp(self.seconds / STEP, self.seconds * STEP);
            self.seconds + WEIGHT * (sample - self.seconds)
        };
        self.first = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use images::units::TileShape;
    use inference::registry::NetworkId;

    const CLASS: BatchClass = BatchClass { network: NetworkId(0), shape: TileShape::square(64) };

    fn near(rates: &Rates, seconds: f64) -> bool {
        rates.seconds(CLASS).is_some_and(|s| (s - seconds).abs() < 0.05 * seconds)
    }

    #[test]
    fn unknown_until_measured() {
        let mut rates = Rates::new(BatchSizer::by_pixels(4, Vec::new()));
        assert_eq!(rates.seconds(CLASS), None);
        assert_eq!(rates.terms(CLASS).cost, 40_960_000);
        rates.record(CLASS, 0, Duration::from_secs(1));
        assert_eq!(rates.seconds(CLASS), None);
        rates.record(CLASS, 4, Duration::from_secs(1));
        assert_eq!(rates.seconds(CLASS), Some(0.25));
        assert_eq!(rates.terms(CLASS).cost, 250_000_000);
    }

    #[test]
    fn a_slow_first_batch_is_forgotten_by_the_second() {
        let mut rates = Rates::new(BatchSizer::by_pixels(4, Vec::new()));
        rates.record(CLASS, 1, Duration::from_secs(30));
        rates.record(CLASS, 1, Duration::from_millis(20));
        assert!(near(&rates, 0.02));
    }

    #[test]
    fn one_slow_batch_moves_little_and_a_lasting_change_wins() {
        let mut rates = Rates::new(BatchSizer::by_pixels(4, Vec::new()));
        rates.seed(CLASS, 0.02);
        rates.record(CLASS, 1, Duration::from_mins(1));
        assert!(rates.seconds(CLASS).is_some_and(|s| s <= 0.02 * 1.61));
        for _ in 0..40 {
            rates.record(CLASS, 4, Duration::from_millis(400));
        }
        assert!(near(&rates, 0.1));
    }

    #[test]
    fn fillers_are_cheap_where_a_full_batch_takes_hardly_longer_than_one_tile() {
        for (full, cheap) in [(100, true), (159, true), (160, false), (400, false)] {
            let mut rates = Rates::new(BatchSizer::by_pixels(4, Vec::new()));
            rates.record(CLASS, 1, Duration::from_millis(100));
            assert!(!rates.terms(CLASS).fillers, "not known yet");
            rates.record(CLASS, 2, Duration::from_millis(1));
            rates.record(CLASS, 4, Duration::from_millis(full));
            assert_eq!(rates.terms(CLASS).fillers, cheap, "{full} ms");
        }
    }

    #[test]
    fn senseless_seeds_are_ignored() {
        let mut rates = Rates::new(BatchSizer::by_pixels(4, Vec::new()));
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            rates.seed(CLASS, seconds);
        }
        assert_eq!(rates.seconds(CLASS), None);
        rates.seed(CLASS, 0.5);
        assert_eq!(rates.seconds(CLASS), Some(0.5));
    }

    proptest! {
        #[test]
        fn rate_stays_within_what_was_measured(batches in prop::collection::vec((1..16_usize, 0..10_000_u64), 1..50)) {
            let mut rates = Rates::new(BatchSizer::by_pixels(4, Vec::new()));
            let (mut low, mut high) = (f64::MAX, 0.0_f64);
            for (tiles, millis) in batches {
                let sample = (millis as f64 / 1e3).max(1e-9) / tiles as f64;
                (low, high) = (low.min(sample), high.max(sample));
                rates.record(CLASS, tiles, Duration::from_millis(millis));
                let rate = rates.seconds(CLASS).expect("measured");
                prop_assert!(rate >= low * 0.999 && rate <= high * 1.001);
                prop_assert!(rates.terms(CLASS).cost >= 1);
            }
        }
    }
}
