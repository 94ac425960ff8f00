//! Flat stays flat: where an image is of one color, its upscaled image is of the very same.
//!
//! No network gives a flat patch back exactly. It is off by a part of a level, which becomes a dozen levels where the
//! curve of a wide gamut is steep, as the colors come back from sRGB; and a white page that is not quite white packs
//! badly. So where every pixel in reach of bicubic is the same there is no detail to recover, and the color is set.

use std::sync::Arc;

use images::raster::Raster;
use images::resample::bicubic::{Kernel, RADIUS};
use images::units::{Scale, Size};
use tiling::{Band, extract};

use super::color::ColorTransform;

/// What the flat parts of one pass are found by.
pub(super) struct FlatRegions {
    image: Arc<Raster>,
    transform: ColorTransform,
    kernel: Kernel,
}

impl FlatRegions {
    /// Of an image that a network upscales by `scale`, its colors shown by `transform`.
    pub(super) fn new(image: Arc<Raster>, transform: ColorTransform, scale: Scale) -> Self {
        Self { image, transform, kernel: Kernel::new(scale) }
    }

    /// Sets the flat parts of rows that a network upscaled.
    pub(super) fn keep(&self, band: &mut Band) {
        let (size, factor) = (self.image.size(), self.kernel.factor());
        let rows = band.y / factor..(band.y + band.rows).div_ceil(factor);
        let needed = self.kernel.depends_on(&(band.y..band.y + band.rows), size.height);
        let mut levels = extract::rows(&self.image, needed.clone());
        let window = Size::new(size.width, needed.len() as u32);
        let inside = (rows.start - needed.start) as usize..(rows.end - needed.start) as usize;
        let flat: Vec<Vec<usize>> = {
            let marks = marks(&levels, window);
            inside.clone().map(|y| flat_columns(&levels, &marks, window, y)).collect()
        };
        if flat.iter().all(Vec::is_empty) {
            return;
        }
        self.transform.to_model(&mut levels, self.image.channels().colors() == 1);

        let (width, times) = (size.width as usize, factor as usize);
        let (plane, out_plane) = (levels.len() / 3, band.planes.len() / 3);
        for (levels, out) in levels.chunks_exact(plane).zip(band.planes.chunks_exact_mut(out_plane)) {
            for (at, out) in out.chunks_exact_mut(width * times).enumerate() {
                let row = ((band.y as usize + at) / times) - rows.start as usize;
                let levels = &levels[(inside.start + row) * width..][..width];
                for &x in &flat[row] {
                    out[x * times..][..times].fill(levels[x]);
                }
            }
        }
    }
}

/// Bytes that [`FlatRegions::keep`] holds at most: levels, marks and columns of the rows that `band` rows of an upscaled image of
/// `width` pixels depend on.
pub(super) fn held_bytes(width: u32, scale: Scale, band: u32) -> u64 {
    let rows = u64::from(band / scale.factor() + 2 + 2 * RADIUS);
    u64::from(width) * rows * (3 * size_of::<f32>() + 1 + size_of::<usize>()) as u64
}

/// For each pixel whether its row is of one color as far as [`RADIUS`] to both sides. What lies past the border is the
/// mirror image of what is marked.
fn marks(levels: &[f32], size: Size) -> Vec<bool> {
    let (width, radius) = (size.width as usize, RADIUS as usize);
    let plane = levels.len() / 3;
    let mut marks = vec![true; plane];
    for row in (0..plane).step_by(width) {
        for x in 1..width {
            let same = |plane: &[f32]| plane[row + x] == plane[row + x - 1];
            if !levels.chunks_exact(plane).all(same) {
                marks[row + x.saturating_sub(radius)..row + (x + radius).min(width)].fill(false);
            }
        }
    }
    marks
}

/// Columns of row `y` around which all is of one color as far as [`RADIUS`].
fn flat_columns(levels: &[f32], marks: &[bool], size: Size, y: usize) -> Vec<usize> {
    let (width, radius) = (size.width as usize, RADIUS as usize);
    let plane = levels.len() / 3;
    let around = y.saturating_sub(radius)..(y + radius + 1).min(size.height as usize);
    let same = |x: usize, other: usize| levels.chunks_exact(plane).all(|p| p[other * width + x] == p[y * width + x]);
    (0..width).filter(|&x| around.clone().all(|row| marks[row * width + x] && same(x, row))).collect()
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "what is tested is equality to the bit")]
mod tests {
    use images::raster::{Channels, Samples};
    use images::resample::mirror;
    use proptest::prelude::*;

    use super::*;

    /// What no image holds.
    const NETWORK: f32 = -7.0;

    fn kept(image: &Arc<Raster>, scale: Scale, y: u32, rows: u32) -> Vec<f32> {
        let line = (image.size().width * scale.factor()) as usize;
        let mut band = Band { y, rows, planes: vec![NETWORK; 3 * line * rows as usize] };
        FlatRegions::new(Arc::clone(image), ColorTransform::Straight, scale).keep(&mut band);
        band.planes
    }

    proptest! {
        #[test]
        fn what_is_flat_as_far_as_bicubic_sees_is_set_and_nothing_else(
            width in 1u32..14, height in 1u32..14, scale in 1u8..=3, seed in any::<u64>(), rare in 1u64..40,
        ) {
            // One color but for a few pixels, which differ in one channel.
            let mut state = seed | 1;
            let samples = (0..3 * width * height).map(|i| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                if (state >> 33).is_multiple_of(8 * rare) { 99 } else { [10, 20, 30][i as usize % 3] }
            });
            let image = Raster::new(Size::new(width, height), Channels::Rgb, Samples::U8(samples.collect()));
            let image = Arc::new(image);
            let scale = Scale::new(scale).expect("a scale");
            let times = scale.factor();
            let planes = kept(&image, scale, 0, height * times);
            let color = |x: i64, y: i64| {
                let (x, y) = (mirror(x, width) as u32, mirror(y, height) as u32);
                [0, 1, 2].map(|c| image.level(x, y, c))
            };
            let line = (width * times) as usize;
            for (at, expected) in (0..line * (height * times) as usize).map(|at| {
                let (x, y) = ((at % line) as i64 / i64::from(times), (at / line) as i64 / i64::from(times));
                let own = color(x, y);
                let flat = (-2..=2).all(|dy| (-2..=2).all(|dx| color(x + dx, y + dy) == own));
                (at, if flat { own } else { [NETWORK; 3] })
            }) {
                for (plane, expected) in planes.chunks_exact(planes.len() / 3).zip(expected) {
                    prop_assert_eq!(plane[at], expected, "pixel {}", at);
                }
            }
        }
    }

    #[test]
    fn bands_do_not_show() {
        let samples = (0..40 * 30).map(|i| if i % 40 < 20 || i / 40 > 21 { 200 } else { (i * 7 % 251) as u8 });
        let image = Raster::new(Size::new(40, 30), Channels::Gray, Samples::U8(samples.collect()));
        let (image, scale) = (Arc::new(image), Scale::new(4).expect("a scale"));
        let whole = kept(&image, scale, 0, 120);
        assert!(whole.contains(&200.0) && whole.contains(&NETWORK));
        let plane = whole.len() / 3;
        for (y, rows) in [(0, 1), (1, 5), (6, 90), (96, 24)] {
            let part = kept(&image, scale, y, rows);
            let (first, count) = (y as usize * 160, rows as usize * 160);
            for (part, whole) in part.chunks_exact(count).zip(whole.chunks_exact(plane)) {
                assert!(part == &whole[first..first + count], "rows {y} to {}", y + rows);
            }
        }
    }

    #[test]
    fn memory_is_what_was_said() {
        let (image, scale) = (Raster::new(Size::new(50, 40), Channels::Gray, Samples::U8(vec![9; 2000])), 3);
        let scale = Scale::new(scale).expect("a scale");
        // Rows 10 to 20 of the upscaled image are of rows 3 to 6 of the image, which depend on 1 to 8.
        let levels = extract::rows(&image, 1..9);
        let columns = 4 * 50 * size_of::<usize>();
        let held = (levels.len() * size_of::<f32>() + levels.len() / 3 + columns) as u64;
        assert!(held <= held_bytes(50, scale, 11), "{held}");
    }
}
