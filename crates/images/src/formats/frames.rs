//! Files of several images: which of them is meant. None is chosen unasked, since the wrong one would be upscaled
//! without a word.

use super::{Probe, damaged};
use crate::limits::{STREAM_PIXELS, check_work};
use crate::raster::Channels;
use crate::units::Size;
use crate::{CodecError, Interrupt};

/// One of the images of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frames {
    /// The one that is meant, from 0.
    pub chosen: u32,
    /// How many there are, as far as the file is there.
    pub count: u64,
}

impl Frames {
    /// The frame that was asked for, or the only one. `what` is what this format calls them.
    pub fn choose(format: &str, what: &str, count: u64, asked: Option<u32>) -> Result<Self, CodecError> {
        let last = count.saturating_sub(1);
        match asked {
            None if count > 1 => {
                let animated = if what == "frame" { " is animated: it" } else { "" };
                Err(CodecError::Unsupported(format!(
                    "the {format}{animated} has {count} {what}s; ask for one of them with frame=0 to frame={last}"
                )))
            }
            Some(asked) if u64::from(asked) > last => Err(CodecError::NoFrame(format!(
                "frame is '{asked}', but the {format} has {count} {what}{}; ask for {}",
                if count == 1 { "" } else { "s" },
                if last == 0 { "frame=0".into() } else { format!("one from 0 to {last}") },
            ))),
            asked => Ok(Self { chosen: asked.unwrap_or(0), count }),
        }
    }
}

/// The frame that is meant, as a viewer shows it. The library draws the whole canvas anew for each.
pub fn composed(
    format: &str,
    frames: image::Frames<'_>,
    probe: &Probe,
    interrupt: &Interrupt,
) -> Result<Vec<u8>, CodecError> {
    for (number, frame) in (0..=probe.frame).zip(frames) {
        interrupt.check()?;
        let frame = frame.map_err(|error| {
            tracing::debug!(%error, number, "a frame does not decode");
            damaged(format)
        })?;
        if number == probe.frame {
            let samples = frame.into_buffer().into_raw();
            let pixels = samples.as_chunks::<4>().0.iter();
            return Ok(match probe.channels {
                Channels::Gray => pixels.map(|[v, ..]| *v).collect(),
                Channels::GrayAlpha => pixels.flat_map(|[v, _, _, a]| [*v, *a]).collect(),
                Channels::Rgb => pixels.flat_map(|[r, g, b, _]| [*r, *g, *b]).collect(),
                Channels::Rgba => samples,
            });
        }
    }
    Err(damaged(format))
}

/// What is known of a frame before it is decoded.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    pub size: Size,
    /// Whether it covers the canvas and nothing shows through it.
    pub covers: bool,
    /// Whether it stays where it was drawn, and makes no hole.
    pub stays: bool,
}

/// Whether nothing shows through the last of these frames: it covers the canvas, or the first does and all stay.
pub fn is_opaque(layers: &[Layer]) -> bool {
    let Some((shown, below)) = layers.split_last() else { return false };
    shown.covers || below.first().is_some_and(|first| first.covers) && below.iter().all(|layer| layer.stays)
}

/// How a frame meets what is below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blend {
    /// It takes the place of what was there, transparency and all.
    Replace,
    /// It is laid over.
    Over,
}

/// What becomes of a frame's area once it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposal {
    /// It stays.
    Keep,
    /// It becomes transparent.
    Clear,
    /// What was there before comes back.
    Restore,
}

/// Where a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    pub x: u32,
    pub y: u32,
    pub size: Size,
}

/// One frame of an animation, without its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    pub area: Area,
    /// Whether it has transparent pixels, by its declared type.
    pub transparent: bool,
    pub blend: Blend,
    pub disposal: Disposal,
}

impl Drawn {
    fn covers(&self, canvas: Size) -> bool {
        let Area { x, y, size } = self.area;
        !self.transparent && (x, y) == (0, 0) && size.width >= canvas.width && size.height >= canvas.height
    }
}

/// Whether nothing shows through the last of these frames, told from their declared types: something that covers the
/// canvas was drawn, and nothing made a hole in it since.
pub fn is_opaque_by_blend(canvas: Size, frames: &[Drawn]) -> bool {
    let Some((shown, before)) = frames.split_last() else { return false };
    let mut opaque = false;
    for frame in before {
        let holes = frame.transparent && frame.blend == Blend::Replace;
        opaque = match frame.disposal {
            Disposal::Keep => frame.covers(canvas) || (opaque && !holes),
            Disposal::Clear => false,
            Disposal::Restore => opaque,
        };
    }
    shown.covers(canvas) || (opaque && !(shown.transparent && shown.blend == Blend::Replace))
}

/// Pixels that are passed over to draw the last of these frames over those before it; of those that give up their
/// area again, twice.
pub fn work_of(canvas: Size, frames: &[Drawn]) -> Result<u64, CodecError> {
    // Such a frame would be decoded in full to be cut, and might be of any size.
    let too_large = |size: Size| size.width > canvas.width || size.height > canvas.height;
    if frames.iter().any(|frame| too_large(frame.area.size)) {
        return Err(CodecError::Damaged(
            "the animation has a frame larger than its canvas; send the file again".into(),
        ));
    }
    let of_frame = |frame: &Drawn| {
        let passes = if frame.disposal == Disposal::Keep { 1 } else { 2 };
        passes * frame.area.size.pixels() + STREAM_PIXELS
    };
    Ok(frames.iter().map(of_frame).fold(canvas.pixels(), u64::saturating_add))
}

/// Layers of one image at most. The decoder of JPEG XL goes into them one within the other, on the stack.
const MAX_LAYERS: u64 = 16;

/// Refuses an image of too many layers of full size.
pub fn check_layers(size: Size, layers: u64) -> Result<(), CodecError> {
    if layers > MAX_LAYERS {
        return Err(CodecError::Unsupported(format!(
            "the image has more than {MAX_LAYERS} layers; send it in one layer, as a PNG"
        )));
    }
    check_work(size.pixels().saturating_mul(layers), size)
}

/// Frames of one animation at most: each is noted before anything is admitted, and a small file can hold millions.
pub const MAX_FRAMES: usize = 65_535;

/// Refuses one more frame than [`MAX_FRAMES`], where `noted` are there already.
pub fn check_count(noted: usize) -> Result<(), CodecError> {
    if noted < MAX_FRAMES {
        return Ok(());
    }
    Err(CodecError::Unsupported(format!(
        "the animation has more than {MAX_FRAMES} frames; send the one that is meant as a still image"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(result: Result<Frames, CodecError>) -> String {
        result.expect_err("no frame").to_string()
    }

    #[test]
    fn one_is_taken_unasked_and_more_are_not() {
        let only = Ok(Frames { chosen: 0, count: 1 });
        assert_eq!(Frames::choose("GIF", "frame", 1, None), only);
        assert_eq!(Frames::choose("GIF", "frame", 1, Some(0)), only);
        assert_eq!(Frames::choose("GIF", "frame", 3, Some(2)), Ok(Frames { chosen: 2, count: 3 }));
        let refused = text(Frames::choose("GIF", "frame", 3, None));
        assert_eq!(refused, "the GIF is animated: it has 3 frames; ask for one of them with frame=0 to frame=2");
        let refused = text(Frames::choose("TIFF", "page", 2, None));
        assert_eq!(refused, "the TIFF has 2 pages; ask for one of them with frame=0 to frame=1");
    }

    #[test]
    fn one_that_is_not_there_is_told_with_the_count() {
        let refused = text(Frames::choose("GIF", "frame", 3, Some(3)));
        assert_eq!(refused, "frame is '3', but the GIF has 3 frames; ask for one from 0 to 2");
        let refused = text(Frames::choose("PNG", "frame", 1, Some(1)));
        assert_eq!(refused, "frame is '1', but the PNG has 1 frame; ask for frame=0");
    }

    const CANVAS: Size = Size::new(1 << 15, 1 << 15);

    fn whole(transparent: bool, blend: Blend, disposal: Disposal) -> Drawn {
        Drawn { area: Area { x: 0, y: 0, size: CANVAS }, transparent, blend, disposal }
    }

    fn part(transparent: bool, blend: Blend, disposal: Disposal) -> Drawn {
        Drawn { area: Area { x: 1, y: 0, size: Size::new(1, 1) }, ..whole(transparent, blend, disposal) }
    }

    #[test]
    fn work_is_what_is_drawn_and_taken_back() {
        let kept = whole(false, Blend::Over, Disposal::Keep);
        let one = CANVAS.pixels();
        assert_eq!(work_of(CANVAS, &[kept]), Ok(2 * one + STREAM_PIXELS));
        for disposal in [Disposal::Clear, Disposal::Restore] {
            let frames = [whole(false, Blend::Over, disposal), part(false, Blend::Over, disposal)];
            assert_eq!(work_of(CANVAS, &frames), Ok(one + 2 * (one + 1 + STREAM_PIXELS)));
        }
        let narrower = Size::new(CANVAS.width - 1, CANVAS.height);
        assert!(matches!(work_of(narrower, &[kept]), Err(CodecError::Damaged(_))));
    }

    #[test]
    fn layers_and_frames_have_two_sides() {
        let dot = Size::new(1, 1);
        assert_eq!(check_layers(dot, MAX_LAYERS), Ok(()));
        assert!(matches!(check_layers(dot, MAX_LAYERS + 1), Err(CodecError::Unsupported(_))));
        assert_eq!(check_count(MAX_FRAMES - 1), Ok(()));
        assert!(matches!(check_count(MAX_FRAMES), Err(CodecError::Unsupported(_))));
    }

    #[test]
    fn holes_are_told_from_what_is_declared() {
        use Blend::{Over, Replace};
        use Disposal::{Clear, Keep, Restore};
        let opaque = |frames: &[Drawn]| is_opaque_by_blend(CANVAS, frames);
        let ground = whole(false, Over, Keep);
        assert!(opaque(&[ground]));
        assert!(!opaque(&[part(false, Over, Keep)]), "the canvas is not covered");
        assert!(!opaque(&[whole(true, Over, Keep)]));
        assert!(opaque(&[ground, part(true, Over, Keep)]));
        assert!(!opaque(&[ground, part(true, Replace, Keep)]));
        assert!(opaque(&[ground, part(true, Replace, Restore), part(false, Over, Keep)]));
        assert!(!opaque(&[ground, part(false, Over, Clear), part(false, Over, Keep)]));
        assert!(!opaque(&[whole(false, Over, Restore), part(false, Over, Keep)]));
        assert!(opaque(&[part(false, Over, Clear), ground]));
    }
}
