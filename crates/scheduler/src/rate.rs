//! The measured rate of each network: seconds of one worker for a pixel, and what a full batch gains.
//!
//! Most tile shapes are seldom seen, some never before a request that has them. So a rate is kept for all tiles of a
//! network of which as many make a batch: their areas are within a factor of two, and a pixel costs about the same in each.

use std::collections::BTreeMap;
use std::time::Duration;

use inference::engine::batch_sizer::BatchSizer;
use inference::registry::NetworkId;

use super::queue::{BatchClass, Terms};

/// Weight of a new batch in the moving average: a lasting change is believed after some ten batches.
const WEIGHT: f64 = 0.2;

/// One batch moves the average as if it were at most this many times slower or faster: a batch that waited for a
/// page fault or a busy neighbor is no reason to turn requests away.
const STEP: f64 = 4.0;

/// What a pixel is taken to cost in the fair queue while its network is not measured: between the 5 µs (OpenVINO bf16) and
/// 24 µs (CPU fp32) that a light SAN took on two cores. Estimates never use it.
const UNMEASURED_NANOS_PER_PIXEL: u64 = 10_000;

/// Seconds per pixel of every network that has been measured or seeded, by how many tiles make a batch.
#[derive(Clone, Debug)]
pub struct Rates {
    sizer: BatchSizer,
    sizes: BTreeMap<(NetworkId, usize), Rate>,
    /// For a pixel of each tile, seconds of batches of one tile, and of full ones.
    batches: BTreeMap<(NetworkId, usize, Measured), Rate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// No rates yet, for batches that are full by `sizer`.
    pub fn new(sizer: BatchSizer) -> Self {
        Self { sizer, sizes: BTreeMap::new(), batches: BTreeMap::new() }
    }

    /// Takes a time of one tile that was measured elsewhere; ignored unless it is positive and finite.
    pub fn seed(&mut self, class: BatchClass, seconds: f64) {
        if seconds.is_finite() && seconds > 0.0 {
            let rate = Rate { seconds: seconds / pixels(class), first: false };
            self.sizes.insert((class.network, self.batch(class)), rate);
        }
    }

    /// Takes the time of one batch.
    pub fn record(&mut self, class: BatchClass, tiles: usize, ran: Duration) {
        if tiles == 0 {
            return;
        }
        let seconds = ran.as_secs_f64().max(1e-9) / pixels(class);
        let rate = |seconds| Rate { seconds, first: true };
        let (network, batch) = (class.network, self.batch(class));
        let each = seconds / tiles as f64;
        self.sizes.entry((network, batch)).and_modify(|rate| rate.follow(each)).or_insert(rate(each));
        for (size, measured) in [(1, Measured::One), (batch, Measured::Full)] {
            if tiles == size {
                let entry = self.batches.entry((network, batch, measured));
                entry.and_modify(|rate| rate.follow(seconds)).or_insert(rate(seconds));
            }
        }
    }

    /// Seconds of one worker for one tile; `None` until a tile of its network is measured or seeded. By tiles of about its
    /// area, or else by those of the next: a pixel of them may cost a sixth more or less.
    pub fn seconds(&self, class: BatchClass) -> Option<f64> {
        let batch = self.batch(class);
        let known = self.sizes.range((class.network, 0)..=(class.network, usize::MAX));
        let nearest = known.min_by_key(|((_, size), _)| size.ilog2().abs_diff(batch.ilog2()));
        nearest.map(|(_, rate)| rate.seconds * pixels(class))
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
        let batch = self.batch(class);
        let seconds = |measured| self.batches.get(&(class.network, batch, measured)).map(|rate| rate.seconds);
        // If a batch of n tiles takes a + n·c, a rider costs the new requests c and saves the engine a/b, b the largest
        // batch; it is cheap if c < a/b, which in terms of the two that are measured is this.
        let b = batch as f64;
        let fillers = seconds(Measured::One)
            .zip(seconds(Measured::Full))
            .is_some_and(|(one, full)| (b + 1.0) * full < 2.0 * b * one);
        Terms { cost: nanos.clamp(1, 1_000_000_000_000), batch, fillers }
    }
}

fn pixels(class: BatchClass) -> f64 {
    class.shape.pixels() as f64
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
    use images::units::TileShape;
    use proptest::prelude::*;

    use super::*;

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
        assert!(near(&rates, 0.25));
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
        assert!(near(&rates, 0.5));
    }

    #[test]
    fn a_shape_that_was_never_seen_costs_what_its_pixels_do_in_the_nearest_that_were() {
        let class = |width, height| BatchClass { network: NetworkId(0), shape: TileShape::new(width, height) };
        let mut rates = Rates::new(BatchSizer::by_pixels(1, vec![120 * 108]));
        rates.seed(class(120, 108), 12_960e-6);
        let micros =
            |rates: &Rates, width, height| (rates.seconds(class(width, height)).expect("seeded") * 1e6).round();
        assert_eq!([(108, 108), (240, 48), (48, 48)].map(|(w, h)| micros(&rates, w, h)), [11_664.0, 11_520.0, 2304.0]);
        // 60x48 make batches of four, as 48x48 do; 108x48 batches of two, between those that are known.
        rates.seed(class(48, 48), 2.0 * 2304e-6);
        assert_eq!([(60, 48), (108, 48), (108, 108)].map(|(w, h)| micros(&rates, w, h)), [5760.0, 5184.0, 11_664.0]);
        let other = BatchClass { network: NetworkId(1), ..class(48, 48) };
        assert_eq!(rates.seconds(other), None, "another network");
    }

    #[test]
    fn what_one_shape_measures_holds_for_those_of_its_area() {
        let class = |width, height| BatchClass { network: NetworkId(0), shape: TileShape::new(width, height) };
        let mut rates = Rates::new(BatchSizer::by_pixels(4, vec![64 * 64]));
        rates.record(class(64, 64), 1, Duration::from_millis(4096));
        rates.record(class(80, 48), 4, Duration::from_millis(3840));
        assert!(rates.terms(class(48, 64)).fillers, "a full batch takes as long as one tile");
        assert!(!rates.terms(class(32, 32)).fillers, "not known of these");
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
