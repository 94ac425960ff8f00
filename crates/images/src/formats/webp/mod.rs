//! WebP (RFC 9649): the chunks of its RIFF container, and of them those that pixels depend on.
//!
//! The chunks are walked here, since image-webp wants the whole file, fails for metadata that is missing, and does not bound
//! the tables of lossless streams.

mod decode;
pub mod encode;
mod lossless;

use bytes::Bytes;

use super::frames::{Frames, Layer, check_count, is_opaque};
use super::{Decode, Header};
use crate::limits::STREAM_PIXELS;
use crate::metadata::{Metadata, exif};
use crate::raster::Channels;
use crate::units::Size;
use crate::{CodecError, Interrupt, Loss, Warning};

/// What the entropy tables of one lossless stream may take. Up to 65536 groups of five tables of 4 KiB are legal, each
/// described in some 60 bits, so 4 MB of file can ask for 1.3 GB; encoders write at most a few hundred groups.
/// [`lossless`] holds streams to this.
pub const fn lossless_tables(pixels: u64, length: usize) -> u64 {
    let sane = (8 << 20) + 4 * pixels;
    let possible = 600 * length as u64;
    if sane < possible { sane } else { possible }
}

const ANIMATION: u8 = 0x02;
const EXIF: u8 = 0x08;
const ALPHA: u8 = 0x10;

#[derive(Clone)]
struct Chunk {
    kind: [u8; 4],
    /// As far as it is there.
    data: Bytes,
    /// What the length field declares.
    length: usize,
}

impl Chunk {
    fn is_whole(&self) -> bool {
        self.data.len() == self.length
    }
}

/// The chunks of a file, up to the end that its header claims or to where it breaks off.
struct Chunks {
    rest: Bytes,
}

impl Chunks {
    fn new(file: &Bytes) -> Self {
        let end = claimed(file).unwrap_or(8).min(file.len());
        Self { rest: file.slice(12.min(end)..end) }
    }
}

/// The length of the file, as its header has it.
fn claimed(file: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*file.get(4..)?.first_chunk()?);
    Some((length as usize).saturating_add(8))
}

impl Iterator for Chunks {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        let kind = *self.rest.first_chunk()?;
        let length = u32::from_le_bytes(*self.rest.get(4..)?.first_chunk()?) as usize;
        let body = self.rest.slice(8..);
        let data = body.slice(..length.min(body.len()));
        self.rest = body.slice((length + length % 2).min(body.len())..);
        Some(Chunk { kind, data, length })
    }
}

/// Where the pixels are.
enum Bitstream {
    /// A VP8 key frame, and the plane of alpha beside it.
    Lossy { frame: Chunk, alpha: Option<Chunk> },
    /// VP8L.
    Lossless { stream: Chunk },
}

struct File {
    /// Of `VP8X`: the size and its flags.
    extended: Option<(Size, u8)>,
    /// Absent where the file breaks off before it.
    image: Option<Bitstream>,
    profile: Option<Bytes>,
    warnings: Vec<Warning>,
    exif: Option<Bytes>,
    metadata: Metadata,
    /// Of an animation.
    frames: Vec<Frame>,
    breaks_off: bool,
}

/// One frame of an animation.
struct Frame {
    layer: Layer,
    /// Where its upper left corner is, across and down.
    at: [u32; 2],
    has_alpha: bool,
    /// Whether it is laid over what is there, or takes its place.
    blends: bool,
    /// Whether its place becomes transparent once it was shown.
    clears: bool,
    image: Option<Bitstream>,
}

fn damaged(what: &str) -> CodecError {
    CodecError::Damaged(format!("the WebP {what}; send the file again"))
}

fn parse(file: &Bytes) -> Result<File, CodecError> {
    let mut parsed = File {
        extended: None,
        image: None,
        profile: None,
        warnings: Vec::new(),
        exif: None,
        metadata: Metadata::default(),
        frames: Vec::new(),
        // Even if only metadata is missing.
        breaks_off: claimed(file).is_none_or(|claimed| claimed > file.len()),
    };
    let mut alpha = None;
    for (i, chunk) in Chunks::new(file).enumerate() {
        match &chunk.kind {
            b"VP8X" if i == 0 => parsed.extended = Some(extended(&chunk.data)?),
            b"ANMF" => {
                check_count(parsed.frames.len())?;
                parsed.frames.push(Frame::read(&chunk, parsed.extended.map(|(canvas, _)| canvas))?);
            }
            b"ALPH" if parsed.image.is_none() => alpha = alpha.or(Some(chunk)),
            b"VP8 " if parsed.image.is_none() => {
                parsed.image = Some(Bitstream::Lossy { frame: chunk, alpha: alpha.take() });
            }
            b"VP8L" if parsed.image.is_none() => parsed.image = Some(Bitstream::Lossless { stream: chunk }),
            b"ICCP" if parsed.profile.is_some() => Warning::ProfileDuplicated.add_to(&mut parsed.warnings),
            b"ICCP" => parsed.profile = Some(chunk.data),
            b"EXIF" if chunk.is_whole() => {
                parsed.metadata.add_exif(chunk.data.clone());
                parsed.exif = parsed.exif.or(Some(chunk.data));
            }
            b"XMP " if chunk.is_whole() => parsed.metadata.add_xmp(&chunk.data),
            _ => {}
        }
    }
    Ok(parsed)
}

fn extended(data: &[u8]) -> Result<(Size, u8), CodecError> {
    let [flags, _, _, _, w0, w1, w2, h0, h1, h2, ..] = *data else {
        return Err(damaged("header is cut off"));
    };
    let size = Size::new(u32::from_le_bytes([w0, w1, w2, 0]) + 1, u32::from_le_bytes([h0, h1, h2, 0]) + 1);
    Ok((size, flags))
}

impl Frame {
    /// A frame's place and ways, and what it is made of.
    fn read(chunk: &Chunk, canvas: Option<Size>) -> Result<Self, CodecError> {
        let Some(head) = chunk.data.first_chunk::<16>() else {
            return Err(damaged("breaks off within a frame"));
        };
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], 0]);
        let (at, size) = ([2 * word(0), 2 * word(3)], Size::new(word(6) + 1, word(9) + 1));
        let (blends, clears) = (head[15] & 2 == 0, head[15] & 1 != 0);
        let (mut image, mut alpha) = (None, None);
        for part in (Chunks { rest: chunk.data.slice(16..) }) {
            match &part.kind {
                b"ALPH" if image.is_none() => alpha = alpha.or(Some(part)),
                b"VP8 " if image.is_none() => image = Some(Bitstream::Lossy { frame: part, alpha: alpha.take() }),
                b"VP8L" if image.is_none() => image = Some(Bitstream::Lossless { stream: part }),
                _ => {}
            }
        }
        let stream_header = image.as_ref().map_or(Ok(None), Bitstream::stream_header)?;
        if stream_header.is_some_and(|(stream_header, _)| stream_header != size) {
            return Err(damaged("names two sizes for a frame"));
        }
        let has_alpha = stream_header.is_none_or(|(_, alpha)| alpha);
        let covers = canvas == Some(size) && at == [0, 0] && !has_alpha;
        let layer = Layer { size, covers, stays: !clears && (blends || !has_alpha) };
        Ok(Self { layer, at, has_alpha, blends, clears, image })
    }
}

impl Bitstream {
    /// Whether its streams are all there.
    fn is_whole(&self) -> bool {
        match self {
            Self::Lossy { frame, alpha } => frame.is_whole() && alpha.as_ref().is_none_or(Chunk::is_whole),
            Self::Lossless { stream } => stream.is_whole(),
        }
    }

    const fn is_lossy(&self) -> bool {
        matches!(self, Self::Lossy { .. })
    }

    /// Size and whether there is alpha, from the header of the stream; `None` if it is cut off.
    fn stream_header(&self) -> Result<Option<(Size, bool)>, CodecError> {
        match self {
            Self::Lossy { frame, alpha } => {
                let [tag, _, _, s0, s1, s2, w0, w1, h0, h1, ..] = frame.data[..] else { return Ok(None) };
                if tag & 1 != 0 || [s0, s1, s2] != [0x9d, 0x01, 0x2a] {
                    return Err(damaged("has no key frame"));
                }
                let side = |lo, hi| u32::from(u16::from_le_bytes([lo, hi]) & 0x3fff);
                Ok(Some((Size::new(side(w0, w1), side(h0, h1)), alpha.is_some())))
            }
            Self::Lossless { stream } => {
                let [signature, b0, b1, b2, b3, ..] = stream.data[..] else { return Ok(None) };
                let bits = u32::from_le_bytes([b0, b1, b2, b3]);
                if signature != 0x2f || bits >> 29 != 0 {
                    return Err(damaged("has an unknown lossless stream"));
                }
                let side = |bits: u32| (bits & 0x3fff) + 1;
                Ok(Some((Size::new(side(bits), side(bits >> 14)), bits >> 28 & 1 != 0)))
            }
        }
    }

    /// Lossy: planes of luma and chroma, whole macroblocks, and up to four copies of the encoded frame as it is read.
    /// Lossless: four bytes a pixel beside an opaque result, transforms at a sixteenth of the size, tables, one copy.
    fn working_bytes(&self, size: Size, has_alpha: bool) -> u64 {
        let pixels = size.pixels();
        let lossless = |length: usize| length as u64 + 2 * pixels + lossless_tables(pixels, length);
        match self {
            Self::Lossy { frame, alpha } => {
                let macroblocks = u64::from(size.width.div_ceil(16)) * u64::from(size.height.div_ceil(16));
                let plane = alpha.as_ref().map_or(0, |a| 5 * pixels + lossless(a.length));
                macroblocks * 384 + 64 * u64::from(size.width) + 4 * frame.length as u64 + plane
            }
            Self::Lossless { stream } => lossless(stream.length) + if has_alpha { 0 } else { 4 * pixels },
        }
    }
}

/// What the chunks declare. A file that breaks off after the header of its first chunk is judged by what is there.
pub fn open(file: &Bytes, asked: Option<u32>, interrupt: &Interrupt) -> Result<(Header, Decode), CodecError> {
    let mut parsed = parse(file)?;
    // It comes after the pixels, and may declare that the image lies on its side.
    let tells_exif = parsed.extended.is_some_and(|(_, flags)| flags & EXIF != 0);
    if tells_exif && parsed.exif.is_none() && parsed.breaks_off {
        return Err(CodecError::Damaged(
            "the WebP breaks off before its Exif, which may turn it; send the whole file".into(),
        ));
    }
    let pixels = if parsed.frames.is_empty() { still(&parsed, asked) } else { animated(&parsed, asked) };
    let header = Header {
        orientation: parsed.exif.take().map(exif::orientation).unwrap_or_default(),
        icc: parsed.profile.as_deref().map(<[u8]>::to_vec),
        warnings: std::mem::take(&mut parsed.warnings),
        metadata: std::mem::take(&mut parsed.metadata),
        ..pixels?
    };
    let interrupt = interrupt.clone();
    Ok((header, Box::new(move |probe| decode::decode(&parsed, probe, &interrupt))))
}

fn still(parsed: &File, asked: Option<u32>) -> Result<Header, CodecError> {
    if parsed.extended.is_some_and(|(_, flags)| flags & ANIMATION != 0) {
        return Err(damaged("is animated and breaks off before its first frame"));
    }
    let stream_header = parsed.image.as_ref().map_or(Ok(None), Bitstream::stream_header)?;
    let (size, has_alpha) = match (parsed.extended, stream_header) {
        (Some((canvas, _)), Some((size, _))) if canvas != size => {
            return Err(damaged("names two sizes"));
        }
        (_, Some(stream_header)) => stream_header,
        (Some((canvas, flags)), None) => (canvas, flags & ALPHA != 0),
        (None, None) => return Err(damaged("breaks off before its size")),
    };
    if size.pixels() == 0 {
        return Err(damaged("has a side of zero"));
    }
    let working_bytes = parsed.image.as_ref().map_or(0, |image| image.working_bytes(size, has_alpha));
    let frames = Frames::choose("WebP", "frame", 1, asked)?;
    Ok(Header { loss: loss(&parsed.image), ..Header::plain(size, channels(has_alpha), working_bytes, frames) })
}

fn animated(parsed: &File, asked: Option<u32>) -> Result<Header, CodecError> {
    let Some((canvas, _)) = parsed.extended else { return Err(damaged("has frames but no canvas")) };
    let frames = Frames::choose("WebP", "frame", parsed.frames.len() as u64, asked)?;
    let drawn = &parsed.frames[..=frames.chosen as usize];
    let layers: Vec<_> = drawn.iter().map(|frame| frame.layer).collect();
    // Such a frame would be decoded in full to be cut, and might be of any size.
    if layers.iter().any(|layer| layer.size.width > canvas.width || layer.size.height > canvas.height) {
        return Err(damaged("has a frame larger than its canvas"));
    }
    let held = |frame: &Frame| {
        let (size, image) = (frame.layer.size, frame.image.as_ref());
        // Its samples, and those in four channels, beside what its decoder holds.
        8 * size.pixels() + image.map_or(0, |image| image.working_bytes(size, frame.has_alpha))
    };
    // Each is decoded, and laid over the canvas or cleared from it.
    let work = layers.iter().map(|layer| 2 * layer.size.pixels() + STREAM_PIXELS);
    let working_bytes = 4 * canvas.pixels() + drawn.iter().map(held).max().unwrap_or(0);
    Ok(Header {
        work: work.fold(canvas.pixels(), u64::saturating_add),
        loss: loss(drawn.iter().filter_map(|frame| frame.image.as_ref())),
        ..Header::plain(canvas, channels(!is_opaque(&layers)), working_bytes, frames)
    })
}

const fn channels(has_alpha: bool) -> Channels {
    if has_alpha { Channels::Rgba } else { Channels::Rgb }
}

/// An image is lossy if any of those that it is drawn of is.
fn loss<'a>(images: impl IntoIterator<Item = &'a Bitstream>) -> Loss {
    if images.into_iter().any(Bitstream::is_lossy) { Loss::Lossy } else { Loss::Lossless }
}
