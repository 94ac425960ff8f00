//! Four inks to red, green and blue: by the profile that says how these inks look, else by rule.
//!
//! By rule each ink takes away its own light and black takes away all: what PDF calls DeviceCMYK (ISO 32000, 10.3.5), in the
//! product form that Pillow, browsers and libvips use. True colors depend on press and paper, which only a profile
//! knows.

use crate::color::CmykTransform;

/// Four inks a pixel, from 0, none, to 255, all of it.
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
