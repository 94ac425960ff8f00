//! What is refused by header arithmetic, before a pixel is decoded.

use crate::CodecError;
use crate::units::Size;

/// The longest side of an upload, whatever its format: what JPEG can hold. It bounds the row buffers of decoders, which
/// a limit on pixels alone does not.
pub const INPUT_SIDE: u32 = 65_535;

/// Pixels that a decoder may pass over to make one image, or [`WORK_RATIO`] times the image's own where that is more: the
/// frames of an animation, the scans of a JPEG, the padding of tiles, the tables that each strip reads anew. About two
/// seconds: lossless WebP, the slowest, took 7.4 ns a pixel (63 frames of 4096x4096 in 7.8 s).
pub const WORK_PIXELS: u64 = 1 << 28;

/// Encoders of progressive JPEGs write some ten scans, each a pass over the image; this leaves room for three times as many.
pub const WORK_RATIO: u64 = 32;

/// What it is taken to cost to begin a compressed stream, in pixels: 15 µs to allocate and clear a decoder's tables.
pub const STREAM_PIXELS: u64 = 2048;

/// What a byte of a JPEG's tables costs, in pixels: 2.1 MB of them took 78 ms, 37 ns a byte.
pub const TABLE_BYTE_PIXELS: u64 = 5;

/// Refuses a decode that passes over so many pixels for an image of this size.
pub fn check_work(pixels: u64, size: Size) -> Result<(), CodecError> {
    let limit = WORK_PIXELS.max(WORK_RATIO.saturating_mul(size.pixels()));
    if pixels <= limit {
        return Ok(());
    }
    Err(CodecError::TooLarge {
        name: "decode_pixels",
        what: "number of pixels to decode, with those beneath and around what is shown,",
        limit,
        actual: pixels,
        remedy: "ask for an earlier frame, or send what is shown as a plain PNG",
    })
}

/// Bounds on what may be uploaded and asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputLimits {
    /// Decoded pixels of an upload at most.
    pub input_pixels: u64,
    /// Pixels of an answer at most.
    pub output_pixels: u64,
}

impl InputLimits {
    /// Refuses an upload of this size if it has more pixels than is allowed, or a longer side.
    pub fn check_input(&self, size: Size) -> Result<(), CodecError> {
        if size.pixels() > self.input_pixels {
            return Err(CodecError::TooLarge {
                name: "input_pixels",
                what: "number of pixels",
                limit: self.input_pixels,
                actual: size.pixels(),
                remedy: "send a smaller image, or cut it into parts",
            });
        }
        check_side(size)
    }
}

/// Refuses an upload with a side that is longer than [`INPUT_SIDE`].
pub fn check_side(size: Size) -> Result<(), CodecError> {
    let side = size.width.max(size.height);
    if side > INPUT_SIDE {
        return Err(CodecError::TooLarge {
            name: "input_side",
            what: "longest side",
            limit: u64::from(INPUT_SIDE),
            actual: u64::from(side),
            remedy: "cut it into parts",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: InputLimits = InputLimits { input_pixels: 100_000, output_pixels: 1 };

    fn limit_of(size: Size) -> Option<&'static str> {
        match LIMITS.check_input(size) {
            Ok(()) => None,
            Err(CodecError::TooLarge { name, .. }) => Some(name),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn pixels_have_two_sides() {
        assert_eq!(limit_of(Size::new(1000, 100)), None);
        assert_eq!(limit_of(Size::new(100_001, 1)), Some("input_pixels"));
        assert_eq!(limit_of(Size::new(u32::MAX, u32::MAX)), Some("input_pixels"));
    }

    #[test]
    fn work_has_two_sides_in_small_images_and_in_large_ones() {
        let small = Size::new(1, 1);
        assert_eq!(check_work(WORK_PIXELS, small), Ok(()));
        let error = check_work(WORK_PIXELS + 1, small).expect_err("too much");
        assert!(matches!(&error, CodecError::TooLarge { name: "decode_pixels", .. }), "{error}");
        let large = Size::new(4096, 4096);
        assert_eq!(check_work(WORK_RATIO * large.pixels(), large), Ok(()));
        assert!(check_work(WORK_RATIO * large.pixels() + 1, large).is_err());
    }

    #[test]
    fn a_side_has_two_sides() {
        assert_eq!(limit_of(Size::new(1, 65_535)), None);
        assert_eq!(limit_of(Size::new(65_536, 1)), Some("input_side"));
    }
}
