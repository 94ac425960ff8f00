//! Profiles that are three curves and a matrix, or one curve for gray: the conversion to sRGB and back.
//!
//! moxcms reads the profiles and knows their curves and colorants. Its own conversions end at the gamut of their target,
//! or need a target whose curve is one of a few; here every color must come back, and the image's own curve may be
//! any. So the arithmetic is here, in floats that are never clamped on the way to sRGB.

use std::sync::Arc;

use moxcms::{ColorProfile, Matrix3d, ToneReprCurve};

use super::curve::Curve;
use super::transfer::{from_linear, to_linear};

/// An image whose numbers mean what they mean in sRGB, to half a step of 8 bits or to a thousandth of white (which
/// near black is more: there the rounding of colorants in profiles shows), is one in sRGB.
const SAME_LEVEL: f32 = 0.5;
const SAME_LIGHT: f32 = 1e-3;

/// How far linear light may be off after both matrices.
const RETURN: f32 = 1e-4;

type Matrix = [[f32; 3]; 3];

/// Converts levels of an image, 0 to 255, to those of sRGB and back.
#[derive(Clone, Debug, PartialEq)]
pub struct Shaper(Kind);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// One curve.
    Gray(Curve),
    /// A curve a channel, and the matrices between their linear light and that of sRGB.
    Rgb(Rgb),
}

#[derive(Clone, Debug, PartialEq)]
struct Rgb {
    curves: [Arc<Curve>; 3],
    to_srgb: Matrix,
    from_srgb: Matrix,
}

impl Shaper {
    /// `None` if the profile is not of this kind, or cannot be walked back.
    pub(super) fn new(profile: &ColorProfile, gray: bool) -> Option<Self> {
        if gray {
            return curve(profile.gray_trc.as_ref()?).map(|curve| Self(Kind::Gray(curve)));
        }
        let [red, green, blue] = [&profile.red_trc, &profile.green_trc, &profile.blue_trc].map(Option::as_ref);
        let (red, green, blue) = (red?, green?, blue?);
        let first = Arc::new(curve(red)?);
        let other = |trc: &ToneReprCurve| if trc == red { Some(Arc::clone(&first)) } else { curve(trc).map(Arc::new) };
        let curves = [Arc::clone(&first), other(green)?, other(blue)?];
        let srgb = ColorProfile::new_srgb();
        let (to_srgb, from_srgb) = (single(profile.transform_matrix(&srgb)), single(srgb.transform_matrix(profile)));
        invert_each_other(&to_srgb, &from_srgb).then_some(Self(Kind::Rgb(Rgb { curves, to_srgb, from_srgb })))
    }

    /// Whether an image looks the same with this profile and as sRGB.
    pub(super) fn is_srgb(&self) -> bool {
        const STEPS: u8 = 15;
        let levels = || (0..=255 / STEPS).map(|i| f32::from(i * STEPS));
        let light = |level: f32| to_linear(level / 255.0);
        let near = |a: f32, b: f32| (a - b).abs() <= SAME_LEVEL || (light(a) - light(b)).abs() <= SAME_LIGHT;
        match &self.0 {
            Kind::Gray(_) => (0..=255_u8).map(f32::from).all(|level| {
                let mut plane = [level];
                self.to_srgb(&mut plane);
                near(plane[0], level)
            }),
            Kind::Rgb(_) => levels().all(|r| {
                levels().all(|g| {
                    levels().all(|b| {
                        let mut planes = [r, g, b];
                        self.to_srgb(&mut planes);
                        near(planes[0], r) && near(planes[1], g) && near(planes[2], b)
                    })
                })
            }),
        }
    }

    /// Planes of levels of the image (three of red, green and blue, or one of gray) to levels of sRGB, below 0 and
    /// above 255 where the color is outside of its gamut.
    pub fn to_srgb(&self, planes: &mut [f32]) {
        match &self.0 {
            Kind::Gray(curve) => {
                for level in planes {
                    *level = from_linear(curve.linear(*level)) * 255.0;
                }
            }
            Kind::Rgb(rgb) => each(planes, |levels| {
                let light = [0, 1, 2].map(|i| rgb.curves[i].linear(levels[i]));
                times(&rgb.to_srgb, light).map(|light| from_linear(light) * 255.0)
            }),
        }
    }

    /// Levels of sRGB, in gamut or not, to levels of the image, 0 to 255: what the image cannot express is clamped.
    pub fn from_srgb(&self, planes: &mut [f32]) {
        match &self.0 {
            Kind::Gray(curve) => {
                for level in planes {
                    *level = curve.value(to_linear(*level / 255.0)) * 255.0;
                }
            }
            Kind::Rgb(rgb) => each(planes, |levels| {
                let light = times(&rgb.from_srgb, levels.map(|level| to_linear(level / 255.0)));
                [0, 1, 2].map(|i| rgb.curves[i].value(light[i]) * 255.0)
            }),
        }
    }

    /// Memory of its tables.
    pub fn bytes(&self) -> u64 {
        match &self.0 {
            Kind::Gray(curve) => curve.bytes(),
            Kind::Rgb(rgb) => {
                let [red, green, blue] = &rgb.curves;
                let own = |curve: &Arc<Curve>| if Arc::ptr_eq(curve, red) { 0 } else { curve.bytes() };
                red.bytes() + own(green) + own(blue)
            }
        }
    }
}

/// Calls `convert` with each pixel of three planes.
fn each(planes: &mut [f32], convert: impl Fn([f32; 3]) -> [f32; 3]) {
    let (red, rest) = planes.split_at_mut(planes.len() / 3);
    let (green, blue) = rest.split_at_mut(rest.len() / 2);
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        [*r, *g, *b] = convert([*r, *g, *b]);
    }
}

fn curve(trc: &ToneReprCurve) -> Option<Curve> {
    let evaluator = trc.make_linear_evaluator().ok()?;
    Curve::new(|x| evaluator.evaluate_value(x))
}

fn single(matrix: Matrix3d) -> Matrix {
    matrix.v.map(|row| row.map(|v| v as f32))
}

fn times(matrix: &Matrix, [r, g, b]: [f32; 3]) -> [f32; 3] {
    matrix.map(|[x, y, z]| x * r + y * g + z * b)
}

/// A matrix that has no inverse, or hardly one, comes back as something else.
fn invert_each_other(there: &Matrix, back: &Matrix) -> bool {
    let units = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]];
    units.into_iter().all(|unit| {
        let returned = times(back, times(there, unit));
        returned.iter().zip(unit).all(|(a, b)| (a - b).abs() <= RETURN)
    })
}
