//! PNG to samples: palette, low depths and `tRNS` expanded, 16 bits kept; of an animation, the frame asked for.

use bytes::Bytes;
use image::AnimationDecoder as _;
use image::codecs::png::PngDecoder;
use png::{BitDepth, ColorType, DecodeOptions, Decoder, Transformations};

use super::Essential;
use super::chunks::Chunks;
use crate::formats::frames::composed;
use crate::formats::{Probe, damaged, sample_count};
use crate::raster::{Channels, Depth, Samples};
use crate::units::Size;
use crate::{CodecError, Interrupt};

/// The frames up to the one asked for, drawn over each other by `image`, which leaves out checksums.
pub fn animated(file: Bytes, probe: &Probe, interrupt: &Interrupt) -> Result<Samples, CodecError> {
    let mut last = None;
    for chunk in Chunks::new(&file) {
        interrupt.check()?;
        if (chunk.is_critical() || matches!(&chunk.kind, b"fcTL" | b"fdAT")) && !chunk.is_intact() {
            return Err(damaged("PNG"));
        }
        last = Some(chunk.kind);
    }
    if last != Some(*b"IEND") {
        return Err(damaged("PNG"));
    }
    let frames = PngDecoder::new(Essential::new(file, true, interrupt)?).and_then(PngDecoder::apng);
    let frames = frames.map_err(|error| {
        tracing::debug!(%error, "an animated png does not begin");
        damaged("PNG")
    })?;
    composed("PNG", frames.into_frames(), probe, interrupt).map(Samples::U8)
}

/// The one image, or the one that represents an animation.
pub fn still(file: Bytes, size: Size, probe: &Probe, interrupt: &Interrupt) -> Result<Samples, CodecError> {
    let (channels, depth) = (probe.channels, probe.depth);
    let essential = Essential::new(file, false, interrupt)?;
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
    let count = sample_count(size, probe);
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
