//! From an image to tiles and back: [`grid`] is pure arithmetic, [`extract`] cuts, [`blend`] joins.

pub mod blend;
pub mod extract;
pub mod grid;

pub use blend::{Band, Blender};
pub use grid::{Grid, TileSpec};
