//! The four inks of a JPEG from how its maker stored them.
//!
//! Photoshop stores inks turned around, 0 for all of it, and everybody followed who writes Adobe's `APP14` segment.
//! Without it viewers disagree, and the file is refused. YCCK is luma and chroma of the first three and black as it is.

use crate::formats::jpeg::color::CmykCoding;

/// Four stored components a pixel become amounts of ink, 255 for all of one, in place.
pub fn amounts(stored: &mut [u8], coding: CmykCoding) {
    stored.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| *pixel = of(*pixel, coding));
}

fn of(stored: [u8; 4], coding: CmykCoding) -> [u8; 4] {
    match coding {
        CmykCoding::Inverted => stored.map(|ink| 255 - ink),
        CmykCoding::Ycck => {
            let [luma, blue, red, black] = stored;
            // Red, green and blue are what is left of 255 by the inverted inks: the inks themselves.
            let [cyan, magenta, yellow] = to_rgb([luma, blue, red]);
            [cyan, magenta, yellow, 255 - black]
        }
    }
}

/// Red, green and blue of one pixel in `YCbCr` (T.871, section 7).
pub fn to_rgb([luma, blue, red]: [u8; 3]) -> [u8; 3] {
    let (luma, blue, red) = (f32::from(luma), f32::from(blue) - 128.0, f32::from(red) - 128.0);
    let level = |v: f32| (v + 0.5).clamp(0.0, 255.0) as u8;
    [level(luma + 1.402 * red), level(luma - 0.344_136 * blue - 0.714_136 * red), level(luma + 1.772 * blue)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inks_by_their_coding() {
        assert_eq!(of([1, 2, 3, 4], CmykCoding::Inverted), [254, 253, 252, 251]);
        assert_eq!(of([100, 128, 128, 55], CmykCoding::Ycck), [100, 100, 100, 200]);
        // Pure red as JFIF has it: so much cyan.
        assert_eq!(of([76, 85, 255, 255], CmykCoding::Ycck), [254, 0, 0, 0]);
    }
}
