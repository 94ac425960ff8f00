//! Files of several images: which of them is meant. None is chosen unasked, since the wrong one would be upscaled
//! without a word.

use super::{Probe, damaged};
use crate::limits::check_work;
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
            return Ok(in_channels(frame.into_buffer().into_raw(), probe.channels));
        }
    }
    Err(damaged(format))
}

/// Pixels in red, green, blue and alpha in the channels that hold the same.
pub fn in_channels(rgba: Vec<u8>, channels: Channels) -> Vec<u8> {
    let pixels = rgba.as_chunks::<4>().0.iter();
    match channels {
        Channels::Gray => pixels.map(|[v, ..]| *v).collect(),
        Channels::GrayAlpha => pixels.flat_map(|[v, _, _, a]| [*v, *a]).collect(),
        Channels::Rgb => pixels.flat_map(|[r, g, b, _]| [*r, *g, *b]).collect(),
        Channels::Rgba => rgba,
    }
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
    fn one_that_is_not_there_is_reported_with_the_count() {
        let refused = text(Frames::choose("GIF", "frame", 3, Some(3)));
        assert_eq!(refused, "frame is '3', but the GIF has 3 frames; ask for one from 0 to 2");
        let refused = text(Frames::choose("PNG", "frame", 1, Some(1)));
        assert_eq!(refused, "frame is '1', but the PNG has 1 frame; ask for frame=0");
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
    fn holes_are_reported_from_what_is_declared() {
        let layer = |covers, stays| Layer { size: Size::new(1, 1), covers, stays };
        let (ground, part) = (layer(true, true), layer(false, true));
        for (layers, opaque) in [
            (&[ground][..], true),
            (&[part], false),
            (&[ground, part], true),
            (&[part, ground], true),
            (&[part, part], false),
            (&[layer(true, false), part], false),
            (&[ground, layer(false, false), part], false),
            (&[ground, layer(false, false)], true),
            (&[], false),
        ] {
            assert_eq!(is_opaque(layers), opaque, "{layers:?}");
        }
    }
}
