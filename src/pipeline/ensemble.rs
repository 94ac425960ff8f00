//! Geometric self-ensemble (Timofte et al., CVPR 2016; SAN+ in Dai et al., CVPR 2019): each tile runs in its eight
//! orientations, and the eight answers are turned back and averaged before anything is rounded.

use images::units::Size;

/// Orientations of a rectangle.
pub(crate) const ORIENTATIONS: usize = 8;

/// Whether orientation `k` lies on its side: every second four do.
pub(crate) const fn is_transposed(k: usize) -> bool {
    k & 4 != 0
}

/// The size of `size` in orientation `k`.
pub(crate) const fn turned_size(size: Size, k: usize) -> Size {
    if is_transposed(k) { Size::new(size.height, size.width) } else { size }
}

/// Calls `each` with the positions of a sample in orientation `k` and of the one of `size` that it comes from, plane by
/// plane.
fn pairs(k: usize, size: Size, mut each: impl FnMut(usize, usize)) {
    let (width, height) = (size.width as usize, size.height as usize);
    let across = turned_size(size, k).width as usize;
    for plane in 0..3 {
        let first = plane * width * height;
        for at in 0..width * height {
            let (x, y) = (at % across, at / across);
            let (x, y) = if is_transposed(k) { (y, x) } else { (x, y) };
            let x = if k & 1 == 0 { x } else { width - 1 - x };
            let y = if k & 2 == 0 { y } else { height - 1 - y };
            each(first + at, first + y * width + x);
        }
    }
}

/// Three planes of `size` in orientation `k`; 0 is as it was.
pub(crate) fn turned(tile: &[f32], size: Size, k: usize) -> Vec<f32> {
    let mut out = vec![0.0; tile.len()];
    pairs(k, size, |to, from| out[to] = tile[from]);
    out
}

/// The mean of the orientations of three planes of `size`, each turned back; `parts[k]` is in orientation `k`. A
/// single part is given back.
pub(crate) fn joined(parts: Vec<Vec<f32>>, size: Size) -> Vec<f32> {
    let count = parts.len();
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_default();
    if count > 1 {
        for (k, part) in parts.enumerate() {
            pairs(k + 1, size, |from, to| sum[to] += part[from]);
        }
        let share = 1.0 / count as f32;
        for value in &mut sum {
            *value *= share;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Size = Size::new(5, 3);

    fn tile() -> Vec<f32> {
        (0..3 * 15).map(|i| i as f32).collect()
    }

    #[test]
    fn the_eight_orientations_differ_and_come_back() {
        let all: Vec<Vec<f32>> = (0..ORIENTATIONS).map(|k| turned(&tile(), WIDE, k)).collect();
        assert_eq!(all[0], tile());
        for (k, turned) in all.iter().enumerate() {
            assert!(all[..k].iter().all(|other| other != turned), "orientation {k} is not new");
        }
        assert_eq!(joined(all, WIDE), tile(), "sums of small integers are exact");
    }

    #[test]
    fn every_second_four_lie_on_their_side() {
        assert_eq!((turned_size(WIDE, 3), turned_size(WIDE, 4)), (WIDE, Size::new(3, 5)));
        // The first row of the transposed is the first column of the image.
        assert_eq!(turned(&tile(), WIDE, 4)[..3], [0.0, 5.0, 10.0]);
    }

    #[test]
    fn a_mean_is_taken_in_the_original_orientation() {
        // Only orientation 1 (mirrored left to right) has 8, at its top left: that is the top right.
        let mut parts = vec![vec![0.0; 12]; ORIENTATIONS];
        parts[1][0] = 8.0;
        let mean = joined(parts, Size::new(2, 2));
        assert_eq!(mean[..4], [0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn one_part_is_itself() {
        assert_eq!(joined(vec![tile()], WIDE), tile());
    }
}
