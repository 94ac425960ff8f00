//! PNG (W3C PNG, third edition): its chunks, and of them those that pixels depend on.
//!
//! The chunks are walked here, since `png` comes to what follows the pixels only with them: the orientation, or whose the
//! image is, would be known after it was admitted.

mod chunks;
mod decode;
pub mod encode;
mod strip;

use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use flate2::read::ZlibDecoder;

use super::frames::{Frames, Layer, check_count, is_opaque};
use super::{Decode, Header, Probe};
use crate::Interrupt;
use crate::color::profile;
use crate::color::signals::{Signaled, Signals};
use crate::interrupt::SLICE;
use crate::limits::STREAM_PIXELS;
use crate::metadata::texts::Texts;
use crate::metadata::{Density, Metadata, exif};
use crate::raster::{Channels, Depth};
use crate::units::Size;
use crate::{CodecError, Warning};
use chunks::{Chunk, Chunks, ImageHeader, SIGNATURE, Selection, image_header};

/// What the chunks declare. A file that breaks off after its `IHDR` is judged by what is there.
pub fn open(file: Bytes, asked: Option<u32>, interrupt: &Interrupt) -> Result<(Header, Decode), CodecError> {
    let mut chunks = Chunks::new(&file);
    let ImageHeader { size, bits, color } = image_header(&mut chunks)?;
    let mut selection = Selection::new(color);
    let mut signals = ColorChunks::default();
    let mut orientation = None;
    let (mut count, mut layers) = (1, Vec::new());
    let (mut metadata, mut texts) = (Metadata::default(), Texts::default());
    let mut trailer = true;
    for chunk in chunks {
        selection.takes(&chunk);
        // What is critical and breaks off belongs to the pixels.
        trailer = if chunk.kind == *b"IEND" { chunk.is_intact() } else { chunk.is_critical() && chunk.is_cut() };
        match &chunk.kind {
            // The last one counts.
            b"acTL" if !selection.pixels => {
                count = chunk.data().first_chunk().map_or(1, |n| u32::from_be_bytes(*n).max(1));
            }
            b"fcTL" => {
                check_count(layers.len())?;
                layers.push(layer(&chunk, size));
            }
            b"iCCP" | b"cICP" | b"sRGB" | b"gAMA" | b"cHRM" if !selection.pixels => signals.takes(&chunk),
            b"eXIf" if orientation.is_none() && chunk.is_intact() => {
                let block = file.slice_ref(chunk.data());
                orientation = Some(exif::orientation(block.clone()));
                metadata.add_exif(block);
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
    if selection.pixels && !trailer {
        signals.warnings.push(Warning::TruncatedTrailer);
    }
    let (icc, icc_made) = signals.settle(color.channels(false).colors() == 1)?;
    let depth = if bits == 16 { Depth::Sixteen } else { Depth::Eight };
    let frames = Frames::choose("PNG", "frame", u64::from(count), asked)?;
    let channels = color.channels(selection.transparency);
    let still = Header {
        depth,
        orientation: orientation.unwrap_or_default(),
        icc,
        icc_made,
        warnings: signals.warnings,
        metadata,
        ..Header::plain(size, channels, working_bytes(size, channels, depth), frames)
    };
    let interrupt = interrupt.clone();
    if count == 1 {
        let pixels = move |probe: &Probe| decode::still(file, size, probe, &interrupt);
        return Ok((still, Box::new(pixels)));
    }
    if depth == Depth::Sixteen {
        return Err(CodecError::Unsupported(
            "the PNG is animated in 16 bits, which is not read here; send the frame that is meant as a still image"
                .into(),
        ));
    }
    let header = animated(still, &layers)?;
    Ok((header, Box::new(move |probe| decode::animated(file, probe, &interrupt))))
}

/// What `fcTL` says of a frame.
fn layer(control: &Chunk, canvas: Size) -> Layer {
    let data = control.data();
    let word = |at: usize| data.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |n| u32::from_be_bytes(*n));
    let size = Size::new(word(4), word(8));
    Layer { size, covers: size == canvas && (word(12), word(16)) == (0, 0), stays: data.get(24) == Some(&0) }
}

fn animated(still: Header, layers: &[Layer]) -> Result<Header, CodecError> {
    let (canvas, mut channels) = (still.stored, still.channels);
    let Some(drawn) = layers.get(..=still.frames.chosen as usize) else {
        return Err(CodecError::Damaged("the animated PNG breaks off before that frame; send the file again".into()));
    };
    if !is_opaque(drawn) {
        channels = if channels.colors() == 1 { Channels::GrayAlpha } else { Channels::Rgba };
    }
    // For each frame the canvas is copied, 1.2 to 2.7 ns a pixel; the frame is unpacked, laid over and may be cleared, 21 ns a
    // pixel with that, where a pass of `limits::WORK_PIXELS` has 7.4.
    let passes = |layer: &Layer| {
        let frame = layer.size.pixels().saturating_mul(2);
        canvas.pixels().saturating_add(frame).saturating_add(STREAM_PIXELS)
    };
    Ok(Header {
        work: drawn.iter().map(passes).fold(0, u64::saturating_add),
        channels,
        // Beside the result: the canvas and the one before in four channels, and twelve bytes for a pixel that is cleared.
        working_bytes: still.working_bytes.saturating_add(canvas.pixels().saturating_mul(20)),
        ..still
    })
}

/// What the chunks for color say. Of each kind the first counts, whatever comes of it: a second profile would be
/// inflated for nothing.
#[derive(Default)]
struct ColorChunks {
    /// Whether there was an `iCCP`, and what it held if it could be read.
    has_profile: bool,
    profile: Option<Vec<u8>>,
    signals: Signals,
    warnings: Vec<Warning>,
}

impl ColorChunks {
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

/// The last chunk of every file.
const END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";

/// The file without the chunks that no pixel depends on. So no text, profile or note can cost memory or fail a
/// decode; they are skipped by their length.
struct Essential {
    file: Bytes,
    /// What is being read, and where the next chunk begins.
    current: Range<usize>,
    next: usize,
    selection: Selection,
    /// Whether frames after the first are wanted.
    animated: bool,
    interrupt: Interrupt,
}

impl Essential {
    fn new(file: Bytes, animated: bool, interrupt: &Interrupt) -> Result<Self, CodecError> {
        let ImageHeader { color, .. } = image_header(&mut Chunks::new(&file))?;
        let (selection, interrupt) = (Selection::new(color), interrupt.clone());
        Ok(Self { file, current: 0..SIGNATURE, next: SIGNATURE, selection, animated, interrupt })
    }
}

impl Read for Essential {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(out)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Essential {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.interrupt.check().map_err(io::Error::other)?;
        while self.current.is_empty() {
            let chunk = Chunks::at(&self.file, self.next).next();
            let Some(chunk) = chunk.filter(|chunk| chunk.kind != *b"IEND") else {
                // Whether it is there or not.
                if self.next > 0 {
                    (self.file, self.current, self.next) = (Bytes::from_static(END), 0..END.len(), 0);
                }
                break;
            };
            let end = self.next + chunk.raw.len();
            let of_frames = self.animated && matches!(&chunk.kind, b"acTL" | b"fcTL" | b"fdAT");
            if self.selection.takes(&chunk) || of_frames {
                self.current = self.next..end;
            }
            self.next = end;
        }
        let end = self.current.end.min(self.current.start + SLICE);
        Ok(&self.file[self.current.start..end])
    }

    fn consume(&mut self, n: usize) {
        self.current.start += n;
    }
}

/// The `png` crate asks for it and never seeks.
impl Seek for Essential {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
