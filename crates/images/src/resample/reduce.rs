//! Makes bands of rows smaller as they come: bicubic, antialiased as MATLAB's `imresize` is (the kernel is widened by
//! the step, borders are mirrored).
//!
//! Our own, since libraries that resize (`fast_image_resize`, `image`) want the whole image, which at x8 is what must
//! never be held. Each row is first reduced across and then added to the rows of the result that it belongs to: at
//! most [`OPEN`] of those are begun at any time, however far the image is reduced.

use std::collections::VecDeque;

use super::bicubic::keys;
use super::mirror;

/// Rows of the result that are begun and not finished at most: a kernel four steps wide lies over five centers, and
/// one more for rounding.
const OPEN: u32 = 6;

/// One direction: sample `i` of the result lies at `(i + 0.5) · step + shift - 0.5` of the source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    length: u32,
    output: u32,
    step: f64,
    shift: f64,
}

/// What one sample of the result is made of.
#[derive(Debug)]
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

impl Line {
    /// From `length` samples to `output` of them, `step` (1 or more) apart; the first one's border lies at `shift`.
    pub const fn new(length: u32, output: u32, step: f64, shift: f64) -> Self {
        Self { length, output, step, shift }
    }

    /// Whether nothing would change.
    pub fn is_identity(&self) -> bool {
        self.length == self.output && self.step == 1.0 && self.shift == 0.0
    }

    /// Samples of the result.
    pub const fn output(&self) -> u32 {
        self.output
    }

    /// Samples of the source for one of the result.
    pub const fn step(&self) -> f64 {
        self.step
    }

    /// Where sample `i` of the result lies in the source.
    pub fn center(&self, i: u32) -> f64 {
        (f64::from(i) + 0.5) * self.step + self.shift - 0.5
    }

    /// Weights that one sample has at most.
    fn reach(&self) -> u64 {
        ((4.0 * self.step) as u64 + 2).min(u64::from(self.length))
    }

    fn taps(&self, i: u32) -> Taps {
        let (center, reach) = (self.center(i), 2.0 * self.step);
        let weighted = ((center - reach).ceil() as i64..=(center + reach).floor() as i64)
            .map(|at| (mirror(at, self.length), keys((at as f64 - center) / self.step)))
            .filter(|&(_, weight)| weight != 0.0);
        let (first, last) =
            weighted.clone().fold((usize::MAX, 0), |(first, last), (at, _)| (first.min(at), last.max(at)));
        let mut sums = vec![0.0; last + 1 - first];
        for (at, weight) in weighted {
            sums[at - first] += weight;
        }
        let sum: f64 = sums.iter().sum();
        Taps { first, weights: sums.iter().map(|weight| (weight / sum) as f32).collect() }
    }
}

/// The weights of every column, one after the other.
#[derive(Debug)]
struct Columns {
    /// First sample of the source, and where its weights end.
    places: Vec<(u32, u32)>,
    weights: Vec<f32>,
}

impl Columns {
    fn new(line: &Line) -> Self {
        let mut columns = Self { places: Vec::with_capacity(line.output as usize), weights: Vec::new() };
        for i in 0..line.output {
            let taps = line.taps(i);
            columns.weights.extend(taps.weights);
            columns.places.push((taps.first as u32, columns.weights.len() as u32));
        }
        columns
    }

    fn reduce(&self, row: &[f32], out: &mut [f32]) {
        let mut from = 0;
        for (out, &(first, to)) in out.iter_mut().zip(&self.places) {
            let weights = &self.weights[from..to as usize];
            *out = dot(weights, &row[first as usize..][..weights.len()]);
            from = to as usize;
        }
    }
}

/// In eight sums, for speed, and because one sum of thousands would not keep a flat image flat.
fn dot(weights: &[f32], values: &[f32]) -> f32 {
    let ((weights, last), (values, rest)) = (weights.as_chunks::<8>(), values.as_chunks::<8>());
    let mut sums = [0.0_f32; 8];
    for (weights, values) in weights.iter().zip(values) {
        for ((sum, weight), value) in sums.iter_mut().zip(weights).zip(values) {
            *sum += weight * value;
        }
    }
    let rest: f32 = last.iter().zip(rest).map(|(weight, value)| weight * value).sum();
    sums.iter().sum::<f32>() + rest
}

/// A row of the result that is begun: all its planes.
#[derive(Debug)]
struct Open {
    taps: Taps,
    /// In doubles: far reductions add up thousands of rows.
    sums: Vec<f64>,
}

/// Takes rows of some planes in order and gives back those of the reduced image.
#[derive(Debug)]
pub struct Reducer {
    planes: usize,
    across: Line,
    down: Line,
    columns: Columns,
    open: VecDeque<Open>,
    /// What the next row to begin is made of; `None` once all are begun.
    next: Option<Taps>,
    begun: u32,
    /// Rows of the source that came.
    came: usize,
    /// One row of every plane, reduced across.
    row: Vec<f32>,
}

/// Bytes that a reducer of `planes` planes holds at most, and what it makes of a band of `band` bytes.
pub fn held_bytes(across: &Line, down: &Line, planes: usize, band: u64) -> u64 {
    let row = planes as u64 * u64::from(across.output);
    let weights = across.reach() * u64::from(across.output) + u64::from(OPEN + 1) * down.reach();
    // Sums, what they become when they end together, the row at hand; weights grow by doubling.
    let floats = (3 * u64::from(OPEN) + 1) * row + 2 * weights;
    floats * size_of::<f32>() as u64 + u64::from(across.output) * size_of::<(u32, u32)>() as u64 + 3 * band
}

impl Reducer {
    /// A reducer of `planes` planes.
    pub fn new(planes: usize, across: Line, down: Line) -> Self {
        Self {
            planes,
            across,
            down,
            columns: Columns::new(&across),
            open: VecDeque::new(),
            next: Some(down.taps(0)),
            begun: 0,
            came: 0,
            row: vec![0.0; planes * across.output as usize],
        }
    }

    /// Takes the next rows, plane after plane as a `tiling::Band` has them, and gives the rows that are
    /// finished by them in the same form: none, or some.
    ///
    /// # Panics
    /// If it is given rows of another width or another number of planes.
    pub fn reduce(&mut self, planes: &[f32]) -> Vec<f32> {
        let (length, width) = (self.across.length as usize, self.across.output as usize);
        let rows = planes.len() / (self.planes * length);
        assert_eq!(planes.len(), rows * self.planes * length, "whole rows of {} planes of {length}", self.planes);
        let mut finished: Vec<Vec<f64>> = Vec::new();
        for y in 0..rows {
            for (plane, out) in planes.chunks_exact(rows * length).zip(self.row.chunks_exact_mut(width)) {
                self.columns.reduce(&plane[y * length..][..length], out);
            }
            self.add(&mut finished);
        }
        let mut out = Vec::with_capacity(finished.len() * self.row.len());
        for plane in 0..self.planes {
            for row in &finished {
                out.extend(row[plane * width..][..width].iter().map(|sum| *sum as f32));
            }
        }
        out
    }

    /// Adds the row at hand to those that it belongs to.
    fn add(&mut self, finished: &mut Vec<Vec<f64>>) {
        let y = self.came;
        self.came += 1;
        while let Some(taps) = self.next.take_if(|taps| taps.first <= y) {
            self.open.push_back(Open { taps, sums: vec![0.0; self.row.len()] });
            self.begun += 1;
            self.next = (self.begun < self.down.output).then(|| self.down.taps(self.begun));
        }
        for Open { taps, sums } in &mut self.open {
            if let Some(&weight) = taps.weights.get(y - taps.first) {
                sums.iter_mut().zip(&self.row).for_each(|(sum, value)| *sum += f64::from(weight * value));
            }
        }
        while self.open.front().is_some_and(|open| open.taps.first + open.taps.weights.len() <= self.came) {
            finished.extend(self.open.pop_front().map(|open| open.sums));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of the whole side.
    fn line(length: u32, output: u32) -> Line {
        Line::new(length, output, f64::from(length) / f64::from(output), 0.0)
    }

    /// The textbook's sum for one sample, in doubles, over borders that are mirrored without end.
    fn slow(plane: &[f32], across: Line, down: Line, x: u32, y: u32) -> f64 {
        let taps = |line: Line, i: u32| {
            let (center, reach) = (line.center(i), 2.0 * line.step);
            let all = (center - reach).floor() as i64..=(center + reach).ceil() as i64;
            let all: Vec<_> = all.map(|at| (mirror(at, line.length), keys((at as f64 - center) / line.step))).collect();
            let sum: f64 = all.iter().map(|tap| tap.1).sum();
            all.into_iter().map(move |(at, weight)| (at, weight / sum)).collect::<Vec<_>>()
        };
        let columns = taps(across, x);
        let row = |at: usize| -> f64 {
            columns.iter().map(|(x, w)| w * f64::from(plane[at * across.length as usize + x])).sum()
        };
        taps(down, y).into_iter().map(|(at, weight)| weight * row(at)).sum()
    }

    /// Reduced in bands of these heights, the last one as often as needed.
    fn reduced(planes: &[Vec<f32>], across: Line, down: Line, bands: &[usize]) -> Vec<Vec<f32>> {
        let (length, width) = (across.length as usize, across.output as usize);
        let mut reducer = Reducer::new(planes.len(), across, down);
        let mut out = vec![Vec::new(); planes.len()];
        let (mut y, mut bands) = (0, bands.iter().copied());
        let mut last = 1;
        while y < down.length as usize {
            last = bands.next().unwrap_or(last);
            let rows = last.min(down.length as usize - y);
            let band: Vec<f32> =
                planes.iter().flat_map(|plane| &plane[y * length..(y + rows) * length]).copied().collect();
            let rows_out = reducer.reduce(&band);
            let part = rows_out.len() / planes.len();
            assert!(part / width <= rows + OPEN as usize, "few more rows than came");
            assert!(reducer.open.len() <= OPEN as usize, "{} rows are open", reducer.open.len());
            for (out, rows) in out.iter_mut().zip(rows_out.chunks_exact(part.max(1))) {
                out.extend_from_slice(rows);
            }
            y += rows;
        }
        assert!(reducer.open.is_empty() && reducer.next.is_none(), "every row was finished");
        out
    }

    proptest! {
        #[test]
        fn equals_the_double_sum_in_whatever_bands_it_comes(
            width in 1u32..40, height in 1u32..40, narrow in 1u32..=40, low in 1u32..=40,
            bands in prop::collection::vec(1usize..9, 1..6), seed in any::<u32>(),
        ) {
            let (across, down) = (line(width, narrow.min(width)), line(height, low.min(height)));
            let plane = |seed: u32| -> Vec<f32> {
                (0..width * height).map(|i| ((i.wrapping_mul(2_654_435_761).wrapping_add(seed)) >> 24) as f32).collect()
            };
            let planes = [plane(seed), plane(seed ^ 0xffff)];
            let out = reduced(&planes, across, down, &bands);
            for (plane, out) in planes.iter().zip(&out) {
                prop_assert_eq!(out.len() as u32, across.output * down.output);
                for (at, &value) in out.iter().enumerate() {
                    let (x, y) = (at as u32 % across.output, at as u32 / across.output);
                    let expected = slow(plane, across, down, x, y);
                    prop_assert!((f64::from(value) - expected).abs() < 2e-3, "{} is not {}", value, expected);
                }
            }
            let at_once = reduced(&planes, across, down, &[40]);
            prop_assert!(out == at_once, "bands show");
        }

        #[test]
        fn flat_stays_flat(length in 1u32..3000, output in 1u32..3000, level in 0u8..=255) {
            let (across, down) = (line(length, output.min(length)), line(7, 3));
            let out = reduced(&[vec![f32::from(level); 7 * length as usize]], across, down, &[3]);
            prop_assert!(out[0].iter().all(|v| (v - f32::from(level)).abs() < 2e-3));
        }

        #[test]
        fn a_cut_without_a_step_is_a_copy(first in 0u32..20, output in 1u32..20) {
            let across = Line::new(40, output, 1.0, f64::from(first));
            let plane: Vec<f32> = (0..80).map(|i| (i * i % 251) as f32 + 0.3).collect();
            let out = reduced(std::slice::from_ref(&plane), across, line(2, 2), &[1]);
            let kept = plane.chunks_exact(40).flat_map(|row| &row[first as usize..(first + output) as usize]);
            prop_assert!(out[0].iter().eq(kept));
        }
    }

    #[test]
    fn a_far_reduction_holds_little() {
        let (across, down) = (line(60_000, 10), line(60_000, 10));
        assert!(held_bytes(&across, &down, 3, 1 << 20) < 8 << 20);
    }
}
