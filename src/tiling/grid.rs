//! Where the tiles of a picture lie: pure arithmetic on sizes, a function of picture and model alone.
//!
//! Tiles are spread evenly, the first and last flush with the border, so that each sees real pixels; only a picture
//! smaller than the tile is reflect-padded. Two neighbours overlap by at least twice the halo. In the middle of each
//! overlap they are cross-faded over `halo` pixels, so that what a tile says within half a halo of its inner border
//! is never used.

use crate::units::{Scale, Size, TileShape};

/// A tile shape and the context that its inner borders need, in low-resolution pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct TileSpec {
    /// The square that the network sees.
    pub shape: TileShape,
    /// Half the least overlap of two neighbours; even, at least 2, and less than half the side.
    pub halo: u32,
}

/// The tiles of one picture, row by row. `index = row * columns + column`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    _todo: (),
}

/// One axis of a tile's place in the picture, in low-resolution pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// First column of the tile in the picture (0 if the picture is smaller than the tile).
    pub x: u32,
    /// First row.
    pub y: u32,
}

impl Grid {
    /// The largest of `specs` that fits into the picture in both directions, else the smallest; then the tiles.
    pub fn new(_picture: Size, _specs: &[TileSpec]) -> Self {
        unimplemented!("tiling helper")
    }

    /// The chosen tile.
    pub fn spec(&self) -> TileSpec {
        unimplemented!("tiling helper")
    }

    /// The picture.
    pub fn picture(&self) -> Size {
        unimplemented!("tiling helper")
    }

    /// Tiles from left to right.
    pub fn columns(&self) -> usize {
        unimplemented!("tiling helper")
    }

    /// Tiles from top to bottom.
    pub fn rows(&self) -> usize {
        unimplemented!("tiling helper")
    }

    /// Number of tiles.
    pub fn len(&self) -> usize {
        self.columns() * self.rows()
    }

    /// Never true: the smallest picture has one tile.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Where tile `index` lies.
    pub fn place(&self, _index: usize) -> Place {
        unimplemented!("tiling helper")
    }

    /// Bytes of `f32` that the blender holds at most for this grid at `scale`.
    pub fn blend_bytes(&self, _scale: Scale) -> u64 {
        unimplemented!("tiling helper")
    }
}
