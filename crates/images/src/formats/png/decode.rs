//! PNG to samples: palette, low depths and `tRNS` expanded, 16 bits kept; of an animation, the frame asked for.

use png::{BitDepth, ColorType, DecodeOptions, Decoder, Transformations};

use crate::formats::canvas::{Canvas, Level, with_alpha};
use crate::formats::damaged;
use crate::formats::frames::Drawn;
use crate::formats::png::apng::Animation;
use crate::formats::png::{Essential, is_animated};
use crate::raster::{Channels, Depth, Samples};
use crate::units::Size;
use crate::{CodecError, Interrupt, Probe};

pub fn decode(bytes: &[u8], stored: Size, probe: &Probe, interrupt: &Interrupt) -> Result<Samples, CodecError> {
    if !is_animated(bytes) {
        return still(bytes, stored, probe.channels, probe.depth, interrupt);
    }
    let animation = Animation::read(bytes)?;
    animation.check_whole()?;
    let drawn = animation.up_to(probe.frame)?;
    if animation.canvas != stored {
        return Err(damaged("PNG"));
    }
    Ok(match (probe.channels.colors(), probe.depth) {
        (1, Depth::Eight) => Samples::U8(shown::<u8, 2>(&animation, &drawn, probe, eight, interrupt)?),
        (1, Depth::Sixteen) => Samples::U16(shown::<u16, 2>(&animation, &drawn, probe, sixteen, interrupt)?),
        (_, Depth::Eight) => Samples::U8(shown::<u8, 4>(&animation, &drawn, probe, eight, interrupt)?),
        (_, Depth::Sixteen) => Samples::U16(shown::<u16, 4>(&animation, &drawn, probe, sixteen, interrupt)?),
    })
}

fn eight(samples: Samples) -> Option<Vec<u8>> {
    if let Samples::U8(v) = samples { Some(v) } else { None }
}

fn sixteen(samples: Samples) -> Option<Vec<u16>> {
    if let Samples::U16(v) = samples { Some(v) } else { None }
}

/// The frames, each decoded as a still image and drawn over those before it.
fn shown<T: Level, const C: usize>(
    animation: &Animation,
    drawn: &[Drawn],
    probe: &Probe,
    of_depth: impl Fn(Samples) -> Option<Vec<T>>,
    interrupt: &Interrupt,
) -> Result<Vec<T>, CodecError> {
    let mut canvas = Canvas::<T, C>::new(animation.canvas);
    for (number, frame) in (0..).zip(drawn) {
        let file = animation.still(number)?;
        let samples = still(&file, frame.area.size, animation.channels, probe.depth, interrupt)?;
        let samples = of_depth(samples).ok_or_else(|| damaged("PNG"))?;
        canvas.draw(frame, &with_alpha(&samples, animation.channels.has_alpha()));
        if number < probe.frame {
            canvas.dispose(frame);
        }
    }
    Ok(canvas.into_samples(probe.channels))
}

fn still(
    bytes: &[u8],
    size: Size,
    channels: Channels,
    depth: Depth,
    interrupt: &Interrupt,
) -> Result<Samples, CodecError> {
    let essential = Essential::new(bytes, interrupt)?;
    let broken = |error: png::DecodingError| {
        tracing::debug!(%error, "png does not decode");
        damaged("PNG")
    };
    let mut decoder = Decoder::new_with_options(essential, options());
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(broken)?;
    let expected = (size.width, size.height, color(channels), bits(depth));
    let (color, bits) = reader.output_color_type();
    let (width, height) = reader.info().size();
    if (width, height, color, bits) != expected {
        return Err(damaged("PNG"));
    }
    let count = size.pixels() as usize * channels.count();
    let samples = match depth {
        Depth::Eight => {
            let mut samples = vec![0_u8; count];
            reader.next_frame(&mut samples).map_err(broken)?;
            Samples::U8(samples)
        }
        Depth::Sixteen => {
            let mut samples = vec![0_u16; count];
            reader.next_frame(bytemuck::cast_slice_mut(&mut samples)).map_err(broken)?;
            for sample in &mut samples {
                *sample = u16::from_be(*sample);
            }
            Samples::U16(samples)
        }
    };
    // To the end: a file cut off within its last chunks is cut off.
    reader.finish().map_err(broken)?;
    Ok(samples)
}

/// All checksums count. `tRNS` is the one ancillary chunk that gets here, and pixels depend on it.
fn options() -> DecodeOptions {
    let mut options = DecodeOptions::default();
    options.set_ignore_checksums(false);
    options.set_skip_ancillary_crc_failures(false);
    options
}

const fn color(channels: Channels) -> ColorType {
    match channels {
        Channels::Gray => ColorType::Grayscale,
        Channels::GrayAlpha => ColorType::GrayscaleAlpha,
        Channels::Rgb => ColorType::Rgb,
        Channels::Rgba => ColorType::Rgba,
    }
}

const fn bits(depth: Depth) -> BitDepth {
    match depth {
        Depth::Eight => BitDepth::Eight,
        Depth::Sixteen => BitDepth::Sixteen,
    }
}
