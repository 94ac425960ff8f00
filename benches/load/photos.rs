//! Photographs of mixed sizes, the same every time: the sample of this repository, resized, with grain added, so that
//! they compress like photographs and not like upscaled images.

use std::io::Cursor;

use image::imageops::{FilterType, resize};
use image::{ImageFormat, RgbImage};
use images::units::{Size, TileShape};
use tiling::{Grid, TileBounds};

use crate::Failure;
use crate::bare::Costs;

const SAMPLE: &[u8] = include_bytes!("../../docs/sample/astronaut.jpg");

/// From an avatar to a photograph on a page; the mean is what decides the rate, the spread what fairness is for.
const SIZES: [(u32, u32); 8] =
    [(320, 240), (96, 96), (640, 480), (200, 150), (800, 600), (128, 192), (500, 375), (257, 301)];

/// One photograph as it is sent.
pub struct Photo {
    /// Pixels.
    pub size: Size,
    /// Tiles that it becomes.
    pub tiles: usize,
    /// What they are.
    pub shape: TileShape,
    /// JPEG file.
    pub file: bytes::Bytes,
}

impl Photo {
    /// A photograph of this size, cut for these tiles.
    pub fn new(size: Size, tile: &TileBounds) -> Result<Self, Failure> {
        let grid = Grid::new(size, tile);
        let sample = image::load_from_memory_with_format(SAMPLE, ImageFormat::Jpeg)?.into_rgb8();
        let mut photo = resize(&sample, size.width, size.height, FilterType::CatmullRom);
        grain(&mut photo);
        let mut file = Cursor::new(Vec::new());
        photo.write_to(&mut file, ImageFormat::Jpeg)?;
        Ok(Self { size, tiles: grid.len(), shape: grid.spec().shape, file: file.into_inner().into() })
    }

    /// What its tiles cost the bare session.
    pub fn bare_seconds(&self, costs: &Costs) -> f64 {
        self.tiles as f64 * costs.get(&self.shape).copied().unwrap_or(f64::NAN)
    }
}

/// All sizes.
pub fn mixed(tile: &TileBounds) -> Result<Vec<Photo>, Failure> {
    SIZES.iter().map(|&(width, height)| Photo::new(Size::new(width, height), tile)).collect()
}

/// Up to 6 levels up or down, a different amount in each sample.
fn grain(photo: &mut RgbImage) {
    let mut state = 1_u32;
    for sample in photo.as_mut().iter_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = i16::try_from((state >> 24) % 13).unwrap_or(0) - 6;
        *sample = (i16::from(*sample) + noise).clamp(0, 255) as u8;
    }
}
