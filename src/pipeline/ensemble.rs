//! Geometric self-ensemble (Timofte et al., CVPR 2016; SAN+ in Dai et al., CVPR 2019): each tile runs in its eight
//! orientations, and the eight answers are turned back and averaged before anything is rounded.

/// Orientations of a square.
pub(super) const ORIENTATIONS: usize = 8;

/// Where sample (x, y) of orientation `k` comes from in a square of `side`.
fn source(k: usize, x: usize, y: usize, side: usize) -> (usize, usize) {
    let (x, y) = if k & 4 == 0 { (x, y) } else { (y, x) };
    let x = if k & 1 == 0 { x } else { side - 1 - x };
    let y = if k & 2 == 0 { y } else { side - 1 - y };
    (x, y)
}

/// Calls `each` with the positions of a turned sample and of the one it comes from, plane by plane.
fn pairs(k: usize, side: usize, mut each: impl FnMut(usize, usize)) {
    for plane in 0..3 {
        let first = plane * side * side;
        for y in 0..side {
            for x in 0..side {
                let (sx, sy) = source(k, x, y, side);
                each(first + y * side + x, first + sy * side + sx);
            }
        }
    }
}

/// Three planes of side × side in orientation `k`; 0 is as it was.
pub(super) fn turned(tile: &[f32], side: usize, k: usize) -> Vec<f32> {
    let mut out = vec![0.0; tile.len()];
    pairs(k, side, |to, from| out[to] = tile[from]);
    out
}

/// The mean of the orientations, each turned back; `parts[k]` is in orientation `k`. A single part is given back.
pub(super) fn joined(parts: Vec<Vec<f32>>, side: usize) -> Vec<f32> {
    let count = parts.len();
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_default();
    if count > 1 {
        for (k, part) in parts.enumerate() {
            pairs(k + 1, side, |from, to| sum[to] += part[from]);
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

    fn tile(side: usize) -> Vec<f32> {
        (0..3 * side * side).map(|i| i as f32).collect()
    }

    #[test]
    fn the_eight_orientations_differ_and_come_back() {
        let tile = tile(5);
        let all: Vec<Vec<f32>> = (0..ORIENTATIONS).map(|k| turned(&tile, 5, k)).collect();
        assert_eq!(all[0], tile);
        for (k, turned) in all.iter().enumerate() {
            assert!(all[..k].iter().all(|other| other != turned), "orientation {k} is not new");
        }
        assert_eq!(joined(all, 5), tile, "sums of small integers are exact");
    }

    #[test]
    fn a_mean_is_taken_in_the_original_orientation() {
        // Only orientation 1 (mirrored left to right) says 8, at its top left: that is the top right.
        let mut parts = vec![vec![0.0; 12]; ORIENTATIONS];
        parts[1][0] = 8.0;
        let mean = joined(parts, 2);
        assert_eq!(mean[..4], [0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn one_part_is_itself() {
        assert_eq!(joined(vec![tile(2)], 2), tile(2));
    }
}
