//! The tone curve of one channel of a profile, and its way back.

use std::fmt;

use super::transfer::Table;

/// Samples of a curve: one for each 16-bit value.
const SAMPLES: usize = 1 << 16;

/// How far a value may be off after the way there and back: half a step of 8 bits.
const RETURN: f32 = 0.5 / 255.0;

/// From sample to linear light and back, by tables.
#[derive(Clone, PartialEq)]
pub(super) struct Curve {
    /// Linear light of each 16-bit value; never falls.
    linear: Vec<f32>,
    /// Value, 0 to 1, by the square root of the share of light between that of 0 and that of 1.
    value: Table,
}

impl fmt::Debug for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Curve({} to {})", self.black(), self.white())
    }
}

impl Curve {
    /// `None` if the curve cannot be walked back: it falls, is flat over more than a step of 8 bits, or is no number.
    /// `function` gives linear light for 0 to 1.
    pub(super) fn new(function: impl Fn(f32) -> f32) -> Option<Self> {
        let mut linear = Vec::with_capacity(SAMPLES);
        let mut highest = 0.0_f32;
        for i in 0..SAMPLES {
            let light = function(i as f32 / (SAMPLES - 1) as f32);
            if !light.is_finite() {
                return None;
            }
            // Curves by tables have dents of a step or so; a running maximum evens them out.
            highest = highest.max(light.min(1.0));
            linear.push(highest);
        }
        let (black, white) = (linear[0], linear[SAMPLES - 1]);
        let mut place = 0;
        let value = Table::new(1, |root| {
            let light = black + root * root * (white - black);
            while place + 2 < SAMPLES && linear[place + 1] < light {
                place += 1;
            }
            let (low, high) = (linear[place], linear[place + 1]);
            let part = if high > low { ((light - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
            (place as f32 + part) / (SAMPLES - 1) as f32
        });
        let curve = Self { linear, value };
        let returns = (0..=255_u8).all(|level| {
            let exact = f32::from(level) / 255.0;
            (curve.value(curve.linear(f32::from(level))) - exact).abs() <= RETURN
        });
        returns.then_some(curve)
    }

    /// Linear light of a level, 0 to 255 in steps of 1/257.
    pub(super) fn linear(&self, level: f32) -> f32 {
        self.linear[((level * 257.0 + 0.5) as usize).min(SAMPLES - 1)]
    }

    /// The value, 0 to 1, of linear light; beyond the ends, that of the end.
    pub(super) fn value(&self, linear: f32) -> f32 {
        self.value.at(((linear - self.black()) / (self.white() - self.black())).max(0.0).sqrt())
    }

    fn black(&self) -> f32 {
        self.linear[0]
    }

    fn white(&self) -> f32 {
        self.linear[SAMPLES - 1]
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.linear.len() * size_of::<f32>()) as u64 + self.value.bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_cannot_be_walked_back_is_none() {
        assert!(Curve::new(|x| 1.0 - x).is_none(), "a negative");
        assert!(Curve::new(|_| 0.5).is_none(), "flat");
        assert!(Curve::new(|x| (x - 0.1).max(0.0)).is_none(), "flat below a tenth");
        assert!(Curve::new(|x| if x > 0.5 { f32::NAN } else { x }).is_none());
        assert!(Curve::new(|x| x * x * 4.0).is_none(), "white from the middle on");
    }

    #[test]
    fn a_curve_need_not_begin_at_black_nor_have_no_dent() {
        let lifted = Curve::new(|x| 0.01 + 0.99 * x * x).expect("it rises");
        assert!((lifted.value(0.01)).abs() < 1e-3 && lifted.value(0.0) < 1e-6);
        let dented =
            Curve::new(|x| x - if (0.5..0.501).contains(&x) { 0.001 } else { 0.0 }).expect("a dent is no fall");
        assert!((dented.value(0.5005) - 0.5005).abs() < 0.001);
    }

    proptest! {
        #[test]
        fn a_gamma_returns_to_16_bits(gamma in 1.0f32..2.8, sample in any::<u16>()) {
            let curve = Curve::new(|x| x.powf(gamma)).expect("it rises");
            let level = f32::from(sample) / 257.0;
            let back = curve.value(curve.linear(level)) * 65_535.0;
            // Near black a step of 16 bits is less light than the table's first cells distinguish.
            let allowed = if sample < 256 { 24.0 } else { 1.0 };
            prop_assert!((back - f32::from(sample)).abs() <= allowed, "{sample} became {back}");
        }
    }
}
