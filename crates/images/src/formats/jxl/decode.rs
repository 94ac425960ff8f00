//! JPEG XL to samples.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use jxl_oxide::{AllocTracker, FrameBufferSample, JxlImage, Render};

use super::is_premultiplied;
use crate::formats::frames::check_layers;
use crate::formats::{FullRange, damaged, sample_count, unpremultiply};
use crate::raster::{Depth, Samples};
use crate::units::Size;
use crate::{CodecError, Interrupt, Probe};

/// Bytes that the decoder is given at once.
const SLICE: usize = 4096;

/// `stream` is the codestream after the header, which the decoder has already.
pub fn decode(
    mut image: JxlImage,
    stream: &[u8],
    memory: &AllocTracker,
    probe: &Probe,
    interrupt: &Interrupt,
) -> Result<Samples, CodecError> {
    let broken = |error: &dyn std::fmt::Display| {
        tracing::debug!(%error, "jpeg xl does not decode");
        damaged("JPEG XL")
    };
    let stored = probe.size;
    // In slices, so that layers are counted as they come: a frame may be of ten bytes.
    for slice in stream.chunks(SLICE) {
        interrupt.check()?;
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
    let render = render(&image, memory, interrupt).map_err(|error| broken(&error))?;
    let (pixels, premultiplied) = (render.stream(), is_premultiplied(&image));
    Ok(match probe.depth {
        Depth::Eight => Samples::U8(gather(pixels, probe, stored, premultiplied, interrupt)?),
        Depth::Sixteen => Samples::U16(gather(pixels, probe, stored, premultiplied, interrupt)?),
    })
}

/// The decoder asks nobody whether to go on, but for memory, group by group. So when its request ends, a second thread
/// takes away what it may still have.
fn render(image: &JxlImage, memory: &AllocTracker, interrupt: &Interrupt) -> jxl_oxide::Result<Render> {
    const POLL: Duration = Duration::from_millis(10);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = || {
            while !done.load(Ordering::Acquire) {
                if interrupt.is_set() {
                    take_all(memory);
                    // What it gives back in the meantime, it may not have again.
                    thread::sleep(POLL / 100);
                } else {
                    thread::park_timeout(POLL);
                }
            }
        };
        // Without it the render runs to its end: no reason to fail a request.
        let watcher = thread::Builder::new().name("decode-watch".into()).spawn_scoped(scope, watch).ok();
        let rendered = image.render_frame(0);
        done.store(true, Ordering::Release);
        if let Some(watcher) = watcher {
            watcher.thread().unpark();
        }
        rendered
    })
}

/// Leaves nothing of a limit. It can be asked only for a part, so by halves of what was asked for.
fn take_all(memory: &AllocTracker) {
    let mut part = 1_usize << 40;
    while part > 0 {
        if memory.shrink_limit(part).is_err() {
            part /= 2;
        }
    }
}

fn gather<T: FrameBufferSample + FullRange>(
    mut pixels: jxl_oxide::ImageStream,
    probe: &Probe,
    stored: Size,
    premultiplied: bool,
    interrupt: &Interrupt,
) -> Result<Vec<T>, CodecError> {
    let channels = probe.channels.count();
    if (pixels.width(), pixels.height(), pixels.channels()) != (stored.width, stored.height, channels as u32) {
        return Err(damaged("JPEG XL"));
    }
    let mut samples = vec![T::default(); sample_count(stored, probe)];
    for row in samples.chunks_mut((stored.width as usize * channels).max(1)) {
        interrupt.check()?;
        if pixels.write_to_buffer(row) != row.len() {
            return Err(damaged("JPEG XL"));
        }
        if premultiplied && probe.channels.has_alpha() {
            unpremultiply(row, channels);
        }
    }
    Ok(samples)
}
