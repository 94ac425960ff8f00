//! The bare numbers of the field, each with a type: [`Scale`], [`Size`], [`TileShape`].
//!
//! A function that took `(u32, u32, u32)` would sooner or later be called with a scale where a width belongs.

use std::fmt;

use serde::Serialize;

/// An integer magnification that a network knows natively, 1 to 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Scale(u8);

impl Scale {
    /// The largest magnification that any network here may declare.
    pub const MAX: u8 = 8;

    /// `None` outside 1 to 8.
    pub const fn new(factor: u8) -> Option<Self> {
        if factor >= 1 && factor <= Self::MAX { Some(Self(factor)) } else { None }
    }

    /// The factor as a multiplier of pixel coordinates.
    pub const fn factor(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Width and height in pixels, both at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Size {
    /// A size; sides of zero are the caller's error and are refused by `codec::probe` for every upload.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Number of pixels; cannot overflow.
    pub const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// Both sides times the scale; saturates, so that a hostile header meets the output limit and not an overflow.
    #[must_use]
    pub const fn scaled(self, scale: Scale) -> Self {
        Self { width: self.width.saturating_mul(scale.factor()), height: self.height.saturating_mul(scale.factor()) }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A square tile, its side in low-resolution pixels. Square, because the x8 self-ensemble transposes tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct TileShape(u32);

impl TileShape {
    /// A tile of `side` × `side` low-resolution pixels.
    pub const fn square(side: u32) -> Self {
        Self(side)
    }

    /// Side in low-resolution pixels.
    pub const fn side(self) -> u32 {
        self.0
    }

    /// Number of low-resolution pixels.
    pub const fn pixels(self) -> usize {
        self.0 as usize * self.0 as usize
    }
}

impl fmt::Display for TileShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{0}x{0}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_is_one_to_eight() {
        assert_eq!(Scale::new(0), None);
        assert_eq!(Scale::new(1).map(Scale::factor), Some(1));
        assert_eq!(Scale::new(8).map(Scale::factor), Some(8));
        assert_eq!(Scale::new(9), None);
    }

    #[test]
    fn hostile_sizes_saturate() {
        let size = Size::new(u32::MAX, 3).scaled(Scale::new(8).expect("8 is a scale"));
        assert_eq!(size, Size::new(u32::MAX, 24));
    }
}
