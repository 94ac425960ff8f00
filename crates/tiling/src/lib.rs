//! From an image to tiles and back: [`grid`] is pure arithmetic, [`extract`] cuts, [`blend`] joins.

pub mod blend;
pub mod bounds;
pub mod extract;
pub mod grid;

pub use blend::{Band, Blender};
pub use bounds::TileBounds;
pub use grid::{Grid, TileSpec};
