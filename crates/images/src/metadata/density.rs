//! How large an image is on paper: pixels per inch, as each format writes them.

use std::fmt;

/// Most that is believed: a hundred times what the finest film scanners report.
const MOST: f64 = 1e6;

const INCH_IN_METERS: f64 = 0.0254;

/// Pixels per inch across and down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Density {
    x: f64,
    y: f64,
}

/// Made of finite numbers only.
impl Eq for Density {}

impl Density {
    /// `None` for what is no density.
    pub fn per_inch(x: f64, y: f64) -> Option<Self> {
        let sane = |v: f64| v > 0.0 && v <= MOST;
        (sane(x) && sane(y)).then_some(Self { x, y })
    }

    /// From pixels per centimeter.
    pub fn per_centimeter(x: f64, y: f64) -> Option<Self> {
        Self::per_inch(x * 2.54, y * 2.54)
    }

    /// From a JFIF header (ITU-T T.871, 10.1), after its `JFIF\0`: version, units, two numbers. An aspect ratio alone
    /// is no density.
    pub fn from_jfif(data: &[u8]) -> Option<Self> {
        let [_, _, unit, x1, x0, y1, y0, ..] = *data else { return None };
        let (x, y) = (f64::from(u16::from_be_bytes([x1, x0])), f64::from(u16::from_be_bytes([y1, y0])));
        match unit {
            1 => Self::per_inch(x, y),
            2 => Self::per_centimeter(x, y),
            _ => None,
        }
    }

    /// From a `pHYs` chunk (PNG third edition, 11.3.4.3).
    pub fn from_phys(data: &[u8]) -> Option<Self> {
        let ([x, y], [1, ..]) = data.split_at_checked(8).map(|(numbers, unit)| (numbers.as_chunks::<4>().0, unit))?
        else {
            return None;
        };
        Self::per_meter(u32::from_be_bytes(*x), u32::from_be_bytes(*y))
    }

    /// From whole pixels per meter, as PNG and BMP have them.
    pub fn per_meter(x: u32, y: u32) -> Option<Self> {
        let inch = |number: u32| {
            let dots = f64::from(number) * INCH_IN_METERS;
            // Most mean a whole number an inch, which whole numbers a meter cannot express.
            if (dots - dots.round()).abs() <= INCH_IN_METERS / 2.0 { dots.round() } else { dots }
        };
        Self::per_inch(inch(x), inch(y))
    }

    /// Whether a JFIF header describes pixels that are not square, and not how large they are.
    pub fn is_shape_in_jfif(data: &[u8]) -> bool {
        matches!(*data, [_, _, 0, x1, x0, y1, y0, ..] if [x1, x0] != [y1, y0])
    }

    /// The same of a `pHYs` chunk.
    pub fn is_shape_in_phys(data: &[u8]) -> bool {
        matches!(data.as_chunks::<4>(), ([x, y], [0, ..]) if x != y)
    }

    /// Of the image upright, where the stored one lies on its side.
    #[must_use]
    pub const fn turned(self) -> Self {
        Self { x: self.y, y: self.x }
    }

    /// Of an image of more pixels and the same size on paper. `None` where no format could express it.
    pub fn times(self, across: f64, down: f64) -> Option<Self> {
        Self::per_inch(self.x * across, self.y * down)
    }

    /// Pixels per inch, across and down.
    pub const fn dots(self) -> (f64, f64) {
        (self.x, self.y)
    }

    /// Whole pixels per inch, as JFIF has them; `None` if they are too many for it, or less than a half.
    pub fn jfif(self) -> Option<(u16, u16)> {
        let whole = |v: f64| Some(v.round()).filter(|v| (1.0..=65_535.0).contains(v)).map(|v| v as u16);
        Some((whole(self.x)?, whole(self.y)?))
    }

    /// Pixels per meter, as `pHYs` has them.
    pub fn phys(self) -> (u32, u32) {
        let meter = |v: f64| (v / INCH_IN_METERS).round().max(1.0) as u32;
        (meter(self.x), meter(self.y))
    }

    /// Numerator and denominator, as Exif and TIFF have them: to a thousandth.
    pub fn rationals(self) -> [(u32, u32); 2] {
        [self.x, self.y]
            .map(|v| if v.fract() == 0.0 { (v as u32, 1) } else { ((v * 1000.0).round().max(1.0) as u32, 1000) })
    }
}

impl fmt::Display for Density {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} pixels per inch", self.x, self.y)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_format_has_its_units() {
        let three_hundred = Density::per_inch(300.0, 300.0);
        assert_eq!(Density::from_jfif(&[1, 2, 1, 1, 44, 1, 44, 0, 0]), three_hundred);
        assert_eq!(Density::from_jfif(&[1, 2, 2, 0, 100, 0, 200]), Density::per_inch(254.0, 508.0));
        assert_eq!(Density::from_jfif(&[1, 2, 0, 0, 1, 0, 1]), None, "an aspect ratio");
        assert_eq!(Density::from_jfif(&[1, 2, 1, 0, 0, 0, 72]), None, "zero");
        assert_eq!(Density::from_jfif(&[1, 2, 1]), None, "cut off");
        let phys = |unit: u8| [&11_811_u32.to_be_bytes()[..], &11_811_u32.to_be_bytes(), &[unit]].concat();
        let read = Density::from_phys(&phys(1)).expect("a density");
        assert_eq!((Some(read), read.jfif()), (three_hundred, Some((300, 300))));
        assert_eq!(read.phys(), (11_811, 11_811));
        assert_eq!(Density::from_phys(&phys(0)), None, "an aspect ratio");
        assert!(!Density::is_shape_in_phys(&phys(0)) && !Density::is_shape_in_jfif(&[1, 2, 0, 0, 1, 0, 1]), "square");
        let wide = [&[0, 0, 0, 2, 0, 0, 0, 1, 0][..], &[0, 0, 0, 2, 0, 0, 0, 1, 1]];
        assert_eq!(wide.map(Density::is_shape_in_phys), [true, false]);
        assert_eq!([0, 1].map(|unit| Density::is_shape_in_jfif(&[1, 2, unit, 0, 2, 0, 1])), [true, false]);
        assert_eq!(Density::from_phys(&phys(1)[..8]), None, "cut off");
        assert_eq!(three_hundred.map(Density::rationals), Some([(300, 1); 2]));
    }

    #[test]
    fn what_cannot_be_said_is_not() {
        for (x, y) in [(0.0, 1.0), (1.0, -1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY), (1.0, 1e6 + 1.0)] {
            assert_eq!(Density::per_inch(x, y), None, "{x} {y}");
        }
        let much = Density::per_inch(65_535.0, 20.0).expect("a density");
        assert_eq!((much.jfif(), much.times(2.0, 2.0).expect("a density").jfif()), (Some((65_535, 20)), None));
        assert_eq!(Density::per_inch(9e5, 9e5).expect("a density").times(4.0, 4.0), None);
        assert_eq!(Density::per_inch(0.4, 0.4).and_then(Density::jfif), None);
    }

    proptest! {
        #[test]
        fn a_scale_and_back_is_where_it_was(dots in 1.0..60_000.0_f64, scale in 1.0..8.0_f64) {
            let density = Density::per_inch(dots, 2.0 * dots).expect("a density");
            let back = density.times(scale, scale).and_then(|more| more.times(1.0 / scale, 1.0 / scale));
            let (x, y) = back.expect("within what is believed").dots();
            prop_assert!((x - dots).abs() < 1e-6 * dots && (y - 2.0 * dots).abs() < 1e-6 * dots);
            let (numerator, denominator) = density.rationals()[0];
            prop_assert!((f64::from(numerator) / f64::from(denominator) - dots).abs() < 0.001);
        }
    }
}
