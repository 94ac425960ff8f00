//! From a picture to tiles and back: [`grid`] is pure arithmetic, [`extract`] cuts, [`blend`] joins, and [`reduce`]
//! takes back what the joined picture has too much.

pub mod blend;
pub mod extract;
pub mod grid;
pub mod reduce;

pub use blend::{Band, Blender};
pub use grid::{Grid, TileSpec};
