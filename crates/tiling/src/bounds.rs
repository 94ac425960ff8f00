//! Which tiles a network takes: what its `model.toml` declares, and what [`Grid`](crate::Grid) chooses from.

use images::units::TileShape;

/// Sides of tiles are multiples of this at least: networks split tiles into halves. It also bounds how many shapes there are.
pub const STEP_MIN: u32 = 4;

/// The longest side of a tile: beyond it one batch of a deep network no longer fits a small machine.
pub const SIDE_MAX: u32 = 1024;

/// The rectangles that a network may be given, and the context that their borders need, in low-resolution pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TileBounds {
    /// Sides are multiples of it.
    pub step: u32,
    /// The shortest side.
    pub min_side: u32,
    /// The longest side.
    pub max_side: u32,
    /// The most pixels of a tile.
    pub max_area: u32,
    /// Half the least overlap of two neighbors, and the mirrored border.
    pub halo: u32,
}

impl TileBounds {
    /// One square alone.
    pub const fn square(side: u32, halo: u32) -> Self {
        Self { step: side, min_side: side, max_side: side, max_area: side * side, halo }
    }

    /// What is wrong with them, each with the remedy; nothing if a grid can be made of them.
    pub fn faults(&self) -> Vec<String> {
        let Self { step, min_side, max_side, max_area, halo } = *self;
        let mut faults = Vec::new();
        if step < STEP_MIN || step % STEP_MIN != 0 {
            faults.push(format!("step = {step} must be a multiple of {STEP_MIN}"));
        }
        for (key, side) in [("min_side", min_side), ("max_side", max_side)] {
            if side == 0 || side > SIDE_MAX || !side.is_multiple_of(step) {
                faults.push(format!("{key} = {side} must be a multiple of step = {step}, at most {SIDE_MAX}"));
            }
        }
        if max_side < min_side {
            faults.push(format!("max_side = {max_side} must be at least min_side = {min_side}"));
        }
        if u64::from(max_area) < u64::from(min_side).pow(2) {
            faults.push(format!("max_area = {max_area} must hold a tile of min_side = {min_side} squared"));
        }
        if halo < 2 || !halo.is_multiple_of(2) || halo > min_side / 4 {
            faults
                .push(format!("halo = {halo} must be even, at least 2 and at most a quarter of min_side = {min_side}"));
        }
        faults
    }

    /// Every side that a tile may have, ascending.
    pub(crate) fn sides(self) -> impl Iterator<Item = u32> {
        (self.min_side..=self.max_side).step_by(self.step as usize)
    }

    /// Whether a tile is among them.
    pub const fn allows(self, shape: TileShape) -> bool {
        self.allows_side(shape.width) && self.allows_side(shape.height) && shape.pixels() <= self.max_area as usize
    }

    const fn allows_side(self, side: u32) -> bool {
        side >= self.min_side && side <= self.max_side && side.is_multiple_of(self.step)
    }

    /// The smallest tile.
    pub const fn smallest(self) -> TileShape {
        TileShape::square(self.min_side)
    }

    /// The largest tile, of several the one nearest to a square, wide rather than tall.
    ///
    /// # Panics
    /// If there are [faults](Self::faults).
    pub fn largest(self) -> TileShape {
        let tiles = self.sides().flat_map(|height| self.sides().map(move |width| TileShape::new(width, height)));
        let allowed = tiles.filter(|tile| tile.width >= tile.height && self.allows(*tile));
        allowed
            .max_by_key(|tile| (tile.pixels(), tile.height))
            .expect("bounds without faults allow their smallest tile")
    }

    /// A few tiles, the smallest first and the largest last, and between them one that is no square: what has run these runs all.
    pub fn samples(self) -> Vec<TileShape> {
        let (smallest, largest) = (self.smallest(), self.largest());
        let mut samples = vec![smallest, TileShape::new(largest.width, self.min_side), largest];
        samples.dedup();
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: TileBounds = TileBounds { step: 12, min_side: 48, max_side: 240, max_area: 12_960, halo: 4 };

    #[test]
    fn smallest_largest_and_one_between() {
        let names = |bounds: TileBounds| bounds.samples().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(BOUNDS), ["48x48", "120x48", "120x108"]);
        assert_eq!(names(TileBounds { max_area: 12_959, ..BOUNDS }), ["48x48", "132x48", "132x96"]);
        assert_eq!(names(TileBounds { max_area: 2304, ..BOUNDS }), ["48x48"]);
        assert_eq!(names(TileBounds::square(32, 4)), ["32x32"]);
        assert_eq!(names(TileBounds { max_side: 72, ..BOUNDS }), ["48x48", "72x48", "72x72"]);
    }

    #[test]
    fn both_sides_of_each_bound() {
        let all =
            |tiles: &[(u32, u32)]| tiles.iter().map(|&(w, h)| BOUNDS.allows(TileShape::new(w, h))).collect::<Vec<_>>();
        assert_eq!(
            all(&[(48, 48), (36, 48), (48, 36), (240, 48), (252, 48), (48, 252)]),
            [true, false, false, true, false, false]
        );
        assert_eq!(all(&[(120, 108), (120, 120), (50, 48)]), [true, false, false]);
    }

    #[test]
    fn each_fault_is_named_and_its_other_side_is_none() {
        let fault = |bounds: TileBounds| bounds.faults().join("; ");
        for good in [
            BOUNDS,
            TileBounds { step: 4, ..BOUNDS },
            TileBounds { max_area: 2304, ..BOUNDS },
            TileBounds { halo: 12, ..BOUNDS },
            TileBounds { halo: 2, ..BOUNDS },
            TileBounds { max_side: 48, ..BOUNDS },
            TileBounds { max_side: SIDE_MAX - SIDE_MAX % 12, ..BOUNDS },
            TileBounds::square(8, 2),
        ] {
            assert_eq!(fault(good), "");
        }
        for (bad, says) in [
            (TileBounds { step: 0, ..BOUNDS }, "step = 0 must be a multiple of 4"),
            (TileBounds { step: 6, ..BOUNDS }, "step = 6 must be a multiple of 4"),
            (TileBounds { min_side: 50, ..BOUNDS }, "min_side = 50 must be a multiple of step = 12"),
            (TileBounds { min_side: 0, ..BOUNDS }, "min_side = 0 must be a multiple"),
            (TileBounds { max_side: 242, ..BOUNDS }, "max_side = 242 must be a multiple of step = 12"),
            (TileBounds { max_side: 1032, ..BOUNDS }, "at most 1024"),
            (TileBounds { max_side: 36, ..BOUNDS }, "max_side = 36 must be at least min_side = 48"),
            (TileBounds { max_area: 2303, ..BOUNDS }, "max_area = 2303 must hold"),
            (TileBounds { halo: 0, ..BOUNDS }, "halo = 0 must be even"),
            (TileBounds { halo: 3, ..BOUNDS }, "halo = 3 must be even"),
            (TileBounds { halo: 14, ..BOUNDS }, "at most a quarter of min_side = 48"),
        ] {
            assert!(fault(bad).contains(says), "{says}: {}", fault(bad));
        }
    }
}
