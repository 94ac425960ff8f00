//! A CMYK profile, and the transform from its CMYK to sRGB.
//!
//! The profile is used and then left: the result is RGB, for which it does not hold.
//!
//! Without one each ink takes away its own light and black takes away all: what PDF calls DeviceCMYK (ISO 32000,
//! 10.3.5), in the product form that Pillow, browsers and libvips use.

use std::fmt;
use std::sync::Arc;

use moxcms::{
    ColorProfile, DataColorSpace, Layout, ProfileClass, RenderingIntent, TransformExecutor, TransformOptions,
};

use super::profile::{MAX_BYTES, Unfit};

/// Memory of the table that the library makes: 17 steps for each ink, three floats each.
const TABLE_BYTES: u64 = 17 * 17 * 17 * 17 * 3 * 4;

/// A CMYK profile that is used.
#[derive(Clone)]
pub struct CmykTransform {
    file: Arc<[u8]>,
    transform: Arc<dyn TransformExecutor<u8> + Send + Sync>,
}

impl CmykTransform {
    /// Reads and judges a profile.
    pub fn judge(file: &[u8]) -> Result<Self, Unfit> {
        if file.len() > MAX_BYTES {
            return Err(Unfit::Broken);
        }
        let profile = ColorProfile::new_from_slice(file).map_err(|_| Unfit::Broken)?;
        // Links between devices, effects and named colors describe no image.
        let describes =
            !matches!(profile.profile_class, ProfileClass::DeviceLink | ProfileClass::Abstract | ProfileClass::Named);
        if profile.color_space != DataColorSpace::Cmyk || !describes {
            return Err(Unfit::Mismatch);
        }
        // As for other profiles by tables (`super::tables`).
        let intents = [RenderingIntent::RelativeColorimetric, RenderingIntent::Perceptual];
        let transform = intents.into_iter().find_map(|rendering_intent| {
            let options = TransformOptions { rendering_intent, ..TransformOptions::default() };
            profile.create_transform_8bit(Layout::Rgba, &ColorProfile::new_srgb(), Layout::Rgb, options).ok()
        });
        Ok(Self { file: file.into(), transform: transform.ok_or(Unfit::Broken)? })
    }

    /// CMYK pixels, 255 for full ink, to sRGB.
    pub fn to_rgb(&self, cmyk: &[u8]) -> Vec<u8> {
        let mut rgb = vec![0; cmyk.len() / 4 * 3];
        // It refuses slices of unlike or odd lengths, and these are neither.
        let done = self.transform.transform(&cmyk[..cmyk.len() / 4 * 4], &mut rgb);
        debug_assert!(done.is_ok(), "{done:?}");
        rgb
    }

    /// Memory that it takes.
    pub fn held_bytes(&self) -> u64 {
        self.file.len() as u64 + TABLE_BYTES
    }
}

impl fmt::Debug for CmykTransform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CmykTransform({} bytes)", self.file.len())
    }
}

impl PartialEq for CmykTransform {
    /// The bytes have the rest.
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file
    }
}

impl Eq for CmykTransform {}

/// CMYK pixels, from 0, none, to 255, all of it.
pub fn to_rgb(cmyk: &[u8], cmyk_transform: Option<&CmykTransform>) -> Vec<u8> {
    match cmyk_transform {
        Some(cmyk_transform) => cmyk_transform.to_rgb(cmyk),
        None => cmyk.as_chunks::<4>().0.iter().copied().flat_map(naive).collect(),
    }
}

const fn naive([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let paper = 255 - black as u32;
    [shine(cyan, paper), shine(magenta, paper), shine(yellow, paper)]
}

/// The light that one ink leaves, times what black leaves, rounded.
const fn shine(ink: u8, paper: u32) -> u8 {
    (((255 - ink as u32) * paper + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inks_take_light_away() {
        for (cmyk, rgb) in [
            ([0, 0, 0, 0], [255, 255, 255]),
            ([255, 0, 0, 0], [0, 255, 255]),
            ([0, 255, 0, 0], [255, 0, 255]),
            ([0, 0, 255, 0], [255, 255, 0]),
            ([0, 0, 0, 255], [0, 0, 0]),
            ([255, 255, 255, 255], [0, 0, 0]),
            ([0, 128, 255, 51], [204, 102, 0]),
        ] {
            assert_eq!(to_rgb(&cmyk, None), rgb, "{cmyk:?}");
        }
    }
}
