//! GIF (GIF89a): its blocks, how many frames there are, and what the one asked for is drawn over.

use super::Header;
use super::frames::{Area, Blend, Disposal, Drawn, Frames, check_count, is_opaque, work_of};
use crate::CodecError;
use crate::raster::Channels;
use crate::units::Size;

/// The blocks of a file, as far as it is there.
pub struct Blocks {
    pub canvas: Size,
    pub frames: Vec<Drawn>,
    /// Whether the trailer is there.
    pub whole: bool,
}

fn damaged(what: &str) -> CodecError {
    CodecError::Damaged(format!("the GIF {what}; send the file again"))
}

fn le16(bytes: [u8; 2]) -> u32 {
    u32::from(u16::from_le_bytes(bytes))
}

/// Bytes of a table of colors.
const fn table(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// What follows the sub-blocks that `rest` begins with.
fn after_blocks(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (length, tail) = rest.split_first()?;
        if *length == 0 {
            return Some(tail);
        }
        rest = tail.get(usize::from(*length)..)?;
    }
}

/// Walks the whole file, without unpacking.
pub fn blocks(file: &[u8]) -> Result<Blocks, CodecError> {
    let Some([_, _, _, _, _, _, w0, w1, h0, h1, flags, _, _]) = file.first_chunk() else {
        return Err(damaged("breaks off within its header"));
    };
    let canvas = Size::new(le16([*w0, *w1]), le16([*h0, *h1]));
    if canvas.width == 0 || canvas.height == 0 {
        return Err(damaged("has a side of zero"));
    }
    let mut blocks = Blocks { canvas, frames: Vec::new(), whole: false };
    let mut rest = file.get(13 + table(*flags)..).unwrap_or_default();
    // Of the control block before a frame.
    let (mut disposal, mut transparent) = (0, false);
    loop {
        let next = match rest {
            [0x3b, ..] => {
                blocks.whole = true;
                return Ok(blocks);
            }
            [0x21, label, tail @ ..] => {
                if let (0xf9, [4, flags, ..]) = (label, tail) {
                    (disposal, transparent) = (flags >> 2 & 7, flags & 1 == 1);
                }
                after_blocks(tail)
            }
            [0x2c, l0, l1, t0, t1, w0, w1, h0, h1, flags, tail @ ..] => {
                let size = Size::new(le16([*w0, *w1]), le16([*h0, *h1]));
                let frame = Drawn {
                    area: Area { x: le16([*l0, *l1]), y: le16([*t0, *t1]), size },
                    transparent,
                    blend: Blend::Over,
                    disposal: match disposal {
                        2 => Disposal::Clear,
                        3 => Disposal::Restore,
                        _ => Disposal::Keep,
                    },
                };
                (disposal, transparent) = (0, false);
                check_count(blocks.frames.len())?;
                blocks.frames.push(frame);
                // After the colors and the size of the first codes.
                tail.get(table(*flags) + 1..).and_then(after_blocks)
            }
            // Stray bytes between blocks are passed over by readers.
            [0, tail @ ..] => Some(tail),
            [_, ..] if blocks.frames.is_empty() => return Err(damaged("has an unknown block")),
            _ => None,
        };
        match next {
            Some(next) => rest = next,
            None => return Ok(blocks),
        }
    }
}

/// What the blocks say. A file that breaks off within its first frame is judged by what is there.
pub fn header(file: &[u8], frame: Option<u32>) -> Result<Header, CodecError> {
    let blocks = blocks(file)?;
    if blocks.frames.is_empty() {
        return Err(damaged("has no image in it, or breaks off before it"));
    }
    let frames = Frames::choose("GIF", "frame", blocks.frames.len() as u64, frame)?;
    let drawn = &blocks.frames[..=frames.chosen as usize];
    let work = work_of(blocks.canvas, drawn)?;
    let largest = drawn.iter().map(|f| f.area.size.pixels()).max().unwrap_or(0);
    let channels = if is_opaque(blocks.canvas, drawn) { Channels::Rgb } else { Channels::Rgba };
    let canvas = blocks.canvas.pixels();
    // Beside the result: the canvas in four channels, a copy to come back to, the frame's numbers, its colors.
    let working_bytes = 2 * 4 * canvas + (1 + 4) * largest + (256 << 10);
    Ok(Header { work, ..Header::plain(blocks.canvas, channels, working_bytes, frames) })
}
