//! The bare numbers of the field, each with a type: [`Scale`], [`Size`], [`TileShape`], [`Amount`].
//!
//! A function that took `(u32, u32, u32)` would sooner or later be called with a scale where a width belongs.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

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
    /// A size; sides of zero are the caller's error and are refused by `probe` for every upload.
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

/// What a network sees at once, in low-resolution pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct TileShape {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl TileShape {
    /// A tile of `width` × `height`.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// A tile of `side` × `side`.
    pub const fn square(side: u32) -> Self {
        Self::new(side, side)
    }

    /// The same lying on its side: what four of the eight orientations of the self-ensemble are.
    #[must_use]
    pub const fn transposed(self) -> Self {
        Self::new(self.height, self.width)
    }

    /// Number of low-resolution pixels.
    pub const fn pixels(self) -> usize {
        self.width as usize * self.height as usize
    }

    /// Number of samples of a planar RGB tile that is `scale` times as large.
    pub const fn samples(self, scale: Scale) -> usize {
        3 * self.pixels() * (scale.factor() as usize).pow(2)
    }

    /// The same as an image size.
    pub const fn size(self) -> Size {
        Size::new(self.width, self.height)
    }
}

impl fmt::Display for TileShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.size().fmt(f)
    }
}

/// How much of something that has a limit: a count of it, or time. In JSON a number, which for time is of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Count(u64),
    /// So long, rounded up: a limit above zero is never reported as zero.
    Milliseconds(u64),
}

impl From<u64> for Amount {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<Duration> for Amount {
    fn from(time: Duration) -> Self {
        Self::Milliseconds(u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Amount {
    /// Seconds to a tenth, and below one second as they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Milliseconds(ms @ ..1000) => write!(f, "{}", ms as f64 / 1e3),
            Self::Milliseconds(ms) => write!(f, "{:.1}", ms as f64 / 1e3),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Count(count) => serializer.serialize_u64(count),
            Self::Milliseconds(ms) if ms.is_multiple_of(1000) => serializer.serialize_u64(ms / 1000),
            Self::Milliseconds(ms) => serializer.serialize_f64(ms as f64 / 1e3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_reported_in_seconds_and_never_as_zero_unless_it_is() {
        for (micros, text, json) in [
            (0, "0", "0"),
            (1, "0.001", "0.001"),
            (400_000, "0.4", "0.4"),
            (999_000, "0.999", "0.999"),
            (1_000_000, "1.0", "1"),
            (2_540_000, "2.5", "2.54"),
            (300_000_000, "300.0", "300"),
        ] {
            let amount = Amount::from(Duration::from_micros(micros));
            assert_eq!(
                (amount.to_string().as_str(), serde_json::to_string(&amount).expect("a number").as_str()),
                (text, json)
            );
        }
        assert_eq!(
            (Amount::from(7).to_string(), serde_json::to_string(&Amount::from(7)).expect("a number")),
            ("7".into(), "7".into())
        );
    }

    #[test]
    fn scale_is_one_to_eight() {
        assert_eq!(Scale::new(0), None);
        assert_eq!(Scale::new(1).map(Scale::factor), Some(1));
        assert_eq!(Scale::new(8).map(Scale::factor), Some(8));
        assert_eq!(Scale::new(9), None);
    }

    #[test]
    fn a_tile_is_written_width_first() {
        let tile = TileShape::new(96, 72);
        assert_eq!((tile.to_string().as_str(), tile.transposed().to_string().as_str()), ("96x72", "72x96"));
        assert_eq!((tile.pixels(), tile.samples(Scale(2))), (6912, 3 * 6912 * 4));
    }

    #[test]
    fn hostile_sizes_saturate() {
        let size = Size::new(u32::MAX, 3).scaled(Scale::new(8).expect("8 is a scale"));
        assert_eq!(size, Size::new(u32::MAX, 24));
    }
}
