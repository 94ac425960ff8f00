//! Numbers with units, as people type them: `25MB`, `16MP`, `1.5s`.
//!
//! Exact integer arithmetic, no floating point: `0.1GB` is 100,000,000 bytes. What has no unit and needs one is
//! refused rather than guessed, but for a plain 0 and for plain numbers of bytes and pixels.

use std::time::Duration;

/// Decimal as disks and `curl` count (kB, MB, GB), binary with an i (KiB, MiB, GiB).
const BYTES: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// A megapixel is 2^20 pixels here: pictures have sides like 4096, and whoever sets 16MP wants 4096x4096 to pass.
const PIXELS: &[(&str, u64)] = &[("", 1), ("px", 1), ("mp", 1 << 20), ("gp", 1 << 30)];

/// In microseconds.
const TIMES: &[(&str, u64)] =
    &[("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("min", 60_000_000), ("h", 3_600_000_000)];

/// Bytes: `25MB`, `512MiB`, `1.5GB`, `4096`.
pub fn bytes(text: &str) -> Result<u64, String> {
    quantity(text, BYTES).ok_or_else(|| "not a number of bytes; write it like 25MB or 512MiB".to_owned())
}

/// Pixels: `16MP` (16 x 2^20), `1000000`.
pub fn pixels(text: &str) -> Result<u64, String> {
    quantity(text, PIXELS).ok_or_else(|| "not a number of pixels; write it like 16MP".to_owned())
}

/// A time: `300s`, `250ms`, `5m`, `1.5h`, `0`.
pub fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let micros =
        quantity(text, TIMES).ok_or_else(|| "not a time; write it with a unit, like 300s or 250ms".to_owned())?;
    Ok(Duration::from_micros(micros))
}

/// A decimal number and a unit of the table, case and a space between them ignored; `None` if it is neither or
/// overflows. What is finer than the table's 1 is cut off.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim_start().to_ascii_lowercase();
    let &(_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || (fraction.is_empty() && number.contains('.')) || fraction.len() > 18 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let fraction = if fraction.is_empty() {
        0
    } else {
        let digits = u32::try_from(fraction.len()).ok()?;
        u128::from(fraction.parse::<u64>().ok()?) * u128::from(factor) / 10u128.pow(digits)
    };
    whole.checked_add(u64::try_from(fraction).ok()?)
}

/// Bytes for people: the largest decimal unit that leaves at least 1, one digit after the point if it is not whole.
pub fn show_bytes(bytes: u64) -> String {
    let (unit, size) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => ("kB", 1_000),
        1_000_000..1_000_000_000 => ("MB", 1_000_000),
        _ => ("GB", 1_000_000_000),
    };
    if bytes.is_multiple_of(size) {
        format!("{} {unit}", bytes / size)
    } else {
        format!("{:.1} {unit}", bytes as f64 / size as f64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_decimal_or_binary_by_name() {
        assert_eq!(bytes("25MB"), Ok(25_000_000));
        assert_eq!(bytes("25 mb"), Ok(25_000_000));
        assert_eq!(bytes("25MiB"), Ok(26_214_400));
        assert_eq!(bytes("0.1GB"), Ok(100_000_000));
        assert_eq!(bytes("1.0000000009GB"), Ok(1_000_000_000), "less than a byte is cut off");
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("0"), Ok(0));
    }

    #[test]
    fn a_megapixel_lets_4096_squared_through() {
        assert_eq!(pixels("16MP"), Ok(4096 * 4096));
        assert_eq!(pixels("256MP"), Ok(16384 * 16384));
        assert_eq!(pixels("1000000"), Ok(1_000_000));
    }

    #[test]
    fn times_need_a_unit() {
        assert_eq!(duration("300s"), Ok(Duration::from_mins(5)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(duration("1.5h"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("0.5ms"), Ok(Duration::from_micros(500)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert!(duration("300").is_err(), "seconds or milliseconds?");
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", " ", "MB", ".5MB", "5.MB", "1.2.3MB", "-1MB", "25MX", "25M", "1e3", "٣MB", "5 M B"] {
            assert!(bytes(text).is_err(), "'{text}'");
        }
        assert!(bytes("18446744073709551615").is_ok());
        assert!(bytes("18446744073709551616").is_err(), "overflow of the number");
        assert!(bytes("20000000TB").is_err(), "overflow by the unit");
        assert!(bytes("18446744.073709551616TB").is_err(), "overflow by the fraction");
    }

    #[test]
    fn bytes_are_shown_short() {
        assert_eq!(show_bytes(999), "999 B");
        assert_eq!(show_bytes(25_000_000), "25 MB");
        assert_eq!(show_bytes(1_500_000_000), "1.5 GB");
    }

    proptest! {
        #[test]
        fn whole_numbers_come_back(number in 0u64..1_000_000, unit in 0..BYTES.len()) {
            let (name, factor) = BYTES[unit];
            prop_assert_eq!(bytes(&format!("{number}{name}")), Ok(number * factor));
        }

        #[test]
        fn fractions_are_exact(thousandths in 0u64..10_000_000) {
            let text = format!("{}.{:03}kB", thousandths / 1000, thousandths % 1000);
            prop_assert_eq!(bytes(&text), Ok(thousandths));
        }

        #[test]
        fn nothing_panics(text in ".{0,24}") {
            let _ = (bytes(&text), pixels(&text), duration(&text));
        }
    }
}
