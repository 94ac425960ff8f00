//! Joins upscaled tiles into bands of finished rows.
//!
//! Tiles of one row are joined from left to right as they come, then the row is joined to the one above. Both joins
//! are the linear cross-fade `a + t·(b - a)`, which gives exactly `a` where the tiles agree: a network whose reach is
//! within half a halo cannot be distinguished from one that saw the whole image. Held are one row of tiles, upscaled, and
//! the rows in which it fades into the next; bands leave in small pieces.

use std::ops::Range;

use images::units::Scale;

use crate::grid::{Axis, Grid};

/// Samples of one band at most (1 MiB), so that what follows works in the cache and in small steps.
pub const BAND_SAMPLES: usize = 1 << 18;

/// Bytes of one band, unless one row has more.
pub const BAND_BYTES: u64 = (BAND_SAMPLES * size_of::<f32>()) as u64;

/// Rows of one band of images this wide.
pub fn band_rows(width: u32) -> u32 {
    (BAND_SAMPLES / (3 * width as usize)).max(1) as u32
}

/// Finished rows of the upscaled image: planar R, G, B in levels, not yet rounded or clamped.
#[derive(Debug)]
pub struct Band {
    /// First row in the output.
    pub y: u32,
    /// Number of rows.
    pub rows: u32,
    /// Three planes of rows × output width.
    pub planes: Vec<f32>,
}

/// Takes the tiles of a grid in order and gives back rows as they become final.
#[derive(Debug)]
pub struct Blender {
    grid: Grid,
    scale: u32,
    /// Index of the tile that comes next.
    next: usize,
    /// The rows that the current row of tiles contributes to, three planes of `capacity` rows.
    current: Vec<f32>,
    /// The last rows of the row of tiles above, three planes of halo·scale rows.
    above: Vec<f32>,
    /// Output rows that are final and not yet taken.
    ready: Range<u32>,
}

fn capacity(grid: &Grid, scale: Scale) -> usize {
    grid.spec().shape.height.min(grid.image().height) as usize * scale.factor() as usize
}

fn fade_rows(grid: &Grid, scale: Scale) -> usize {
    if grid.rows() > 1 { (grid.spec().halo * scale.factor()) as usize } else { 0 }
}

/// Share of the later tile at step `i` of a fade of `steps` output pixels.
fn share(i: usize, steps: usize) -> f32 {
    (i as f32 + 0.5) / steps as f32
}

fn scaled(range: &Range<u32>, scale: u32) -> Range<usize> {
    (range.start * scale) as usize..(range.end * scale) as usize
}

/// Where tile `i` of an axis fades in, and where it is alone or is faded over by the next, in output pixels.
fn spans(axis: Axis, i: usize, scale: u32) -> (Range<usize>, Range<usize>) {
    let used = scaled(&axis.used(i), scale);
    let fade = if i == 0 { 0..0 } else { scaled(&axis.fade(i - 1), scale) };
    (fade.clone(), fade.end..used.end)
}

impl Blender {
    /// Bytes that a blender of this grid at `scale`, and the band it gives, hold at most.
    pub fn held_bytes(grid: &Grid, scale: Scale) -> u64 {
        let width = u64::from(grid.image().width * scale.factor());
        let rows = capacity(grid, scale) + fade_rows(grid, scale);
        (3 * width * rows as u64 + (BAND_SAMPLES as u64).max(3 * width)) * size_of::<f32>() as u64
    }

    /// A blender that expects every tile of `grid`, upscaled by `scale`, in order of their index.
    pub fn new(grid: &Grid, scale: Scale) -> Self {
        let line = (grid.image().width * scale.factor()) as usize;
        Self {
            grid: *grid,
            scale: scale.factor(),
            next: 0,
            current: vec![0.0; 3 * line * capacity(grid, scale)],
            above: vec![0.0; 3 * line * fade_rows(grid, scale)],
            ready: 0..0,
        }
    }

    /// Adds the next tile (planar RGB, its shape times the scale). True when a row of tiles is whole: then
    /// [`Blender::band`] has rows, which must be taken before the next tile comes.
    ///
    /// # Panics
    /// If the tile has another size, if there are more than the grid has, or if bands were not taken.
    pub fn push(&mut self, tile: &[f32]) -> bool {
        let shape = self.grid.spec().shape;
        let (width, height) = ((shape.width * self.scale) as usize, (shape.height * self.scale) as usize);
        assert_eq!(tile.len(), 3 * width * height, "a tile is three planes of {width} x {height}");
        assert!(self.next < self.grid.len(), "the grid has {} tiles", self.grid.len());
        assert!(self.ready.is_empty(), "rows {:?} were not taken", self.ready);
        let (column, row) = (self.next % self.grid.columns(), self.next / self.grid.columns());
        let (across, down) = (self.grid.across(), self.grid.down());
        let rows = scaled(&down.used(row), self.scale);
        let (fade, plain) = spans(across, column, self.scale);
        // How far into the tile the image's sample `at` lies.
        let offset = |start: i64, at: usize| (at as i64 - start * i64::from(self.scale)) as usize;
        let left = offset(across.start(column), fade.start.min(plain.start));
        let top = offset(down.start(row), rows.start);

        let line = self.line();
        let plane = self.current.len() / 3;
        for (source, target) in tile.chunks_exact(width * height).zip(self.current.chunks_exact_mut(plane)) {
            let lines = source.chunks_exact(width).skip(top).zip(target.chunks_exact_mut(line)).take(rows.len());
            for (source, target) in lines {
                let (fading, rest) = source[left..].split_at(fade.len());
                for (i, (value, &later)) in target[fade.clone()].iter_mut().zip(fading).enumerate() {
                    *value += share(i, fade.len()) * (later - *value);
                }
                target[plain.clone()].copy_from_slice(&rest[..plain.len()]);
            }
        }

        self.next += 1;
        let whole = column + 1 == self.grid.columns();
        if whole {
            self.ready = down.used(row).start * self.scale..down.settled(row) * self.scale;
        }
        whole
    }

    /// The next rows that are final, until none are left of this row of tiles.
    pub fn band(&mut self) -> Option<Band> {
        if self.ready.is_empty() {
            return None;
        }
        let line = self.line();
        let rows = (band_rows(line as u32) as usize).min(self.ready.len());
        let row = (self.next - 1) / self.grid.columns();
        // Rows counted from the first that the current row of tiles contributes to.
        let first = self.ready.start as usize - (self.grid.down().used(row).start * self.scale) as usize;
        let fade = if row == 0 { 0 } else { self.above.len() / (3 * line) };

        let mut planes = Vec::with_capacity(3 * line * rows);
        for plane in 0..3 {
            let current = &self.current[plane * self.current.len() / 3..][first * line..][..rows * line];
            planes.extend_from_slice(current);
            let joined = planes.len() - rows * line;
            let above = &self.above[plane * self.above.len() / 3..][..fade * line];
            let fading = above.chunks_exact(line).enumerate().skip(first);
            for (lines, (i, above)) in planes[joined..].chunks_exact_mut(line).zip(fading) {
                let t = share(i, fade);
                for (value, &earlier) in lines.iter_mut().zip(above) {
                    *value = earlier + t * (*value - earlier);
                }
            }
        }
        let y = self.ready.start;
        self.ready.start += rows as u32;
        if self.ready.is_empty() {
            self.keep_fade(row);
        }
        Some(Band { y, rows: rows as u32, planes })
    }

    /// Whether every tile came and every row was taken.
    pub fn is_done(&self) -> bool {
        self.next == self.grid.len() && self.ready.is_empty()
    }

    fn line(&self) -> usize {
        (self.grid.image().width * self.scale) as usize
    }

    /// Keeps the rows of `row` that fade into the next row of tiles.
    fn keep_fade(&mut self, row: usize) {
        if row + 1 == self.grid.rows() {
            return;
        }
        let down = self.grid.down();
        let first = ((down.fade(row).start - down.used(row).start) * self.scale) as usize * self.line();
        let (fade, plane) = (self.above.len() / 3, self.current.len() / 3);
        for (above, current) in self.above.chunks_exact_mut(fade).zip(self.current.chunks_exact(plane)) {
            above.copy_from_slice(&current[first..first + fade]);
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "what is tested is equality to the bit")]
mod tests {
    use images::raster::{Channels, Raster, Samples};
    use images::resample::bicubic::Kernel;
    use images::units::{Size, TileShape};
    use proptest::prelude::*;

    use super::*;
    use crate::{TileSpec, extract};

    fn joined(grid: &Grid, scale: Scale, mut tile: impl FnMut(usize) -> Vec<f32>) -> Vec<f32> {
        let size = grid.image().scaled(scale);
        let (line, plane) = (size.width as usize, size.pixels() as usize);
        let mut out = vec![f32::NAN; 3 * plane];
        let mut blender = Blender::new(grid, scale);
        let mut y = 0;
        for index in 0..grid.len() {
            let whole = blender.push(&tile(index));
            assert_eq!(whole, (index + 1) % grid.columns() == 0);
            while let Some(band) = blender.band() {
                assert_eq!(band.y, y, "bands follow each other");
                y += band.rows;
                let part = band.rows as usize * line;
                for (plane_at, source) in band.planes.chunks_exact(part).enumerate() {
                    out[plane_at * plane + band.y as usize * line..][..part].copy_from_slice(source);
                }
            }
        }
        assert!(blender.is_done());
        assert_eq!(y, size.height);
        out
    }

    fn image(size: Size, seed: u32) -> Raster {
        let mut state = seed | 1;
        let samples = (0..3 * size.pixels()).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        Raster::new(size, Channels::Rgb, Samples::U8(samples.collect()))
    }

    fn whole(image: &Raster, scale: Scale) -> Vec<f32> {
        upscaled(&extract::padded(image, image.size()), image.size(), scale)
    }

    fn upscaled(planes: &[f32], size: Size, scale: Scale) -> Vec<f32> {
        let (width, target) = (size.width as usize, size.scaled(scale));
        let mut out = vec![0.0; 3 * target.pixels() as usize];
        for (plane, out) in
            planes.chunks_exact(size.pixels() as usize).zip(out.chunks_exact_mut(target.pixels() as usize))
        {
            Kernel::new(scale).upscale(size, |y| &plane[y as usize * width..][..width], 0..target.height, out);
        }
        out
    }

    fn tiled(image: &Raster, grid: &Grid, scale: Scale) -> Vec<f32> {
        joined(grid, scale, |index| upscaled(&extract::tile(image, grid, index), grid.spec().shape.size(), scale))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn tiled_bicubic_is_whole_bicubic_to_the_bit(
            width in 1u32..=200, height in 1u32..=200, scale in 2u8..=4,
            halo in 2u32..=6, more in (0u32..60, 0u32..60), seed in any::<u32>(),
        ) {
            let spec = TileSpec { shape: TileShape::new(8 * halo + more.0, 8 * halo + more.1), halo: 2 * halo };
            let (image, scale) = (image(Size::new(width, height), seed), Scale::new(scale).expect("a scale"));
            let grid = Grid::of(image.size(), spec);
            prop_assert!(tiled(&image, &grid, scale) == whole(&image, scale), "{:?}", grid);
        }

        /// Constant tiles of any values: a sum of weights other than one would show, and so would an uncovered pixel.
        #[test]
        fn weights_sum_to_one(width in 1u32..300, height in 1u32..300, scale in 1u8..=3, halo in 1u32..=4, more in (0u32..30, 0u32..30)) {
            let spec = TileSpec { shape: TileShape::new(8 * halo + more.0, 8 * halo + more.1), halo: 2 * halo };
            let (grid, scale) = (Grid::of(Size::new(width, height), spec), Scale::new(scale).expect("a scale"));
            let samples = spec.shape.samples(scale);
            let flat = joined(&grid, scale, |_| vec![77.125; samples]);
            prop_assert!(flat.iter().all(|&v| v == 77.125));
            let steps = joined(&grid, scale, |index| vec![if index % 2 == 0 { 0.0 } else { 1.0 }; samples]);
            prop_assert!(steps.iter().all(|v| (0.0..=1.0).contains(v)));
        }
    }

    #[test]
    fn every_size_around_the_tile_is_exact() {
        let spec = TileSpec { shape: TileShape::square(16), halo: 4 };
        let scale = Scale::new(2).expect("a scale");
        for length in (1..=35).chain([63, 64, 65]) {
            for size in [Size::new(length, 19), Size::new(19, length), Size::new(length, length)] {
                let image = image(size, length);
                let grid = Grid::of(size, spec);
                assert!(tiled(&image, &grid, scale) == whole(&image, scale), "{size}");
            }
        }
    }

    #[test]
    fn two_tiles_fade_linearly_in_the_middle_of_their_overlap() {
        // 16 pixels, tiles of 12 at -2 and 6: they overlap in 6..10 and fade in 7..9.
        let grid = Grid::of(Size::new(16, 8), TileSpec { shape: TileShape::square(12), halo: 2 });
        let scale = Scale::new(2).expect("a scale");
        let out = joined(&grid, scale, |index| vec![index as f32 * 8.0; 3 * 24 * 24]);
        assert_eq!(out[12..20], [0.0, 0.0, 1.0, 3.0, 5.0, 7.0, 8.0, 8.0]);
    }

    #[test]
    fn memory_is_what_was_said() {
        let spec = TileSpec { shape: TileShape::square(64), halo: 8 };
        let scale = Scale::new(4).expect("a scale");
        for size in [Size::new(4096, 4096), Size::new(100, 3000), Size::new(3, 5)] {
            let grid = Grid::of(size, spec);
            let mut blender = Blender::new(&grid, scale);
            let held = (blender.current.len() + blender.above.len()) as u64 * 4;
            let mut band = 0;
            for _ in 0..grid.columns() {
                blender.push(&vec![0.0; 3 * 256 * 256]);
            }
            while let Some(rows) = blender.band() {
                band = band.max(rows.planes.len() as u64 * 4);
            }
            assert!(held + band <= Blender::held_bytes(&grid, scale), "{size}");
        }
        let poster = Blender::held_bytes(&Grid::of(Size::new(4096, 4096), spec), scale);
        assert!(poster < 60 << 20, "{poster} bytes for 16384 pixels of width");
    }

    #[test]
    #[should_panic(expected = "were not taken")]
    fn bands_must_be_taken() {
        let grid = Grid::of(Size::new(4, 20), TileSpec { shape: TileShape::square(8), halo: 2 });
        let mut blender = Blender::new(&grid, Scale::new(1).expect("a scale"));
        blender.push(&[0.0; 192]);
        blender.push(&[0.0; 192]);
    }
}
