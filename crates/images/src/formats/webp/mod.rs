//! WebP (RFC 9649): the chunks of its RIFF container, and of them those that pixels depend on.

pub mod decode;
pub mod encode;
mod lossless;

use super::Header;
use super::frames::{Area, Blend, Disposal, Drawn, Frames, check_count, is_opaque_by_blend, work_of};
use crate::metadata::{Metadata, exif};
use crate::raster::{Channels, Depth};
use crate::units::Size;
use crate::{CodecError, Loss, Warning};

/// What the entropy tables of one lossless stream may take. Up to 65536 groups of five tables of 4 KiB are legal, each
/// told in some 60 bits, so 4 MB of file can ask for 1.3 GB; encoders write at most a few hundred groups.
/// `decode::webp::lossless` holds streams to this.
pub const fn lossless_tables(pixels: u64, length: usize) -> u64 {
    let sane = (8 << 20) + 4 * pixels;
    let possible = 600 * length as u64;
    if sane < possible { sane } else { possible }
}

const ANIMATION: u8 = 0x02;
const EXIF: u8 = 0x08;
const ALPHA: u8 = 0x10;

#[derive(Clone, Copy)]
struct Chunk<'a> {
    kind: [u8; 4],
    /// As far as it is there.
    data: &'a [u8],
    /// What the length field says.
    length: usize,
}

impl Chunk<'_> {
    fn is_whole(&self) -> bool {
        self.data.len() == self.length
    }
}

/// The chunks of a file, up to the end that its header claims or to where it breaks off.
struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Chunks<'a> {
    fn new(file: &'a [u8]) -> Self {
        let claimed = file.get(4..).and_then(<[u8]>::first_chunk).map_or(0, |n| u32::from_le_bytes(*n) as usize);
        let end = claimed.saturating_add(8).min(file.len());
        Self { rest: file.get(12..end).unwrap_or_default() }
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let kind = *self.rest.first_chunk()?;
        let length = u32::from_le_bytes(*self.rest.get(4..)?.first_chunk()?) as usize;
        let body = &self.rest[8..];
        let data = &body[..length.min(body.len())];
        self.rest = body.get(length + length % 2..).unwrap_or_default();
        Some(Chunk { kind, data, length })
    }
}

/// Where the pixels are.
#[derive(Clone, Copy)]
enum Bitstream<'a> {
    /// A VP8 key frame, and the plane of alpha beside it.
    Lossy { frame: Chunk<'a>, alpha: Option<Chunk<'a>> },
    /// VP8L.
    Lossless { stream: Chunk<'a> },
}

struct File<'a> {
    /// Of `VP8X`: the size and its flags.
    extended: Option<(Size, u8)>,
    /// Absent where the file breaks off before it.
    image: Option<Bitstream<'a>>,
    profile: Option<&'a [u8]>,
    warnings: Vec<Warning>,
    exif: Option<&'a [u8]>,
    metadata: Metadata,
    /// Of an animation.
    frames: Vec<Frame<'a>>,
}

/// One frame of an animation.
struct Frame<'a> {
    drawn: Drawn,
    image: Option<Bitstream<'a>>,
}

fn damaged(what: &str) -> CodecError {
    CodecError::Damaged(format!("the WebP {what}; send the file again"))
}

fn parse(file: &[u8]) -> Result<File<'_>, CodecError> {
    let mut parsed = File {
        extended: None,
        image: None,
        profile: None,
        warnings: Vec::new(),
        exif: None,
        metadata: Metadata::default(),
        frames: Vec::new(),
    };
    let mut alpha = None;
    for (i, chunk) in Chunks::new(file).enumerate() {
        match &chunk.kind {
            b"VP8X" if i == 0 => parsed.extended = Some(extended(chunk.data)?),
            b"ANMF" => {
                check_count(parsed.frames.len())?;
                parsed.frames.push(Frame::read(&chunk)?);
            }
            b"ALPH" if parsed.image.is_none() => alpha = alpha.or(Some(chunk)),
            b"VP8 " if parsed.image.is_none() => parsed.image = Some(Bitstream::Lossy { frame: chunk, alpha }),
            b"VP8L" if parsed.image.is_none() => parsed.image = Some(Bitstream::Lossless { stream: chunk }),
            b"ICCP" if parsed.profile.is_some() => Warning::ProfileDuplicated.add_to(&mut parsed.warnings),
            b"ICCP" => parsed.profile = Some(chunk.data),
            b"EXIF" if chunk.is_whole() => {
                parsed.exif = parsed.exif.or(Some(chunk.data));
                parsed.metadata.add_exif(chunk.data);
            }
            b"XMP " if chunk.is_whole() => parsed.metadata.add_xmp(chunk.data),
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

impl<'a> Frame<'a> {
    /// A frame's place and ways, and what it is made of.
    fn read(chunk: &Chunk<'a>) -> Result<Self, CodecError> {
        let Some((head, rest)) = chunk.data.split_first_chunk::<16>() else {
            return Err(damaged("breaks off within a frame"));
        };
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], 0]);
        let size = Size::new(word(6) + 1, word(9) + 1);
        let (mut image, mut alpha) = (None, None);
        for chunk in (Chunks { rest }) {
            match &chunk.kind {
                b"ALPH" if image.is_none() => alpha = alpha.or(Some(chunk)),
                b"VP8 " if image.is_none() => image = Some(Bitstream::Lossy { frame: chunk, alpha }),
                b"VP8L" if image.is_none() => image = Some(Bitstream::Lossless { stream: chunk }),
                _ => {}
            }
        }
        let told = image.map_or(Ok(None), |image: Bitstream| image.told())?;
        if told.is_some_and(|(told, _)| told != size) {
            return Err(damaged("names two sizes for a frame"));
        }
        let flags = head[15];
        let drawn = Drawn {
            area: Area { x: 2 * word(0), y: 2 * word(3), size },
            transparent: told.is_none_or(|(_, alpha)| alpha),
            blend: if flags & 2 == 0 { Blend::Over } else { Blend::Replace },
            disposal: if flags & 1 == 0 { Disposal::Keep } else { Disposal::Clear },
        };
        Ok(Self { drawn, image })
    }
}

impl<'a> Bitstream<'a> {
    /// Its streams, if they are all there.
    fn streams(self) -> Option<Streams<'a>> {
        match self {
            Self::Lossy { frame, alpha } if frame.is_whole() && alpha.is_none_or(|a| a.is_whole()) => {
                Some(Streams { image: frame.data, lossless: false, alpha: alpha.map(|a| a.data) })
            }
            Self::Lossless { stream } if stream.is_whole() => {
                Some(Streams { image: stream.data, lossless: true, alpha: None })
            }
            _ => None,
        }
    }

    /// Size and whether there is alpha, from the header of the stream; `None` if it is cut off.
    fn told(&self) -> Result<Option<(Size, bool)>, CodecError> {
        match self {
            Self::Lossy { frame, alpha } => {
                let [tag, _, _, s0, s1, s2, w0, w1, h0, h1, ..] = *frame.data else { return Ok(None) };
                if tag & 1 != 0 || [s0, s1, s2] != [0x9d, 0x01, 0x2a] {
                    return Err(damaged("has no key frame"));
                }
                let side = |lo, hi| u32::from(u16::from_le_bytes([lo, hi]) & 0x3fff);
                Ok(Some((Size::new(side(w0, w1), side(h0, h1)), alpha.is_some())))
            }
            Self::Lossless { stream } => {
                let [signature, b0, b1, b2, b3, ..] = *stream.data else { return Ok(None) };
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
                let plane = alpha.map_or(0, |a| 5 * pixels + lossless(a.length));
                macroblocks * 384 + 64 * u64::from(size.width) + 4 * frame.length as u64 + plane
            }
            Self::Lossless { stream } => lossless(stream.length) + if has_alpha { 0 } else { 4 * pixels },
        }
    }
}

/// An image is lossy if any of those that it is drawn of is.
fn loss<'a>(images: impl IntoIterator<Item = Bitstream<'a>>) -> Loss {
    let is_lossy = |image| matches!(image, Bitstream::Lossy { .. });
    if images.into_iter().any(is_lossy) { Loss::Lossy } else { Loss::Lossless }
}

/// Whether the header claims more than is there.
fn breaks_off(file: &[u8]) -> bool {
    let claimed = file.get(4..).and_then(<[u8]>::first_chunk).map(|n| u32::from_le_bytes(*n) as usize);
    claimed.is_none_or(|n| n.saturating_add(8) > file.len())
}

/// What the chunks say. A file that breaks off after the header of its first chunk is judged by what is there.
pub fn header(file: &[u8], frame: Option<u32>) -> Result<Header, CodecError> {
    let parsed = parse(file)?;
    // It stands after the pixels, and may say that the image lies on its side.
    let tells_exif = parsed.extended.is_some_and(|(_, flags)| flags & EXIF != 0);
    if tells_exif && parsed.exif.is_none() && breaks_off(file) {
        return Err(CodecError::Damaged(
            "the WebP breaks off before its Exif, which may turn it; send the whole file".into(),
        ));
    }
    if !parsed.frames.is_empty() {
        return parsed.animated(frame);
    }
    if parsed.extended.is_some_and(|(_, flags)| flags & ANIMATION != 0) {
        return Err(damaged("is animated and breaks off before its first frame"));
    }
    let told = parsed.image.map_or(Ok(None), |image| image.told())?;
    let (size, has_alpha) = match (parsed.extended, told) {
        (Some((canvas, _)), Some((size, _))) if canvas != size => {
            return Err(damaged("names two sizes"));
        }
        (_, Some(told)) => told,
        (Some((canvas, flags)), None) => (canvas, flags & ALPHA != 0),
        (None, None) => return Err(damaged("breaks off before its size is told")),
    };
    if size.width == 0 || size.height == 0 {
        return Err(damaged("has a side of zero"));
    }
    Ok(Header {
        stored: size,
        channels: if has_alpha { Channels::Rgba } else { Channels::Rgb },
        depth: Depth::Eight,
        orientation: parsed.exif.map(exif::orientation).unwrap_or_default(),
        icc: parsed.profile.map(<[u8]>::to_vec),
        icc_made: false,
        cmyk: false,
        warnings: parsed.warnings,
        metadata: parsed.metadata,
        work: size.pixels(),
        working_bytes: parsed.image.map_or(0, |image| image.working_bytes(size, has_alpha)),
        frames: Frames::choose("WebP", "frame", 1, frame)?,
        loss: loss(parsed.image),
    })
}

impl File<'_> {
    fn animated(self, frame: Option<u32>) -> Result<Header, CodecError> {
        let Some((canvas, _)) = self.extended else { return Err(damaged("has frames but no canvas")) };
        let frames = Frames::choose("WebP", "frame", self.frames.len() as u64, frame)?;
        let frames_drawn = &self.frames[..=frames.chosen as usize];
        let drawn: Vec<_> = frames_drawn.iter().map(|frame| frame.drawn).collect();
        let work = work_of(canvas, &drawn)?;
        let channels = if is_opaque_by_blend(canvas, &drawn) { Channels::Rgb } else { Channels::Rgba };
        let of_frame = |frame: &Frame| {
            let Drawn { area, transparent, .. } = frame.drawn;
            // Its samples, and those in four channels, beside what its decoder holds.
            8 * area.size.pixels() + frame.image.map_or(0, |image| image.working_bytes(area.size, transparent))
        };
        Ok(Header {
            stored: canvas,
            channels,
            depth: Depth::Eight,
            orientation: self.exif.map(exif::orientation).unwrap_or_default(),
            icc: self.profile.map(<[u8]>::to_vec),
            icc_made: false,
            cmyk: false,
            warnings: self.warnings,
            metadata: self.metadata,
            work,
            working_bytes: 4 * canvas.pixels() + frames_drawn.iter().map(of_frame).max().unwrap_or(0),
            frames,
            loss: loss(frames_drawn.iter().filter_map(|frame| frame.image)),
        })
    }
}

/// The streams that pixels come from, each whole.
pub struct Streams<'a> {
    /// VP8 or VP8L.
    pub image: &'a [u8],
    /// Whether `image` is VP8L.
    pub lossless: bool,
    /// Content of `ALPH`, beside VP8.
    pub alpha: Option<&'a [u8]>,
}

/// What is to be decoded.
pub enum Image<'a> {
    /// One image.
    Still(Streams<'a>),
    /// Frames up to the one asked for, on a canvas.
    Animated(Vec<(Drawn, Streams<'a>)>),
}

/// Fails on a file that breaks off before the end that its header claims, even if only metadata is missing.
pub fn image(file: &[u8], frame: u32) -> Result<Image<'_>, CodecError> {
    let cut = || damaged("breaks off");
    if breaks_off(file) {
        return Err(cut());
    }
    let parsed = parse(file)?;
    if parsed.frames.is_empty() {
        return parsed.image.and_then(Bitstream::streams).map(Image::Still).ok_or_else(cut);
    }
    let frames = parsed.frames.iter().take(frame as usize + 1);
    let streams = frames.map(|frame| Some((frame.drawn, frame.image?.streams()?)));
    streams.collect::<Option<_>>().map(Image::Animated).ok_or_else(cut)
}

impl Streams<'_> {
    /// A file of these streams alone, in the plainest container. So no metadata, missing or false, can fail a decode.
    pub fn container(&self, size: Size) -> Vec<u8> {
        let mut file = Vec::with_capacity(64 + self.image.len() + self.alpha.map_or(0, <[u8]>::len));
        file.extend_from_slice(b"RIFF\0\0\0\0WEBP");
        let mut chunk = |kind: &[u8; 4], data: &[u8]| {
            file.extend_from_slice(kind);
            file.extend_from_slice(&(data.len() as u32).to_le_bytes());
            file.extend_from_slice(data);
            file.resize(file.len().next_multiple_of(2), 0);
        };
        if let Some(alpha) = self.alpha {
            let [w0, w1, w2, _] = (size.width - 1).to_le_bytes();
            let [h0, h1, h2, _] = (size.height - 1).to_le_bytes();
            chunk(b"VP8X", &[ALPHA, 0, 0, 0, w0, w1, w2, h0, h1, h2]);
            chunk(b"ALPH", alpha);
        }
        chunk(if self.lossless { b"VP8L" } else { b"VP8 " }, self.image);
        let length = file.len() as u32 - 8;
        file[4..8].copy_from_slice(&length.to_le_bytes());
        file
    }
}
