//! Profiles by tables: the one way that they have, from the image's numbers to sRGB, for anyone who asks for sRGB.

use std::fmt;
use std::sync::Arc;

use moxcms::{ColorProfile, DataColorSpace, Layout, RenderingIntent, TransformExecutor, TransformOptions};

/// Converts levels of an image to levels of sRGB, 0 to 255.
#[derive(Clone)]
pub struct ToSrgb(Arc<dyn TransformExecutor<f32> + Send + Sync>);

/// `None` where the library knows no way.
pub(super) fn to_srgb(profile: &ColorProfile) -> Option<ToSrgb> {
    if profile.color_space != DataColorSpace::Rgb {
        return None;
    }
    // Profiles need not have tables for every intent; the perceptual ones replace those that are missing.
    [RenderingIntent::RelativeColorimetric, RenderingIntent::Perceptual].into_iter().find_map(|rendering_intent| {
        let options = TransformOptions { rendering_intent, ..TransformOptions::default() };
        profile.create_transform_f32(Layout::Rgb, &ColorProfile::new_srgb(), Layout::Rgb, options).ok().map(ToSrgb)
    })
}

impl ToSrgb {
    /// Three planes of levels, in place.
    pub fn convert(&self, planes: &mut [f32]) {
        let (red, rest) = planes.split_at_mut(planes.len() / 3);
        let (green, blue) = rest.split_at_mut(rest.len() / 2);
        let unit = |level: f32| (level / 255.0).clamp(0.0, 1.0);
        let pixels = red.iter().zip(&*green).zip(&*blue);
        let from: Vec<f32> = pixels.flat_map(|((r, g), b)| [unit(*r), unit(*g), unit(*b)]).collect();
        let mut to = vec![0.0; from.len()];
        // It refuses slices of unlike or odd lengths, and these are neither.
        if self.0.transform(&from, &mut to).is_ok() {
            for (((r, g), b), pixel) in red.iter_mut().zip(green).zip(blue).zip(to.as_chunks::<3>().0) {
                [*r, *g, *b] = pixel.map(|value| value * 255.0);
            }
        }
    }
}

impl fmt::Debug for ToSrgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ToSrgb")
    }
}
