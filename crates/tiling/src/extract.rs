//! Cuts one tile out of an image: planar RGB in 8-bit levels, mirrored where the tile reaches past the border.
//!
//! The mirror is the symmetric one (the border pixel appears twice, period 2n), as MATLAB's `imresize` has it: it
//! makes a padded tile of bicubic equal to the image, serves a single row or column, and networks do not care.

use std::ops::Range;

use images::raster::{Raster, Samples};
use images::resample::mirror;
use images::units::Size;

use crate::grid::Grid;

/// Tile `index` of the grid, planar R, G, B of width × height each, levels 0.0..=255.0; gray goes into all three planes.
///
/// # Panics
/// If the image is not the one of the grid, or the grid has no such tile.
pub fn tile(image: &Raster, grid: &Grid, index: usize) -> Vec<f32> {
    assert_eq!(image.size(), grid.image(), "the grid is of another image");
    assert!(index < grid.len(), "tile {index} of {}", grid.len());
    let place = grid.place(index);
    window(image, place.x, place.y, grid.spec().shape.size())
}

/// The whole image as one planar window, mirrored at its right and bottom border up to `size`.
pub fn padded(image: &Raster, size: Size) -> Vec<f32> {
    window(image, 0, 0, size)
}

/// Whole rows of the image as planes of levels, as [`tile`] has them.
pub fn rows(image: &Raster, rows: Range<u32>) -> Vec<f32> {
    window(image, 0, i64::from(rows.start), Size::new(image.size().width, rows.len() as u32))
}

fn window(image: &Raster, x: i64, y: i64, size: Size) -> Vec<f32> {
    match image.samples() {
        Samples::U8(samples) => planes(image, samples, x, y, size, f32::from),
        Samples::U16(samples) => planes(image, samples, x, y, size, |sample| f32::from(sample) / 257.0),
    }
}

fn planes<T: Copy>(image: &Raster, samples: &[T], x: i64, y: i64, size: Size, level: impl Fn(T) -> f32) -> Vec<f32> {
    let (width, height) = (size.width as usize, size.height as usize);
    let Size { width: image_width, height: image_height } = image.size();
    let step = image.channels().count();
    let line = image_width as usize * step;
    let inside = x >= 0 && x + width as i64 <= i64::from(image_width);
    let columns: Vec<usize> = (0..width as i64).map(|dx| mirror(x + dx, image_width) * step).collect();

    let mut out = vec![0.0; 3 * width * height];
    let (red, rest) = out.split_at_mut(width * height);
    let (green, blue) = rest.split_at_mut(width * height);
    let rows = red.chunks_exact_mut(width).zip(green.chunks_exact_mut(width)).zip(blue.chunks_exact_mut(width));
    for (dy, ((red, green), blue)) in rows.enumerate() {
        let source = &samples[mirror(y + dy as i64, image_height) * line..][..line];
        let targets = red.iter_mut().zip(green.iter_mut()).zip(blue.iter_mut());
        let put = |((r, g), b): ((&mut f32, &mut f32), &mut f32), pixel: &[T]| {
            *r = level(pixel[0]);
            (*g, *b) = if step >= 3 { (level(pixel[1]), level(pixel[2])) } else { (*r, *r) };
        };
        if inside {
            targets.zip(source[x as usize * step..].chunks_exact(step)).for_each(|(target, pixel)| put(target, pixel));
        } else {
            targets.zip(&columns).for_each(|(target, &at)| put(target, &source[at..at + step]));
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "what is tested is equality to the bit")]
mod tests {
    use images::raster::Channels;
    use images::units::TileShape;
    use proptest::prelude::*;

    use super::*;
    use crate::TileSpec;

    const SPEC: TileSpec = TileSpec { shape: TileShape::new(8, 12), halo: 2 };

    #[test]
    fn gray_fills_three_planes_and_alpha_none() {
        let image = Raster::new(Size::new(1, 1), Channels::GrayAlpha, Samples::U8(vec![90, 7]));
        let tile = tile(&image, &Grid::of(image.size(), SPEC), 0);
        assert_eq!(tile, vec![90.0; 3 * 96]);
    }

    #[test]
    fn sixteen_bit_samples_become_levels() {
        let image = Raster::new(Size::new(1, 1), Channels::Rgb, Samples::U16(vec![0, 257, 65535]));
        let tile = tile(&image, &Grid::of(image.size(), SPEC), 0);
        assert_eq!((tile[0], tile[96], tile[192]), (0.0, 1.0, 255.0));
    }

    proptest! {
        #[test]
        fn a_tile_shows_the_image_where_it_lies(
            width in 1u32..30, height in 1u32..30,
            channels in prop::sample::select(vec![Channels::Gray, Channels::GrayAlpha, Channels::Rgb, Channels::Rgba]),
            seed in any::<u8>(),
        ) {
            let count = (width * height) as usize * channels.count();
            let samples = (0..count).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect();
            let image = Raster::new(Size::new(width, height), channels, Samples::U8(samples));
            let grid = Grid::of(image.size(), SPEC);
            for index in 0..grid.len() {
                let (tile, place) = (tile(&image, &grid, index), grid.place(index));
                prop_assert_eq!(tile.len(), 3 * 96);
                for (at, &value) in tile.iter().enumerate() {
                    let (plane, y, x) = (at / 96, at / 8 % 12, at % 8);
                    let channel = if channels.colors() == 1 { 0 } else { plane };
                    let (px, py) = (mirror(place.x + x as i64, width), mirror(place.y + y as i64, height));
                    prop_assert_eq!(value, image.level(px as u32, py as u32, channel));
                }
            }
        }
    }
}
