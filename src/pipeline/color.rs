//! The ways of colors through the walk: from the image's own numbers to sRGB, in which networks see, and on to the
//! numbers of the answer.
//!
//! A tile is converted as it is cut and rows as they are finished, so no second image is held. Networks were trained
//! on levels of 0 to 255 and answer beyond them as they please; but many colors of a wide gamut lie there. So a
//! network is shown the nearest color that sRGB has, and what that took off is upscaled by bicubic, as alpha is, and
//! added to its answer: all colors come back, and inside of the gamut the network alone decides.

use std::sync::Arc;

use images::color::{Shaper, ToSrgb};
use images::raster::Raster;
use images::resample::bicubic::{Kernel, RADIUS};
use tiling::{Band, extract};

/// How colors go.
#[derive(Clone, Debug, Default)]
pub(super) enum ColorTransform {
    /// As they are.
    #[default]
    Straight,
    /// To sRGB and back.
    RoundTrip(Arc<Shaper>),
    /// To sRGB.
    ToSrgb(Arc<Shaper>),
    /// As they are through the network, then to sRGB.
    Tables(ToSrgb),
}

impl ColorTransform {
    fn shaper(&self) -> Option<&Shaper> {
        match self {
            Self::RoundTrip(shaper) | Self::ToSrgb(shaper) => Some(shaper),
            Self::Straight | Self::Tables(_) => None,
        }
    }

    /// Levels of the image, three planes that are equal for gray, to those that a network is shown.
    pub(super) fn to_model(&self, planes: &mut [f32], gray: bool) {
        let Some(shaper) = self.shaper() else { return };
        if gray {
            let (first, others) = planes.split_at_mut(planes.len() / 3);
            shaper.to_srgb(first);
            others.chunks_exact_mut(first.len()).for_each(|plane| plane.copy_from_slice(first));
        } else {
            shaper.to_srgb(planes);
        }
        for level in planes {
            *level = level.clamp(0.0, 255.0);
        }
    }

    /// Adds to rows that a network upscaled what [`ColorTransform::to_model`] took off; but first takes off what the network overshot, as
    /// it is of an image in sRGB.
    pub(super) fn add_out_of_gamut(&self, image: &Raster, kernel: &Kernel, band: &mut Band) {
        // Gray is between black and white in every profile.
        let Some(shaper) = self.shaper().filter(|_| image.channels().colors() == 3) else { return };
        for level in &mut band.planes {
            *level = level.clamp(0.0, 255.0);
        }
        let size = image.size();
        let rows = band.y..band.y + band.rows;
        let needed = kernel.depends_on(&rows, size.height);
        let mut beyond = extract::rows(image, needed.clone());
        shaper.to_srgb(&mut beyond);
        for level in &mut beyond {
            *level -= level.clamp(0.0, 255.0);
        }
        let (width, plane) = (size.width as usize, beyond.len() / 3);
        let mut upscaled = vec![0.0; band.planes.len() / 3];
        for (beyond, levels) in beyond.chunks_exact(plane).zip(band.planes.chunks_exact_mut(upscaled.len())) {
            if beyond.iter().any(|level| *level != 0.0) {
                let row = |y: u32| &beyond[(y - needed.start) as usize * width..][..width];
                kernel.upscale(size, row, rows.clone(), &mut upscaled);
                levels.iter_mut().zip(&upscaled).for_each(|(level, beyond)| *level += beyond);
            }
        }
    }

    /// Levels as the network gave them, three planes or one of gray, to those of the answer.
    pub(super) fn to_output(&self, planes: &mut [f32]) {
        match self {
            Self::Straight | Self::ToSrgb(_) => {}
            Self::RoundTrip(shaper) => shaper.from_srgb(planes),
            Self::Tables(tables) => tables.convert(planes),
        }
    }

    /// Bytes that [`ColorTransform::add_out_of_gamut`] and [`ColorTransform::to_output`] hold at most beside a band of `band` bytes, upscaled from rows of
    /// `width`: the rows that it depends on, and two copies of the band.
    pub(super) fn held_bytes(&self, width: u32, band: u64) -> u64 {
        let margin = 3 * u64::from(width) * u64::from(2 * RADIUS + 2) * size_of::<f32>() as u64;
        if matches!(self, Self::Straight) { 0 } else { margin + 3 * band }
    }
}
