//! How many tiles of a network and shape run together.
//!
//! A batch is bounded by what it computes, not by its tiles: anyone who comes next waits for the batch that runs, and
//! should wait as long behind small tiles as behind large ones. Small tiles gain from a batch, too, where large ones
//! do not (benches/README.md).

use images::units::TileShape;
use tiling::TileSpec;

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
        let most = |tiles: &[TileSpec]| tiles.iter().map(|tile| tile.shape.pixels()).max().unwrap_or(0);
        Self::by_pixels(largest, registry.networks().iter().map(|network| most(&network.tiles)).collect())
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

    use super::*;
    use crate::registry::{Kind, Network};

    fn fill(largest: usize, sides: &[u32]) -> Vec<usize> {
        let tiles = sides.iter().map(|&side| TileSpec { shape: TileShape::square(side), halo: 4 }).collect();
        let network = Network {
            id: NetworkId(0),
            model: "a".into(),
            scale: Scale::new(2).expect("a scale"),
            tiles,
            kind: Kind::Bicubic,
            parameters: 0,
        };
        let sizer = BatchSizer::new(largest, &Registry::new(vec![network]));
        sides.iter().map(|&side| sizer.of(NetworkId(0), TileShape::square(side))).collect()
    }

    #[test]
    fn small_tiles_fill_the_place_of_large_ones_by_twos() {
        // 108² is 1.3 times 96², 2.25 times 72² and 5.1 times 48².
        assert_eq!(fill(1, &[108, 96, 72, 48]), [1, 1, 2, 4]);
        assert_eq!(fill(3, &[108, 96, 72, 48]), [3, 3, 6, 12]);
        // Exactly four times, and a pixel's breadth short of it.
        assert_eq!((fill(1, &[64, 32]), fill(1, &[64, 33])), (vec![1, 4], vec![1, 2]));
    }

    #[test]
    fn no_batch_is_empty_or_larger_than_may_be_asked_for() {
        assert_eq!(fill(0, &[64, 32]), [1, 4]);
        assert_eq!(fill(16, &[64, 32]), [16, 64]);
        assert_eq!(fill(17, &[64, 32]), [17, 64]);
        assert_eq!(fill(BATCH_MAX + 1, &[64]), [BATCH_MAX]);
    }

    #[test]
    fn a_network_that_is_not_known_has_tiles_of_one_size() {
        assert_eq!(BatchSizer::by_pixels(4, Vec::new()).of(NetworkId(7), TileShape::square(8)), 4);
    }
}
