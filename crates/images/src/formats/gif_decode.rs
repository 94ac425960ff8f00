//! GIF to samples: every frame up to the one asked for, drawn over the canvas.

use gif::{ColorOutput, DecodeOptions, MemoryLimit};

use super::canvas::Canvas;
use super::damaged;
use crate::formats::gif::blocks;
use crate::interrupt::Source;
use crate::raster::Samples;
use crate::units::Size;
use crate::{CodecError, Interrupt, Probe};

pub fn decode(bytes: &[u8], stored: Size, probe: &Probe, interrupt: &Interrupt) -> Result<Samples, CodecError> {
    let told = blocks(bytes)?;
    if !told.whole || told.canvas != stored {
        return Err(damaged("GIF"));
    }
    let broken = |error: gif::DecodingError| {
        tracing::debug!(%error, "gif does not decode");
        damaged("GIF")
    };
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    // Frames are bounded by the probe, before a buffer is made for one.
    options.set_memory_limit(MemoryLimit::Unlimited);
    let mut decoder = options.read_info(Source::new(bytes, interrupt)).map_err(broken)?;
    let mut canvas = Canvas::<u8, 4>::new(stored);
    let (mut numbers, mut pixels) = (Vec::new(), Vec::new());
    let last = probe.frame as usize;
    for (number, told) in told.frames.iter().enumerate().take(last + 1) {
        interrupt.check()?;
        let Some(frame) = decoder.next_frame_info().map_err(broken)? else { return Err(damaged("GIF")) };
        // The decoder walks the blocks for itself.
        let size = Size::new(u32::from(frame.width), u32::from(frame.height));
        if told.area.size != size || told.transparent != frame.transparent.is_some() {
            return Err(damaged("GIF"));
        }
        let transparent = frame.transparent;
        numbers.resize(size.pixels() as usize, 0);
        decoder.read_into_buffer(&mut numbers).map_err(broken)?;
        let palette = decoder.palette().map_err(broken)?.as_chunks::<3>().0;
        pixels.clear();
        pixels.extend(numbers.iter().map(|i| match palette.get(usize::from(*i)) {
            _ if transparent == Some(*i) => [0; 4],
            Some([r, g, b]) => [*r, *g, *b, 255],
            // A number without a color is black, as in browsers.
            None => [0, 0, 0, 255],
        }));
        canvas.draw(told, &pixels);
        if number < last {
            canvas.dispose(told);
        }
    }
    Ok(Samples::U8(canvas.into_samples(probe.channels)))
}
