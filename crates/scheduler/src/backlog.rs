//! What is admitted and not gone: tiles by batch class, and how long the workers have with them.

use std::collections::BTreeMap;

use super::queue::BatchClass;
use super::rate::Rates;

/// Tiles by batch class, of those that have any: their shapes are as many as images have sizes.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    classes: BTreeMap<BatchClass, usize>,
}

impl Backlog {
    /// Tiles were admitted.
    pub(super) fn add(&mut self, class: BatchClass, tiles: usize) {
        *self.classes.entry(class).or_default() += tiles;
    }

    /// Tiles that were added are gone.
    pub(super) fn remove(&mut self, class: BatchClass, tiles: usize) {
        let left = self.classes.entry(class).or_default();
        *left -= tiles;
        if *left == 0 {
            self.classes.remove(&class);
        }
    }

    /// Tiles of all batch classes.
    pub(super) fn tiles(&self) -> usize {
        self.classes.values().sum()
    }

    /// Seconds until so many workers would have done all of it; a batch class that is not measured counts nothing.
    pub(super) fn seconds(&self, rates: &Rates, workers: usize) -> f64 {
        let seconds = self.classes.iter().map(|(class, tiles)| *tiles as f64 * rates.seconds(*class).unwrap_or(0.0));
        // Not `sum`, which makes -0 of nothing.
        seconds.fold(0.0, |all, class| all + class) / workers.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use images::units::TileShape;
    use inference::engine::batch_sizer::BatchSizer;
    use inference::registry::NetworkId;

    use super::*;

    fn class(network: usize, side: u32) -> BatchClass {
        BatchClass { network: NetworkId(network), shape: TileShape::square(side) }
    }

    #[test]
    fn each_class_counts_by_its_own_rate() {
        let (small, large, other) = (class(0, 32), class(0, 64), class(1, 32));
        let mut rates = Rates::new(BatchSizer::by_pixels(4, vec![64 * 64; 2]));
        rates.seed(small, 0.25);
        rates.seed(large, 1.25);
        let mut backlog = Backlog::default();
        backlog.add(small, 4);
        backlog.add(large, 2);
        backlog.add(large, 2);
        assert_eq!((backlog.tiles(), backlog.seconds(&rates, 1), backlog.seconds(&rates, 3)), (8, 6.0, 2.0));

        backlog.add(other, 10);
        assert_eq!((backlog.tiles(), backlog.seconds(&rates, 1)), (18, 6.0), "not measured");
        rates.seed(other, 0.5);
        assert_eq!(backlog.seconds(&rates, 1), 11.0);

        backlog.remove(large, 3);
        assert_eq!((backlog.tiles(), backlog.seconds(&rates, 1)), (15, 7.25));
    }

    #[test]
    fn nothing_is_zero_and_not_minus_zero() {
        let rates = Rates::new(BatchSizer::by_pixels(4, Vec::new()));
        let mut backlog = Backlog::default();
        assert_eq!(backlog.seconds(&rates, 2).to_string(), "0");
        backlog.add(class(0, 48), 3);
        backlog.remove(class(0, 48), 3);
        assert!(backlog.classes.is_empty());
        assert_eq!((backlog.tiles(), backlog.seconds(&rates, 2).to_string().as_str()), (0, "0"));
    }
}
