//! A magnification as it was written: a decimal, kept exactly.
//!
//! A float would round some halves the wrong way: 100 times 1.005 is 100.5 and not 100.49999999999999.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::units::Scale;

/// Digits after the point at most: one more than a 64-bit float is written with.
const PLACES: usize = 17;

/// A decimal from 1 to 8. Equal numbers are equal however they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Factor {
    /// The number times 10 to the `places`; not a multiple of 10 unless `places` is 0.
    digits: u64,
    places: u32,
}

/// Why a text is no magnification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a decimal number from 1 to 8, such as 4 or 2.5")]
pub struct FactorError;

impl Factor {
    /// `side` times this, rounded once, half up; at least 1.
    pub fn of(self, side: u32) -> u32 {
        let unit = 10_u128.pow(self.places);
        let doubled = 2 * u128::from(side) * u128::from(self.digits) + unit;
        u32::try_from(doubled / (2 * unit)).unwrap_or(u32::MAX)
    }

    /// The nearest float.
    pub fn number(self) -> f64 {
        self.digits as f64 / 10_f64.powi(self.places as i32)
    }
}

impl From<Scale> for Factor {
    fn from(scale: Scale) -> Self {
        Self { digits: u64::from(scale.factor()), places: 0 }
    }
}

impl FromStr for Factor {
    type Err = FactorError;

    fn from_str(text: &str) -> Result<Self, FactorError> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(part) {
            return Err(FactorError);
        }
        let part = part.trim_end_matches('0');
        let whole: u64 = whole.parse().map_err(|_| FactorError)?;
        if part.len() > PLACES || !(1..=u64::from(Scale::MAX)).contains(&whole) {
            return Err(FactorError);
        }
        let unit = 10_u64.pow(part.len() as u32);
        let digits = whole * unit + if part.is_empty() { 0 } else { part.parse().map_err(|_| FactorError)? };
        if digits > u64::from(Scale::MAX) * unit {
            return Err(FactorError);
        }
        Ok(Self { digits, places: part.len() as u32 })
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10_u64.pow(self.places);
        write!(f, "{}", self.digits / unit)?;
        if self.places == 0 { Ok(()) } else { write!(f, ".{:0>1$}", self.digits % unit, self.places as usize) }
    }
}

impl Serialize for Factor {
    /// A number, whole where it is.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.places == 0 { serializer.serialize_u64(self.digits) } else { serializer.serialize_f64(self.number()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn factor(text: &str) -> Factor {
        text.parse().expect("a factor")
    }

    #[test]
    fn from_one_to_eight_in_decimals() {
        for (text, shown) in [
            ("1", "1"),
            ("8", "8"),
            ("8.000", "8"),
            ("2.50", "2.5"),
            ("04", "4"),
            ("1.005", "1.005"),
            ("3.0701", "3.0701"),
            ("3.71373307543520309", "3.71373307543520309"),
        ] {
            assert_eq!(factor(text).to_string(), shown, "{text}");
        }
        for text in
            ["", "0", "0.999", "8.0001", "9", "-2", "+2", "2,5", "2.", ".5", "1e0", "NaN", "inf", "2.5.1", " 2", "２"]
        {
            assert_eq!(text.parse::<Factor>(), Err(FactorError), "{text}");
        }
        assert!("1.000000000000000001".parse::<Factor>().is_err(), "18 places");
        assert!("99999999999999999999".parse::<Factor>().is_err(), "more than 64 bits");
    }

    #[test]
    fn halves_are_rounded_up_and_meant_in_decimals() {
        assert_eq!(factor("1.005").of(100), 101, "100.5, though no float says so");
        assert_eq!(factor("2.5").of(1), 3);
        assert_eq!(factor("2.49999999999999999").of(1), 2);
        assert_eq!(factor("2.15").of(10), 22);
        assert_eq!(factor("8").of(u32::MAX), u32::MAX, "saturates, and meets the output limit");
    }

    #[test]
    fn a_document_has_whole_numbers_where_they_are() {
        let json = |text| serde_json::to_string(&factor(text)).expect("a number");
        assert_eq!([json("4"), json("2.5"), json("1.005")], ["4", "2.5", "1.005"]);
    }

    proptest! {
        #[test]
        fn agrees_with_whole_numbers(side in 1u32..100_000, thousandths in 1_000u32..=8_000) {
            let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            prop_assert_eq!(factor(&text).of(side), (side * thousandths + 500) / 1000);
            prop_assert_eq!(factor(&factor(&text).to_string()), factor(&text));
        }
    }
}
