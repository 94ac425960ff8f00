//! JPEG XL to samples.

use jxl_oxide::FrameBufferSample;

use super::{damaged, sample_count, unpremultiply};
use crate::codec::container::frames::check_layers;
use crate::codec::container::jxl;
use crate::codec::{CodecError, Probe};
use crate::raster::{Depth, Samples};
use crate::units::Size;

/// Bytes that the decoder is given at once.
const SLICE: usize = 4096;

pub fn decode(bytes: &[u8], stored: Size, probe: &Probe) -> Result<Samples, CodecError> {
    let broken = |error: &dyn std::fmt::Display| {
        tracing::debug!(%error, "jpeg xl does not decode");
        damaged("JPEG XL")
    };
    let stream = jxl::codestream(bytes);
    let (mut image, head) = jxl::open(&stream, probe.working_bytes)?;
    if (Size::new(image.width(), image.height()), jxl::layout(&image)?) != (stored, (probe.channels, probe.depth)) {
        return Err(damaged("JPEG XL"));
    }
    // In slices, so that layers are counted as they come: a frame may be of ten bytes.
    for slice in stream[head..].chunks(SLICE) {
        let mut rest = slice;
        while !rest.is_empty() && !image.is_loading_done() {
            match image.feed_bytes(rest).map_err(|error| broken(&error))? {
                0 => break,
                taken => rest = &rest[taken..],
            }
        }
        check_layers(stored, image.num_loaded_frames() as u64)?;
    }
    if !image.is_loading_done() || image.num_loaded_keyframes() != 1 {
        return Err(damaged("JPEG XL"));
    }
    let render = image.render_frame(0).map_err(|error| broken(&error))?;
    let (pixels, premultiplied) = (render.stream(), jxl::is_premultiplied(&image));
    Ok(match probe.depth {
        Depth::Eight => Samples::U8(gather(pixels, probe, stored, premultiplied)?),
        Depth::Sixteen => Samples::U16(gather(pixels, probe, stored, premultiplied)?),
    })
}

fn gather<T: FrameBufferSample + super::Sample>(
    mut pixels: jxl_oxide::ImageStream,
    probe: &Probe,
    stored: Size,
    premultiplied: bool,
) -> Result<Vec<T>, CodecError> {
    let channels = probe.channels.count();
    if (pixels.width(), pixels.height(), pixels.channels()) != (stored.width, stored.height, channels as u32) {
        return Err(damaged("JPEG XL"));
    }
    let mut samples = vec![T::default(); sample_count(stored, probe)];
    if pixels.write_to_buffer(&mut samples) != samples.len() {
        return Err(damaged("JPEG XL"));
    }
    if premultiplied && probe.channels.has_alpha() {
        unpremultiply(&mut samples, channels);
    }
    Ok(samples)
}
