//! PNG (W3C PNG, third edition): its chunks, and of them those that pixels depend on.

pub mod apng;
mod chunks;
pub mod decode;
pub mod encode;
mod strip;

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use flate2::read::ZlibDecoder;

use super::Header;
use super::frames::{Frames, is_opaque, work_of};
use crate::Interrupt;
use crate::color::profile;
use crate::color::signals::{Signaled, Signals};
use crate::interrupt::SLICE;
use crate::metadata::texts::Texts;
use crate::metadata::{Density, Metadata, exif};
use crate::raster::{Channels, Depth};
use crate::units::Size;
use crate::{CodecError, Loss, Warning};
use apng::Animation;
use chunks::{Chunk, Chunks, ImageHeader, SIGNATURE, Selection, image_header};

/// What the chunks say. A file that breaks off after its `IHDR` is judged by what is there.
pub fn header(file: &[u8], frame: Option<u32>) -> Result<Header, CodecError> {
    let mut chunks = Chunks::new(file);
    let ImageHeader { size, bits, color } = image_header(&mut chunks)?;
    let mut selection = Selection::new(color);
    let mut told = Told::default();
    let mut orientation = None;
    let mut count = 1;
    let (mut metadata, mut texts) = (Metadata::default(), Texts::default());
    for chunk in chunks {
        selection.takes(&chunk);
        match &chunk.kind {
            b"acTL" if !selection.pixels => count = frames(&chunk).max(1),
            b"iCCP" | b"cICP" | b"sRGB" | b"gAMA" | b"cHRM" if !selection.pixels => told.takes(&chunk),
            b"eXIf" if orientation.is_none() && chunk.is_intact() => {
                orientation = Some(exif::orientation(chunk.data()));
                metadata.add_exif(chunk.data());
            }
            b"pHYs" if !selection.pixels && chunk.is_intact() => {
                metadata.density = metadata.density.or_else(|| Density::from_phys(chunk.data()));
                metadata.others |= Density::is_shape_in_phys(chunk.data());
            }
            b"tEXt" | b"zTXt" | b"iTXt" if chunk.is_intact() => texts.take(&mut metadata, chunk.kind, chunk.data()),
            b"tIME" => metadata.others = true,
            _ => {}
        }
    }
    let (icc, icc_made) = told.settle(color.channels(false).colors() == 1)?;
    let depth = if bits == 16 { Depth::Sixteen } else { Depth::Eight };
    let frames = Frames::choose("PNG", "frame", u64::from(count), frame)?;
    let mut channels = color.channels(selection.transparency);
    let mut working = working_bytes(size, channels, depth);
    let mut work = size.pixels();
    if count > 1 {
        let animation = Animation::read(file)?;
        let drawn = animation.up_to(frames.chosen)?;
        // Each frame's file has the chunks that all share.
        work = work_of(size, &drawn)?.saturating_add(drawn.len() as u64 * animation.shared_bytes());
        channels = shown_channels(channels, is_opaque(size, &drawn));
        // Beside the result: the canvas and a copy to come back to, a frame as it is and in the canvas's channels.
        let canvas = size.pixels().saturating_mul(4 * (channels.count().max(4) * depth.bytes()) as u64);
        working = working.saturating_add(canvas).saturating_add(animation.largest_still());
    }
    Ok(Header {
        stored: size,
        channels,
        depth,
        orientation: orientation.unwrap_or_default(),
        icc,
        icc_made,
        cmyk: false,
        warnings: told.warnings,
        metadata,
        working_bytes: working,
        work,
        frames,
        loss: Loss::Lossless,
    })
}

/// Channels of what is shown of an animation: parts of the canvas may have nothing drawn on them.
const fn shown_channels(drawn: Channels, opaque: bool) -> Channels {
    match (drawn.colors(), opaque) {
        (1, true) => Channels::Gray,
        (1, false) => Channels::GrayAlpha,
        (_, true) => Channels::Rgb,
        (_, false) => Channels::Rgba,
    }
}

/// Whether the file is an animation of more than one frame; such a one has its pixels drawn over each other.
pub fn is_animated(file: &[u8]) -> bool {
    let head = Chunks::new(file).take_while(|chunk| chunk.kind != *b"IDAT");
    // The last one counts, as above.
    head.filter(|chunk| chunk.kind == *b"acTL").last().is_some_and(|chunk| frames(&chunk) > 1)
}

fn frames(animation: &Chunk) -> u32 {
    animation.data().first_chunk().map_or(0, |n| u32::from_be_bytes(*n))
}

/// What the chunks for color say. Of each kind the first counts, whatever comes of it: a second profile would be
/// inflated for nothing.
#[derive(Default)]
struct Told {
    /// Whether there was an `iCCP`, and what it held if it could be read.
    has_profile: bool,
    profile: Option<Vec<u8>>,
    signals: Signals,
    warnings: Vec<Warning>,
}

impl Told {
    fn takes(&mut self, chunk: &Chunk) {
        let data = chunk.data();
        match &chunk.kind {
            b"iCCP" if self.has_profile => Warning::ProfileDuplicated.add_to(&mut self.warnings),
            b"iCCP" => {
                self.has_profile = true;
                self.profile = inflate(data).filter(|_| chunk.is_intact());
            }
            _ if !chunk.is_intact() => {}
            b"cICP" => self.signals.cicp = self.signals.cicp.or(data.first_chunk().copied()),
            b"sRGB" => self.signals.srgb = true,
            b"gAMA" => self.signals.gamma = self.signals.gamma.or(data.first_chunk().map(|n| u32::from_be_bytes(*n))),
            _ => {
                let numbers = data.as_chunks::<4>().0.first_chunk::<8>();
                self.signals.chromaticities =
                    self.signals.chromaticities.or(numbers.map(|numbers| numbers.map(u32::from_be_bytes)));
            }
        }
    }

    /// The profile that counts, and whether it was made here.
    fn settle(&mut self, gray: bool) -> Result<(Option<Vec<u8>>, bool), CodecError> {
        match self.signals.strong(gray) {
            Signaled::HighDynamicRange(transfer) => return Err(CodecError::HighDynamicRange(transfer)),
            Signaled::Profile(made) => return Ok((Some(made), true)),
            Signaled::Srgb => return Ok((None, false)),
            Signaled::Unreadable => Warning::ColorChunksUnreadable.add_to(&mut self.warnings),
            Signaled::Nothing => {}
        }
        match self.profile.take() {
            Some(profile) => return Ok((Some(profile), false)),
            None if self.has_profile => self.warnings.push(Warning::ProfileUnreadable),
            None => {}
        }
        match self.signals.weak(gray) {
            Signaled::Profile(made) => return Ok((Some(made), true)),
            Signaled::Unreadable => Warning::ColorChunksUnreadable.add_to(&mut self.warnings),
            _ => {}
        }
        Ok((None, false))
    }
}

/// The profile of an `iCCP` chunk: name, zero, method zero, zlib stream. Inflates no more than a profile may have.
fn inflate(data: &[u8]) -> Option<Vec<u8>> {
    let name = data.iter().take(80).position(|b| *b == 0)?;
    let [0, stream @ ..] = &data[name + 1..] else { return None };
    let mut profile = Vec::new();
    let mut bounded = ZlibDecoder::new(stream).take(profile::MAX_BYTES as u64 + 1);
    bounded.read_to_end(&mut profile).ok()?;
    (profile.len() <= profile::MAX_BYTES).then_some(profile)
}

/// The decoder inflates into a window of at least 128 KiB and four rows, doubled as it grows, and unfilters row by
/// row; 256 KiB more are its tables and buffers.
fn working_bytes(size: Size, channels: Channels, depth: Depth) -> u64 {
    let row = u64::from(size.width) * (channels.count() * depth.bytes()) as u64;
    2 * (4 * row + (128 << 10)) + 2 * row + (256 << 10)
}

/// The file without the chunks that no pixel depends on. So no text, profile or note can cost memory or fail a
/// decode; they are skipped by their length.
pub struct Essential<'a> {
    chunks: Chunks<'a>,
    selection: Selection,
    current: &'a [u8],
    interrupt: &'a Interrupt,
}

impl<'a> Essential<'a> {
    /// Fails where [`header`] would.
    pub fn new(file: &'a [u8], interrupt: &'a Interrupt) -> Result<Self, CodecError> {
        let ImageHeader { color, .. } = image_header(&mut Chunks::new(file))?;
        let current = file.get(..SIGNATURE).unwrap_or_default();
        Ok(Self { chunks: Chunks::new(file), selection: Selection::new(color), current, interrupt })
    }
}

impl Read for Essential<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(out)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Essential<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.interrupt.check().map_err(io::Error::other)?;
        while self.current.is_empty() {
            match self.chunks.next() {
                Some(chunk) if self.selection.takes(&chunk) => self.current = chunk.raw,
                Some(_) => {}
                None => break,
            }
        }
        Ok(&self.current[..self.current.len().min(SLICE)])
    }

    fn consume(&mut self, n: usize) {
        self.current = &self.current[n..];
    }
}

/// The `png` crate asks for it and never seeks.
impl Seek for Essential<'_> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
