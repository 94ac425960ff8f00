//! Joins upscaled tiles into bands of finished rows.

use crate::tiling::grid::Grid;
use crate::units::Scale;

/// Finished rows of the enlarged picture: planar R, G, B in levels, not yet rounded or clamped.
#[derive(Debug)]
pub struct Band {
    /// First row in the output.
    pub y: u32,
    /// Number of rows.
    pub rows: u32,
    /// Three planes of rows × output width.
    pub planes: Vec<f32>,
}

/// Takes the tiles of a grid in order and gives back rows as they become final.
#[derive(Debug)]
pub struct Blender {
    _todo: (),
}

impl Blender {
    /// A blender that expects every tile of `grid`, enlarged by `scale`, in order of their index.
    pub fn new(_grid: &Grid, _scale: Scale) -> Self {
        unimplemented!("tiling helper")
    }

    /// Adds the next tile (planar RGB, side·scale squared each). Returns the rows that are final with it, if any:
    /// after the last tile of each row of tiles, one band.
    pub fn push(&mut self, _tile: &[f32]) -> Option<Band> {
        unimplemented!("tiling helper")
    }
}
