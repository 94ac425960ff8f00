//! PNG to samples: palette, low depths and `tRNS` expanded, 16 bits kept.

use png::{BitDepth, ColorType, DecodeOptions, Decoder, Transformations};

use super::{damaged, sample_count};
use crate::codec::container::png::Essential;
use crate::codec::{CodecError, Probe};
use crate::raster::{Channels, Depth, Samples};
use crate::units::Size;

pub fn decode(bytes: &[u8], stored: Size, probe: &Probe) -> Result<Samples, CodecError> {
    let essential = Essential::new(bytes)?;
    let broken = |error: png::DecodingError| {
        tracing::debug!(%error, "png does not decode");
        damaged("PNG")
    };
    let mut decoder = Decoder::new_with_options(essential, options());
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(broken)?;
    let expected = (stored.width, stored.height, colour(probe.channels), bits(probe.depth));
    let (colour, bits) = reader.output_color_type();
    let (width, height) = reader.info().size();
    if (width, height, colour, bits) != expected {
        return Err(damaged("PNG"));
    }
    let count = sample_count(stored, probe);
    let samples = match probe.depth {
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

const fn colour(channels: Channels) -> ColorType {
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
