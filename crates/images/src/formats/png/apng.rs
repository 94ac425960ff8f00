//! Animated PNG: its frames, and each as a still file, so that one decoder with one set of checks serves both.

use super::chunks::{Chunk, Chunks, ImageHeader, Selection, image_header};
use crate::CodecError;
use crate::formats::frames::{Area, Blend, Disposal, Drawn, check_count};
use crate::raster::Channels;
use crate::units::Size;

/// The frames of a file, as far as it is there.
pub struct Animation<'a> {
    pub canvas: Size,
    /// Of each frame.
    pub channels: Channels,
    frames: Vec<Frame<'a>>,
    /// Content of `IHDR`.
    header: &'a [u8],
    /// `PLTE` and `tRNS`, whole chunks.
    shared: Vec<&'a [u8]>,
    whole: bool,
}

struct Frame<'a> {
    drawn: Drawn,
    /// Its zlib stream in parts.
    parts: Vec<&'a [u8]>,
    bytes: usize,
}

fn damaged(what: &str) -> CodecError {
    CodecError::Damaged(format!("the animated PNG {what}; send the file again"))
}

impl<'a> Animation<'a> {
    pub fn read(file: &'a [u8]) -> Result<Self, CodecError> {
        let mut chunks = Chunks::new(file);
        let header = chunks.clone().next().map(|chunk| chunk.data()).unwrap_or_default();
        let ImageHeader { size, color, .. } = image_header(&mut chunks)?;
        let mut selection = Selection::new(color);
        let mut read = Self {
            canvas: size,
            channels: color.channels(false),
            frames: vec![],
            header,
            shared: vec![],
            whole: false,
        };
        for chunk in chunks {
            let pixels_began = selection.pixels;
            let counts = selection.takes(&chunk);
            match &chunk.kind {
                b"fcTL" => {
                    check_count(read.frames.len())?;
                    read.frames.push(Frame { drawn: drawn(&chunk, size)?, parts: Vec::new(), bytes: 0 });
                }
                // Before the first control chunk it is an image for those who know no animation.
                b"IDAT" => read.add(&chunk, chunk.data(), true)?,
                b"fdAT" => read.add(&chunk, chunk.data().get(4..).unwrap_or_default(), false)?,
                b"PLTE" | b"tRNS" if counts && !pixels_began => read.shared.push(chunk.raw),
                b"IEND" => read.whole = chunk.is_intact(),
                _ => {}
            }
        }
        read.channels = color.channels(selection.transparency);
        let transparent = read.channels.has_alpha();
        read.frames.iter_mut().for_each(|frame| frame.drawn.transparent = transparent);
        Ok(read)
    }

    fn add(&mut self, chunk: &Chunk<'a>, data: &'a [u8], may_stand_alone: bool) -> Result<(), CodecError> {
        // The probe looks at a file that is not all there; `still` does not.
        if chunk.raw.len() < 12 + chunk.length {
            return Ok(());
        }
        if !chunk.is_intact() {
            return Err(damaged("has a wrong checksum"));
        }
        match self.frames.last_mut() {
            Some(frame) => {
                frame.parts.push(data);
                frame.bytes += data.len();
                Ok(())
            }
            None if may_stand_alone => Ok(()),
            None => Err(damaged("has pixels before its first frame")),
        }
    }

    /// The frames up to this one, without their pixels.
    pub fn up_to(&self, number: u32) -> Result<Vec<Drawn>, CodecError> {
        let frames = self.frames.get(..=number as usize).ok_or_else(|| damaged("breaks off before that frame"))?;
        Ok(frames.iter().map(|frame| frame.drawn).collect())
    }

    /// Fails on a file that has no end.
    pub fn check_whole(&self) -> Result<(), CodecError> {
        if self.whole { Ok(()) } else { Err(damaged("breaks off")) }
    }

    /// Bytes of the largest file that [`Self::still`] makes.
    pub fn largest_still(&self) -> u64 {
        self.frames.iter().map(|frame| frame.bytes).max().unwrap_or(0) as u64 + self.shared_bytes() + 100
    }

    /// Bytes that every such file has of the chunks that all frames share.
    pub fn shared_bytes(&self) -> u64 {
        self.shared.iter().map(|chunk| chunk.len() as u64).sum()
    }

    /// A file of one frame alone.
    pub fn still(&self, number: u32) -> Result<Vec<u8>, CodecError> {
        let frame = self.frames.get(number as usize).filter(|frame| frame.bytes > 0);
        let frame = frame.ok_or_else(|| damaged("has a frame without pixels"))?;
        let Size { width, height } = frame.drawn.area.size;
        let rest = self.header.get(8..).unwrap_or_default();
        let header = [&width.to_be_bytes(), &height.to_be_bytes(), rest].concat();
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        push_chunk(&mut file, *b"IHDR", &[&header]);
        self.shared.iter().for_each(|chunk| file.extend_from_slice(chunk));
        push_chunk(&mut file, *b"IDAT", &frame.parts);
        push_chunk(&mut file, *b"IEND", &[]);
        Ok(file)
    }
}

fn push_chunk(file: &mut Vec<u8>, kind: [u8; 4], parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    file.extend_from_slice(&(length as u32).to_be_bytes());
    let mut crc = flate2::Crc::new();
    for part in std::iter::once(&&kind[..]).chain(parts) {
        crc.update(part);
        file.extend_from_slice(part);
    }
    file.extend_from_slice(&crc.sum().to_be_bytes());
}

/// A frame's place and ways, of its control chunk. Frames lie within the canvas.
fn drawn(chunk: &Chunk, canvas: Size) -> Result<Drawn, CodecError> {
    let broken = || damaged("has a frame that makes no sense");
    let (words, rest) = chunk.data().split_at_checked(20).ok_or_else(broken)?;
    let [_, width, height, x, y] = words.as_chunks::<4>().0 else { return Err(broken()) };
    let [width, height, x, y] = [width, height, x, y].map(|word| u32::from_be_bytes(*word));
    let [_, _, _, _, disposal, blend, ..] = *rest else { return Err(broken()) };
    let inside = |at: u32, length: u32, side: u32| length > 0 && at.checked_add(length).is_some_and(|end| end <= side);
    if !inside(x, width, canvas.width) || !inside(y, height, canvas.height) {
        return Err(broken());
    }
    Ok(Drawn {
        area: Area { x, y, size: Size::new(width, height) },
        transparent: false,
        blend: if blend == 0 { Blend::Replace } else { Blend::Over },
        disposal: match disposal {
            0 => Disposal::Keep,
            1 => Disposal::Clear,
            2 => Disposal::Restore,
            _ => return Err(broken()),
        },
    })
}
