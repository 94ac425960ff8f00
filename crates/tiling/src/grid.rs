//! Where the tiles of an image lie: pure arithmetic on sizes, a function of image and model alone.
//!
//! Tiles of one image are equal rectangles in columns and rows. Of all that the model's [`TileBounds`] allow, the one is
//! taken that has the network compute the fewest pixels: a pixel costs about the same in any tile (benches/README.md).
//!
//! The image is mirrored by one halo at its borders, and tiles are spread evenly
//! over what results, the first and last flush with it: a network pads with zeros, and what it gives beside them is off,
//! visibly so in the corner of a flat image. Two neighbors overlap by at least twice the halo. In the middle of each
//! overlap they are cross-faded over `halo` pixels, so that what a tile gives within half a halo of its inner border is
//! never used. A halo is at most a quarter of the shorter side: then the even spread keeps the fades of one axis apart, and no
//! pixel is shared by three tiles of it.

use std::cmp::Reverse;
use std::ops::Range;

use images::units::{Size, TileShape};

use crate::bounds::TileBounds;

/// The tile of one image and the context that its borders need, in low-resolution pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct TileSpec {
    /// What the network sees.
    #[serde(flatten)]
    pub shape: TileShape,
    /// Half the least overlap of two neighbors, and the mirrored border; see [`TileSpec::is_sound`].
    pub halo: u32,
}

impl TileSpec {
    /// Whether the halo is even, at least 2, and at most a quarter of the shorter side: what [`Grid`] asks for.
    pub const fn is_sound(self) -> bool {
        let TileShape { width, height } = self.shape;
        let shorter = if width < height { width } else { height };
        self.halo >= 2 && self.halo.is_multiple_of(2) && self.halo <= shorter / 4
    }
}

/// The tiles of one image, row by row. `index = row * columns + column`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    spec: TileSpec,
    across: Axis,
    down: Axis,
}

/// A tile's place in the image, in low-resolution pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// First column of the tile, counted from the image's first: at least minus the halo.
    pub x: i64,
    /// First row, likewise.
    pub y: i64,
}

/// The tiles along one side of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    length: u32,
    side: u32,
    halo: u32,
    count: u32,
}

impl Axis {
    const fn new(length: u32, side: u32, halo: u32) -> Self {
        Self { length, side, halo, count: length.div_ceil(side - 2 * halo) }
    }

    /// The side to take for each number of tiles that any side gives: the shortest, which computes least.
    fn choices(length: u32, bounds: &TileBounds) -> Vec<Self> {
        let mut choices: Vec<Self> = bounds.sides().map(|side| Self::new(length, side, bounds.halo)).collect();
        choices.dedup_by_key(|axis| axis.count);
        choices
    }

    /// Number of tiles.
    pub const fn count(self) -> usize {
        self.count as usize
    }

    /// First pixel of tile `i`.
    pub fn start(self, i: usize) -> i64 {
        let travel = i64::from(self.length + 2 * self.halo) - i64::from(self.side);
        let moved = if self.count == 1 { 0 } else { i as i64 * travel / i64::from(self.count - 1) };
        moved - i64::from(self.halo)
    }

    /// The pixels over which tile `i` gives way to tile `i + 1`: `halo` of them, around the middle of the overlap.
    pub fn fade(self, i: usize) -> Range<u32> {
        let cut = (self.start(i) + self.start(i + 1) + i64::from(self.side)) / 2;
        let from = cut as u32 - self.halo / 2;
        from..from + self.halo
    }

    /// The pixels to which tile `i` contributes, fades included.
    pub fn used(self, i: usize) -> Range<u32> {
        let from = if i == 0 { 0 } else { self.fade(i - 1).start };
        let to = if i + 1 == self.count() { self.length } else { self.fade(i).end };
        from..to
    }

    /// The first pixel that tile `i` shares with the next; the image's end for the last tile.
    pub fn settled(self, i: usize) -> u32 {
        if i + 1 == self.count() { self.length } else { self.fade(i).start }
    }
}

impl Grid {
    /// Tiles within `bounds` that have the network compute the fewest pixels; of such grids the one of fewest tiles, then
    /// of tiles nearest to a square, then of the widest.
    ///
    /// # Panics
    /// If the bounds have [faults](TileBounds::faults): the registry lets none in.
    pub fn new(image: Size, bounds: &TileBounds) -> Self {
        assert!(bounds.faults().is_empty(), "{bounds:?}: {}", bounds.faults().join("; "));
        let rows = Axis::choices(image.height, bounds);
        let grids = Axis::choices(image.width, bounds).into_iter().flat_map(|across| {
            rows.iter().map(move |&down| Self {
                spec: TileSpec { shape: TileShape::new(across.side, down.side), halo: bounds.halo },
                across,
                down,
            })
        });
        let rank = |grid: &Self| {
            let TileShape { width, height } = grid.spec.shape;
            (grid.computed_pixels(), grid.len(), width.abs_diff(height), Reverse(width))
        };
        let allowed = grids.filter(|grid| bounds.allows(grid.spec.shape));
        allowed.min_by_key(rank).expect("the shortest sides are allowed together")
    }

    /// Tiles of this very shape.
    ///
    /// # Panics
    /// If the spec is not [sound](TileSpec::is_sound).
    pub fn of(image: Size, spec: TileSpec) -> Self {
        assert!(spec.is_sound(), "a halo must be even and 2 to a quarter of the shorter side: {spec:?}");
        let TileSpec { shape: TileShape { width, height }, halo } = spec;
        Self { spec, across: Axis::new(image.width, width, halo), down: Axis::new(image.height, height, halo) }
    }

    /// The chosen tile.
    pub const fn spec(&self) -> TileSpec {
        self.spec
    }

    /// The image.
    pub const fn image(&self) -> Size {
        Size::new(self.across.length, self.down.length)
    }

    /// Tiles from left to right.
    pub const fn columns(&self) -> usize {
        self.across.count()
    }

    /// Tiles from top to bottom.
    pub const fn rows(&self) -> usize {
        self.down.count()
    }

    /// The horizontal axis.
    pub const fn across(&self) -> Axis {
        self.across
    }

    /// The vertical axis.
    pub const fn down(&self) -> Axis {
        self.down
    }

    /// Number of tiles.
    pub const fn len(&self) -> usize {
        self.columns() * self.rows()
    }

    /// Pixels that the network computes for the image.
    pub const fn computed_pixels(&self) -> u64 {
        self.len() as u64 * self.spec.shape.pixels() as u64
    }

    /// Never true: the smallest image has one tile.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Where tile `index` lies.
    pub fn place(&self, index: usize) -> Place {
        Place { x: self.across.start(index % self.columns()), y: self.down.start(index / self.columns()) }
    }
}

#[cfg(test)]
mod tests;
