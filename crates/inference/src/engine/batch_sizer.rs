//! How many tiles of a network and shape run together.
//!
//! A batch is bounded by what it computes, not by its tiles: anyone who comes next waits for the batch that runs, and
//! should wait as long behind small tiles as behind large ones. Small tiles gain from a batch, too, where large ones
//! do not (benches/README.md).

use images::units::TileShape;

use crate::registry::{NetworkId, Registry};

/// Tiles in a batch at most, whatever is asked for: beyond it no provider gains, and the batch histogram ends there.
pub const BATCH_MAX: usize = 64;

/// The largest batch of each network and shape.
#[derive(Clone, Debug)]
pub struct BatchSizer {
    /// Of a network's largest tiles.
    largest: usize,
    /// Pixels of the largest tile of each network, by its id.
    pixels: Vec<usize>,
}

impl BatchSizer {
    /// Batches of at most `largest` of a network's largest tiles; of tiles a quarter as large, four times as many.
    pub fn new(largest: usize, registry: &Registry) -> Self {
        Self::by_pixels(largest, registry.networks().iter().map(|network| network.tile.largest().pixels()).collect())
    }

    /// The same, by the pixels of the largest tile of each network; what is left out is as large as any.
    pub fn by_pixels(largest: usize, pixels: Vec<usize>) -> Self {
        Self { largest: largest.clamp(1, BATCH_MAX), pixels }
    }

    /// Tiles of this shape in a batch at most: by powers of two more than of the largest, since a card's batches are
    /// filled up to one.
    pub fn of(&self, network: NetworkId, shape: TileShape) -> usize {
        let own = shape.pixels().max(1);
        let fit = self.pixels.get(network.0).map_or(1, |largest| (largest / own).max(1));
        (self.largest << fit.ilog2()).min(BATCH_MAX)
    }
}

#[cfg(test)]
mod tests {
    use images::units::Scale;
    use tiling::TileBounds;

    use super::*;
    use crate::registry::{Kind, Network};

    /// Batches of tiles of these sides, of which the first is the largest that the network takes.
    fn fill<const N: usize>(largest: usize, tiles: [(u32, u32); N]) -> [usize; N] {
        let max_area = tiles[0].0 * tiles[0].1;
        let network = Network {
            id: NetworkId(0),
            model: "a".into(),
            scale: Scale::new(2).expect("a scale"),
            tile: TileBounds { step: 4, min_side: 16, max_side: 256, max_area, halo: 4 },
            kind: Kind::Bicubic,
            parameters: 0,
        };
        let sizer = BatchSizer::new(largest, &Registry::new(vec![network]));
        tiles.map(|(width, height)| sizer.of(NetworkId(0), TileShape::new(width, height)))
    }

    #[test]
    fn small_tiles_fill_the_place_of_large_ones_by_twos() {
        // 120x108 is 1.1 times 108², 2.5 times 72² and 5.6 times 48².
        let tiles = [(120, 108), (108, 108), (72, 72), (108, 48), (48, 48)];
        assert_eq!(fill(1, tiles), [1, 1, 2, 2, 4]);
        assert_eq!(fill(3, tiles), [3, 3, 6, 6, 12]);
        // Exactly four times, and a column short of it.
        assert_eq!((fill(1, [(64, 64), (32, 32)]), fill(1, [(64, 64), (36, 32)])), ([1, 4], [1, 2]));
    }

    #[test]
    fn no_batch_is_empty_or_larger_than_may_be_asked_for() {
        let tiles = [(64, 64), (32, 32)];
        assert_eq!(fill(0, tiles), [1, 4]);
        assert_eq!(fill(16, tiles), [16, 64]);
        assert_eq!(fill(17, tiles), [17, 64]);
        assert_eq!(fill(BATCH_MAX + 1, tiles), [BATCH_MAX; 2]);
    }

    #[test]
    fn a_network_that_is_not_known_has_tiles_of_one_size() {
        assert_eq!(BatchSizer::by_pixels(4, Vec::new()).of(NetworkId(7), TileShape::square(8)), 4);
    }
}
