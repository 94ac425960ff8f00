//! WebP to samples; of an animation, the frame asked for.

use image_webp::WebPDecoder;

use super::lossless;
use crate::formats::canvas::{Canvas, with_alpha};
use crate::formats::damaged;
use crate::formats::webp::{Image, Streams, image, lossless_tables};
use crate::interrupt::Source;
use crate::raster::Samples;
use crate::units::Size;
use crate::{CodecError, Interrupt, Probe};

pub fn decode(bytes: &[u8], stored: Size, probe: &Probe, interrupt: &Interrupt) -> Result<Samples, CodecError> {
    let frames = match image(bytes, probe.frame)? {
        Image::Still(streams) => {
            return still(&streams, stored, probe.channels.has_alpha(), interrupt).map(Samples::U8);
        }
        Image::Animated(frames) => frames,
    };
    // The color of the background that a file may name is for nobody: browsers leave it out.
    let mut canvas = Canvas::<u8, 4>::new(stored);
    for (number, (frame, streams)) in (0..).zip(&frames) {
        let samples = still(streams, frame.area.size, frame.transparent, interrupt)?;
        canvas.draw(frame, &with_alpha(&samples, frame.transparent));
        if number < probe.frame {
            canvas.dispose(frame);
        }
    }
    Ok(Samples::U8(canvas.into_samples(probe.channels)))
}

fn still(streams: &Streams, size: Size, has_alpha: bool, interrupt: &Interrupt) -> Result<Vec<u8>, CodecError> {
    interrupt.check()?;
    check_tables(streams, size, interrupt)?;
    let file = streams.container(size);
    let broken = |error: image_webp::DecodingError| {
        tracing::debug!(%error, "webp does not decode");
        damaged("WebP")
    };
    let mut decoder = WebPDecoder::new(Source::new(&file, interrupt)).map_err(broken)?;
    if decoder.dimensions() != (size.width, size.height) || decoder.has_alpha() != has_alpha {
        return Err(damaged("WebP"));
    }
    let mut samples = vec![0; size.pixels() as usize * if has_alpha { 4 } else { 3 }];
    decoder.read_image(&mut samples).map_err(broken)?;
    Ok(samples)
}

/// Holds lossless streams, be they the image or its alpha, to what `Probe::working_bytes` has for their tables.
fn check_tables(streams: &Streams, stored: Size, interrupt: &Interrupt) -> Result<(), CodecError> {
    let (stream, bare) = match streams.alpha {
        None if streams.lossless => (streams.image, false),
        // The first byte's low bits tell how the plane is coded; 1 is the lossless way.
        Some([how, plane @ ..]) if how & 3 == 1 => (plane, true),
        _ => return Ok(()),
    };
    let budget = lossless_tables(stored.pixels(), stream.len());
    lossless::check(stream, stored, bare, budget, interrupt).map_err(|why| {
        tracing::debug!(?why, "webp is not decoded");
        damaged("WebP")
    })
}
