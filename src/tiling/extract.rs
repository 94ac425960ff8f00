//! Cuts one tile out of a picture: planar RGB in 8-bit levels, reflected where the picture is smaller than the tile.

use crate::raster::Raster;
use crate::tiling::grid::Grid;

/// Tile `index` of the grid, planar R, G, B of side × side each, levels 0.0..=255.0; gray goes into all three planes.
pub fn tile(_picture: &Raster, _grid: &Grid, _index: usize) -> Vec<f32> {
    unimplemented!("tiling helper")
}
