//! Interpolation of planes of samples: [`bicubic`] upscales by whole factors, [`reduce`] makes smaller by any.
//!
//! Borders are mirrored symmetrically (the border pixel appears twice, period 2n), as MATLAB's `imresize` has it.

pub mod bicubic;
pub mod reduce;

/// The position that `at` shows in a line of `length` samples that is mirrored at both ends without end.
pub fn mirror(at: i64, length: u32) -> usize {
    let length = i64::from(length);
    let folded = at.rem_euclid(2 * length);
    folded.min(2 * length - 1 - folded) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_repeats_the_border_and_has_period_2n() {
        let shown: Vec<usize> = (-4..8).map(|at| mirror(at, 3)).collect();
        assert_eq!(shown, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]);
        assert!((-5..5).all(|at| mirror(at, 1) == 0));
    }
}
