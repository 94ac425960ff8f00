//! GIF (`GIF89a`), by the decoder of `image`, which draws each frame over those before it.
//!
//! How many frames there are and how large they are it reports only as it decodes them, so they are counted before by `gif`,
//! without unpacking: work and memory are bounded before anything is drawn.

use bytes::Bytes;
use gif::{DecodeOptions, DisposalMethod};
use image::AnimationDecoder as _;
use image::codecs::gif::GifDecoder;

use super::frames::{Frames, Layer, check_count, composed, is_opaque};
use super::{Decode, Header, Probe, damaged};
use crate::interrupt::Source;
use crate::limits::STREAM_PIXELS;
use crate::raster::{Channels, Samples};
use crate::units::Size;
use crate::{CodecError, Interrupt};

fn broken(what: &str) -> CodecError {
    CodecError::Damaged(format!("the GIF {what}; send the file again"))
}

/// Counts the frames. A file that breaks off within its first frame is judged by what is there.
pub fn open(file: Bytes, asked: Option<u32>, interrupt: &Interrupt) -> Result<(Header, Decode), CodecError> {
    let mut options = DecodeOptions::new();
    options.skip_frame_decoding(true);
    // Stray bytes between blocks are passed over by readers.
    options.allow_unknown_blocks(true);
    let mut blocks = options.read_info(Source::new(&file[..], interrupt)).map_err(|error| {
        tracing::debug!(%error, "a gif's header does not hold together");
        broken("has a header that is broken or cut off")
    })?;
    let mut canvas = Size::new(blocks.width().into(), blocks.height().into());
    if canvas.pixels() == 0 {
        return Err(broken("has a side of zero"));
    }
    let mut counted = Vec::new();
    let whole = loop {
        match blocks.next_frame_info() {
            Ok(Some(frame)) => {
                let size = Size::new(frame.width.into(), frame.height.into());
                let at_corner = (frame.left, frame.top) == (0, 0);
                if counted.is_empty() {
                    // As in browsers, the first frame makes room for itself.
                    canvas.width = canvas.width.max(u32::from(frame.left) + size.width);
                    canvas.height = canvas.height.max(u32::from(frame.top) + size.height);
                }
                check_count(counted.len())?;
                counted.push(Layer {
                    size,
                    covers: size == canvas && at_corner && frame.transparent.is_none(),
                    stays: matches!(frame.dispose, DisposalMethod::Any | DisposalMethod::Keep),
                });
            }
            end => break end.is_ok(),
        }
    };
    if counted.is_empty() {
        return Err(broken("has no image in it, or breaks off before it"));
    }
    let frames = Frames::choose("GIF", "frame", counted.len() as u64, asked)?;
    let drawn = &counted[..=frames.chosen as usize];
    // Such a frame would be decoded in full to be cut, and might be of any size.
    if drawn.iter().any(|frame| frame.size.width > canvas.width || frame.size.height > canvas.height) {
        return Err(broken("has a frame larger than its canvas"));
    }
    let largest = drawn.iter().map(|frame| frame.size.pixels()).max().unwrap_or(0);
    let noted = [blocks.xmp_metadata(), blocks.icc_profile()].into_iter().flatten().map(<[u8]>::len).sum::<usize>();
    // Beside the result: the canvas and the one that is shown in four channels, a frame, what comes before the
    // first; a copy of the file.
    let working_bytes = 4 * (2 * canvas.pixels() + largest) + (2 * noted + file.len()) as u64 + (256 << 10);
    let channels = if is_opaque(drawn) { Channels::Rgb } else { Channels::Rgba };
    // A frame is unpacked and drawn in what one pass over the canvas takes: 3.6 to 5.6 ns a pixel of it.
    let work = drawn.len() as u64 * (canvas.pixels() + STREAM_PIXELS);
    let header = Header { work, ..Header::plain(canvas, channels, working_bytes, frames) };
    let stated = Size::new(blocks.width().into(), blocks.height().into());
    drop(blocks);
    let interrupt = interrupt.clone();
    let decode = move |probe: &Probe| {
        if !whole {
            return Err(damaged("GIF"));
        }
        let file = if stated == canvas { file } else { with_canvas(&file, canvas)? };
        let decoder = GifDecoder::new(Source::new(file, &interrupt)).map_err(|_| damaged("GIF"))?;
        let shown = composed("GIF", decoder.into_frames(), probe, &interrupt)?;
        Ok(Samples::U8(shown))
    };
    Ok((header, Box::new(decode)))
}

/// A copy of the file with another canvas in its header.
fn with_canvas(file: &[u8], canvas: Size) -> Result<Bytes, CodecError> {
    let side = |side| u16::try_from(side).map_err(|_| damaged("GIF"));
    let mut copy = file.to_vec();
    copy[6..8].copy_from_slice(&side(canvas.width)?.to_le_bytes());
    copy[8..10].copy_from_slice(&side(canvas.height)?.to_le_bytes());
    Ok(copy.into())
}
