//! Bicubic interpolation by whole factors: Keys' kernel, a = -0.5, as MATLAB's `imresize` upscales.
//!
//! Separable: first the four rows that an output row depends on, then each pixel of the result into `scale` others.
//! The phases of an integer scale repeat, so their weights are computed once; and each output sample comes from the
//! same sums in the same order wherever its tile lies, which is why tiles and whole images agree to the bit.

use std::ops::Range;

use super::mirror;
use crate::units::{Scale, Size};

/// Low-resolution pixels on each side that one output pixel depends on.
pub const RADIUS: u32 = 2;

/// Pixels in reach of one: itself and [`RADIUS`] on each side.
const REACH: usize = 2 * RADIUS as usize + 1;

/// Keys' cubic convolution kernel with a = -0.5 (IEEE Trans. ASSP 29(6), 1981), zero from distance 2.
pub fn keys(distance: f64) -> f64 {
    let x = distance.abs();
    if x <= 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x <= 2.0 {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}

/// Bicubic interpolation of single planes by a whole factor, with mirrored borders.
#[derive(Clone, Debug)]
pub struct Kernel {
    factor: u32,
    /// For each phase, the weights of the pixels in reach of the one that the output pixel lies in.
    phases: Vec<[f32; REACH]>,
}

impl Kernel {
    /// The weights for one scale.
    pub fn new(scale: Scale) -> Self {
        Self::by(scale.factor())
    }

    /// The weights for any factor from 1.
    pub fn by(factor: u32) -> Self {
        let phase = |r: u32| {
            let center = (f64::from(r) + 0.5) / f64::from(factor) - 0.5;
            std::array::from_fn(|tap| keys(tap as f64 - f64::from(RADIUS) - center) as f32)
        };
        Self { factor, phases: (0..factor).map(phase).collect() }
    }

    /// How many times larger it makes a plane.
    pub const fn factor(&self) -> u32 {
        self.factor
    }

    /// The rows of a plane that the output rows `rows` depend on.
    pub fn depends_on(&self, rows: &Range<u32>, height: u32) -> Range<u32> {
        (rows.start / self.factor).saturating_sub(RADIUS)..(rows.end.div_ceil(self.factor) + RADIUS).min(height)
    }

    /// Output rows `rows` of a plane of `size`, into `out` (rows × width·factor). `source` gives row `y` of the plane;
    /// it is asked only for the rows that [`Kernel::depends_on`] names.
    ///
    /// # Panics
    /// If `out` has another size.
    pub fn upscale<'a>(&self, size: Size, source: impl Fn(u32) -> &'a [f32], rows: Range<u32>, out: &mut [f32]) {
        match self.factor {
            1 => self.upscale_by::<1>(size, source, rows, out),
            2 => self.upscale_by::<2>(size, source, rows, out),
            3 => self.upscale_by::<3>(size, source, rows, out),
            4 => self.upscale_by::<4>(size, source, rows, out),
            5 => self.upscale_by::<5>(size, source, rows, out),
            6 => self.upscale_by::<6>(size, source, rows, out),
            7 => self.upscale_by::<7>(size, source, rows, out),
            8 => self.upscale_by::<8>(size, source, rows, out),
            _ => self.upscale_far(size, source, rows, out),
        }
    }

    /// `S` is the factor, known to the compiler so that the phases of one pixel become one vector.
    fn upscale_by<'a, const S: usize>(
        &self,
        size: Size,
        source: impl Fn(u32) -> &'a [f32],
        rows: Range<u32>,
        out: &mut [f32],
    ) {
        let taps: [[f32; S]; REACH] = std::array::from_fn(|tap| std::array::from_fn(|r| self.phases[r][tap]));
        self.rows(size, source, rows, out, |between, out| {
            for (pixel, reach) in out.as_chunks_mut::<S>().0.iter_mut().zip(between.windows(REACH)) {
                let mut sum = taps[0].map(|weight| weight * reach[0]);
                for (taps, &value) in taps.iter().zip(reach).skip(1) {
                    for (sum, weight) in sum.iter_mut().zip(taps) {
                        *sum += weight * value;
                    }
                }
                *pixel = sum;
            }
        });
    }

    /// By a factor that only chains of networks reach.
    fn upscale_far<'a>(&self, size: Size, source: impl Fn(u32) -> &'a [f32], rows: Range<u32>, out: &mut [f32]) {
        self.rows(size, source, rows, out, |between, out| {
            for (pixel, reach) in out.chunks_exact_mut(self.phases.len()).zip(between.windows(REACH)) {
                for (value, weights) in pixel.iter_mut().zip(&self.phases) {
                    *value = weights.iter().zip(reach).map(|(weight, value)| weight * value).sum();
                }
            }
        });
    }

    /// Makes of each output row one row between the passes, with a margin on each side, and has it spread.
    fn rows<'a>(
        &self,
        size: Size,
        source: impl Fn(u32) -> &'a [f32],
        rows: Range<u32>,
        out: &mut [f32],
        spread: impl Fn(&[f32], &mut [f32]),
    ) {
        let (width, margin, factor) = (size.width as usize, RADIUS as usize, self.phases.len());
        assert_eq!(out.len(), rows.len() * width * factor, "{} rows of {}", rows.len(), width * factor);
        let mirrored: Vec<(usize, usize)> = (1..=margin as i64)
            .flat_map(|d| [-d, i64::from(size.width) - 1 + d])
            .map(|at| ((at + margin as i64) as usize, margin + mirror(at, size.width)))
            .collect();
        let mut between = vec![0.0_f32; width + 2 * margin];

        for (y, out) in rows.zip(out.chunks_exact_mut(width * factor)) {
            let (row, phase) = (i64::from(y) / factor as i64, y as usize % factor);
            // One of the five weights is zero: the one on the far side of the phase.
            let skip = usize::from(phase * 2 + 1 >= factor);
            let line = |tap: usize| source(mirror(row + (tap + skip) as i64 - margin as i64, size.height) as u32);
            let weight: [f32; 4] = std::array::from_fn(|tap| self.phases[phase][tap + skip]);
            let lines = line(0).iter().zip(line(1)).zip(line(2)).zip(line(3));
            for (value, (((a, b), c), d)) in between[margin..margin + width].iter_mut().zip(lines) {
                *value = weight[0] * a + weight[1] * b + weight[2] * c + weight[3] * d;
            }
            for &(to, from) in &mirrored {
                between[to] = between[from];
            }
            spread(&between, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(factor: u8, size: Size, plane: &[f32]) -> Vec<f32> {
        let (width, factor) = (size.width as usize, u32::from(factor));
        let mut out = vec![0.0; size.pixels() as usize * (factor * factor) as usize];
        Kernel::by(factor).upscale(size, |y| &plane[y as usize * width..][..width], 0..size.height * factor, &mut out);
        out
    }

    /// The textbook's double sum, in doubles.
    fn slow(scale: u8, size: Size, plane: &[f32], x: u32, y: u32) -> f64 {
        let center = |at: u32| (f64::from(at) + 0.5) / f64::from(scale) - 0.5;
        let (cx, cy) = (center(x), center(y));
        let mut sum = 0.0;
        for dy in -2..=2 {
            for dx in -2..=2 {
                let (px, py) = (cx.round() as i64 + dx, cy.round() as i64 + dy);
                let at = mirror(py, size.height) * size.width as usize + mirror(px, size.width);
                sum += keys(cx - px as f64) * keys(cy - py as f64) * f64::from(plane[at]);
            }
        }
        sum
    }

    proptest! {
        #[test]
        fn equals_the_double_sum(
            scale in 1u8..=17, width in 1u32..9, height in 1u32..9,
            values in prop::collection::vec(0f32..255.0, 64),
        ) {
            let size = Size::new(width, height);
            let out = whole(scale, size, &values[..size.pixels() as usize]);
            let line = width * u32::from(scale);
            for (at, &value) in out.iter().enumerate() {
                let expected = slow(scale, size, &values, at as u32 % line, at as u32 / line);
                prop_assert!((f64::from(value) - expected).abs() < 1e-3, "{} is not {}", value, expected);
            }
        }

        #[test]
        fn rows_ask_only_for_what_they_depend_on(scale in 1u8..=8, height in 1u32..12, from in 0u32..40, rows in 1u32..9) {
            let scale = Scale::new(scale).expect("a scale");
            let rows = from.min(height * scale.factor() - 1)..(from + rows).min(height * scale.factor());
            prop_assume!(!rows.is_empty());
            let kernel = Kernel::new(scale);
            let allowed = kernel.depends_on(&rows, height);
            let plane: Vec<f32> = (0..height).map(|y| (y * 17 % 256) as f32).collect();
            let mut out = vec![0.0; rows.len() * scale.factor() as usize];
            let row = |y: u32| {
                assert!(allowed.contains(&y), "{y} is outside {allowed:?}");
                std::slice::from_ref(&plane[y as usize])
            };
            kernel.upscale(Size::new(1, height), row, rows.clone(), &mut out);
            let all = whole(scale.factor() as u8, Size::new(1, height), &plane);
            prop_assert_eq!(&out[..], &all[(rows.start * scale.factor()) as usize..(rows.end * scale.factor()) as usize]);
        }
    }

    #[test]
    fn flat_stays_flat_and_scale_one_is_the_identity() {
        for scale in 1..=8 {
            let out = whole(scale, Size::new(3, 2), &[200.0; 6]);
            assert!(out.iter().all(|v| (v - 200.0).abs() < 1e-4), "x{scale}");
        }
        let plane = [0.0, 255.0, 13.5, 7.25, 99.0, 1.0];
        assert_eq!(whole(1, Size::new(3, 2), &plane), plane);
    }
}
