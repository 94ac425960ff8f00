//! The curve of sRGB (IEC 61966-2-1), continued beyond 0 and 1 so that colors outside of its gamut keep their values:
//! below zero it is the mirror image of itself (as in scRGB, IEC 61966-2-2 annex B), above one it goes on.
//!
//! Both ways run through tables, since they run for every sample of every image that has a profile. Linear light is
//! looked up by its square root: so the steep beginning of such curves is sampled as finely as their end.

use std::fmt;
use std::sync::LazyLock;

/// Cells of a table per unit of its argument. Interpolation is then off by less than a hundredth of a 16-bit step,
/// but for the first cell of curves that rise steeply from zero.
pub(super) const CELLS: usize = 4096;

/// Where the tables of sRGB end; beyond it the formula is asked. No profile in use leads there: the red of ACES AP0
/// has 1.6 as a root.
const TOP: usize = 2;

static DECODED: LazyLock<Table> = LazyLock::new(|| Table::new(TOP, |encoded| decode(encoded as f64) as f32));
static ENCODED: LazyLock<Table> =
    LazyLock::new(|| Table::new(TOP, |root| encode(f64::from(root) * f64::from(root)) as f32));

/// Linear light of an encoded value; 1 is white in both.
pub(super) fn to_linear(encoded: f32) -> f32 {
    let size = encoded.abs();
    let linear = if size < TOP as f32 { DECODED.at(size) } else { decode(f64::from(size)) as f32 };
    linear.copysign(encoded)
}

/// Encoded value of linear light.
pub(super) fn from_linear(linear: f32) -> f32 {
    let root = linear.abs().sqrt();
    let encoded = if root < TOP as f32 { ENCODED.at(root) } else { encode(f64::from(linear.abs())) as f32 };
    encoded.copysign(linear)
}

fn decode(encoded: f64) -> f64 {
    if encoded <= 0.04045 { encoded / 12.92 } else { ((encoded + 0.055) / 1.055).powf(2.4) }
}

fn encode(linear: f64) -> f64 {
    if linear <= 0.003_130_8 { linear * 12.92 } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

/// A function on 0 to `top`, sampled and interpolated linearly.
#[derive(Clone, PartialEq)]
pub(super) struct Table(Vec<f32>);

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} samples)", self.0.len())
    }
}

impl Table {
    pub(super) fn new(top: usize, mut function: impl FnMut(f32) -> f32) -> Self {
        Self((0..=top * CELLS).map(|i| function(i as f32 / CELLS as f32)).collect())
    }

    /// The value at `x`; beyond the ends, that of the end.
    pub(super) fn at(&self, x: f32) -> f32 {
        let place = (x * CELLS as f32).clamp(0.0, (self.0.len() - 1) as f32);
        let cell = (place as usize).min(self.0.len() - 2);
        let (low, high) = (self.0[cell], self.0[cell + 1]);
        low + (place - cell as f32) * (high - low)
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.0.len() * size_of::<f32>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_standards_own_points() {
        for (encoded, linear) in [(0.0, 0.0), (1.0, 1.0), (0.5, 0.214_041), (0.04045, 0.003_130_8), (0.02, 0.001_548)] {
            assert!((to_linear(encoded) - linear).abs() < 1e-6, "{encoded}");
            assert!((from_linear(linear) - encoded).abs() < 1e-5, "{linear}");
        }
    }

    #[test]
    fn beyond_the_gamut_it_goes_on_and_mirrors() {
        // The green of Display P3 in linear sRGB.
        for (linear, encoded) in [(-0.2249, -0.5116), (1.0421, 1.0183), (-0.0786, -0.3107)] {
            assert!((from_linear(linear) - encoded).abs() < 1e-4, "{linear}: {}", from_linear(linear));
            assert!((to_linear(encoded) - linear).abs() < 1e-4, "{encoded}: {}", to_linear(encoded));
        }
        assert!((from_linear(16.0) - 3.2947).abs() < 1e-3 && (from_linear(-16.0) + 3.2947).abs() < 1e-3);
    }

    proptest! {
        #[test]
        fn there_and_back_is_nothing_to_16_bits(value in -3.0f32..3.0) {
            let step = 0.25 / 65_535.0 * value.abs().max(1.0);
            prop_assert!((from_linear(to_linear(value)) - value).abs() <= step, "{}", from_linear(to_linear(value)));
        }

        #[test]
        fn tables_and_formulas_agree(value in 0.0f32..3.0) {
            let off = |table: f32, formula: f64| (f64::from(table) - formula).abs() / formula.abs().max(1.0);
            prop_assert!(off(to_linear(value), decode(f64::from(value))) < 2e-7);
            prop_assert!(off(from_linear(value), encode(f64::from(value))) < 2e-6);
        }
    }
}
