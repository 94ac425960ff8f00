//! The reduction to the size that was asked for, of colors and alpha together.
//!
//! Where transparency varies, colors are averaged weighted by it, as they would be seen: a faint shadow must not
//! darken the solid edge beside it. Where nothing can be seen the weights mean nothing, and the colors are averaged as
//! they are (the visible ones, extended: see [`alpha`](super::alpha)).

use images::raster::Channels;
use images::resample::reduce::{self, Line, Reducer};
use tiling::blend::BAND_BYTES;

use super::alpha::Alpha;

/// Below this level of alpha a pixel is clear in 8 bits.
const CLEAR: f32 = 0.5;

/// Planes: the colors, and with a plane of alpha also that, and the colors times it.
const fn planes(colors: usize, weighted: bool) -> usize {
    if weighted { 2 * colors + 1 } else { colors }
}

/// Makes rows of the answer's size out of those that the last network gave.
#[derive(Debug)]
pub(super) struct Downscaler {
    reducer: Reducer,
    /// Planes of color: 1 or 3.
    colors: usize,
    weighted: bool,
    width: u32,
}

impl Downscaler {
    pub(super) fn new((across, down): (Line, Line), channels: Channels, alpha: Alpha) -> Self {
        let (colors, weighted) = (channels.colors(), alpha == Alpha::Plane);
        let reducer = Reducer::new(planes(colors, weighted), across, down);
        Self { reducer, colors, weighted, width: across.output() }
    }

    /// Width of the rows that it gives.
    pub(super) const fn width(&self) -> u32 {
        self.width
    }

    /// Bytes held at most, for rows of `width` pixels.
    pub(super) fn held_bytes((across, down): &(Line, Line), channels: Channels, width: u32) -> u64 {
        let planes = planes(channels.colors(), channels.has_alpha());
        // A band has three planes; the stack of all of them, while it grows, comes on top.
        let stack = 2 * BAND_BYTES.max(12 * u64::from(width)) * planes as u64 / 3;
        stack + reduce::held_bytes(across, down, planes, stack)
    }

    /// The rows that are finished by these, colors and alpha; `None` if there are none.
    pub(super) fn reduce(&mut self, mut stack: Vec<f32>, alpha: &[f32]) -> Option<(Vec<f32>, Vec<f32>)> {
        if self.weighted {
            let colors = stack.len();
            stack.reserve(colors + alpha.len());
            stack.extend(alpha.iter().map(|level| level.clamp(0.0, 255.0)));
            for at in 0..colors {
                stack.push(stack[at] * stack[colors + at % alpha.len()]);
            }
        }
        let mut reduced = self.reducer.reduce(&stack);
        if reduced.is_empty() {
            return None;
        }
        let plane = reduced.len() / planes(self.colors, self.weighted);
        let seen = if self.weighted { unweighted(&mut reduced, self.colors * plane, plane) } else { Vec::new() };
        reduced.truncate(self.colors * plane);
        Some((reduced, seen))
    }
}

/// Puts the weighted colors in the place of the others wherever they can be seen, and gives alpha.
fn unweighted(reduced: &mut [f32], colors: usize, plane: usize) -> Vec<f32> {
    let (colors, rest) = reduced.split_at_mut(colors);
    let (alpha, weighted) = rest.split_at(plane);
    for (at, color) in colors.iter_mut().enumerate() {
        let alpha = alpha[at % plane];
        if alpha >= CLEAR {
            *color = weighted[at] / alpha;
        }
    }
    alpha.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row of six pixels to `output`.
    fn sixth(output: u32) -> Downscaler {
        let lines = (Line::new(6, output, 6.0 / f64::from(output), 0.0), Line::new(1, 1, 1.0, 0.0));
        Downscaler::new(lines, Channels::Rgba, Alpha::Plane)
    }

    #[test]
    fn a_faint_shadow_does_not_darken_what_is_solid() {
        // Left solid white, right a black shadow of a tenth.
        let planes = [[255.0, 255.0, 255.0, 0.0, 0.0, 0.0]; 3].concat();
        let alpha = [255.0, 255.0, 255.0, 25.5, 25.5, 25.5];
        let (color, seen) = sixth(1).reduce(planes, &alpha).expect("its only row");
        // On black: half white, half black.
        let on_black = color[0] * seen[0] / 255.0;
        assert!((on_black - 127.5).abs() < 1e-2, "{color:?} {seen:?}");
    }

    #[test]
    fn what_cannot_be_seen_keeps_the_colors_that_were_extended_to_it() {
        let (clear, seen) = sixth(2).reduce(vec![200.0; 18], &[0.0; 6]).expect("its only row");
        assert_eq!(clear.len(), 6);
        assert!(clear.iter().all(|level| (level - 200.0).abs() < 1e-3), "{clear:?}");
        assert_eq!(seen, [0.0, 0.0]);
    }

    #[test]
    fn without_a_plane_of_alpha_colors_are_averaged_as_they_are() {
        let lines = (Line::new(6, 1, 6.0, 0.0), Line::new(1, 1, 1.0, 0.0));
        let mut downscaler = Downscaler::new(lines, Channels::GrayAlpha, Alpha::Uniform(9.0));
        let (gray, alpha) = downscaler.reduce(vec![0.0, 0.0, 0.0, 100.0, 100.0, 100.0], &[]).expect("its only row");
        assert!((gray[0] - 50.0).abs() < 1e-3 && gray.len() == 1 && alpha.is_empty(), "{gray:?} {alpha:?}");
    }
}
