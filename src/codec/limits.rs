//! What is refused by header arithmetic, before a pixel is decoded.

use crate::codec::CodecError;
use crate::units::Size;

/// The longest side of an upload, whatever its format: what JPEG can say. It bounds the row buffers of decoders, which
/// a limit on pixels alone does not.
pub const INPUT_SIDE: u32 = 65_535;

/// Pixels of all the frames that an animation's frame is drawn over, its own included: about ten seconds of decoding.
pub const ANIMATION_PIXELS: u64 = 1 << 30;

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
    fn a_side_has_two_sides() {
        assert_eq!(limit_of(Size::new(1, 65_535)), None);
        assert_eq!(limit_of(Size::new(65_536, 1)), Some("input_side"));
    }
}
