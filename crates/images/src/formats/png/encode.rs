//! PNG, strip of rows after strip of rows, each packed on a core of its own where one is free.

use std::borrow::Cow;

use png::chunk::ChunkType;
use png::{BitDepth, ColorType, Encoder, Info, PixelDimensions, Unit, chunk};

use super::strip::{Adler, Packed, Strip, pack};
use crate::encode::helpers::{Helpers, Queue};
use crate::encode::rows::{Rows, big_endian};
use crate::encode::sink::Sink;
use crate::encode::target::{EncodeError, Target};
use crate::metadata::texts;
use crate::raster::{Channels, Depth};

/// Bytes of pixels in a strip, as far as whole rows go. It is cut by the size of the image alone, never by cores or
/// bands, so that the same image gives the same bytes; each strip costs some 80 bytes of tables and frames.
const STRIP: usize = 256 << 10;
/// Strips that may be under way together, and so cores beside the encoder's own that are of use.
const TOGETHER: usize = 8;

/// Each strip as it came, filtered and packed, those that wait and the one being gathered; a big-endian copy of some
/// rows.
pub fn buffered_bytes(target: &Target) -> u64 {
    let cut = Cut::new(target);
    let held = target.size.height.div_ceil(cut.rows as u32).min(TOGETHER as u32 + 1);
    u64::from(held) * 3 * (cut.rows as u64 + 1) * cut.row as u64 + (256 << 10)
}

/// How an image is cut into strips.
struct Cut {
    /// Bytes of a pixel.
    pixel: usize,
    /// Bytes of a row.
    row: usize,
    /// Rows of a strip.
    rows: usize,
}

impl Cut {
    fn new(target: &Target) -> Self {
        let pixel = target.channels.count() * target.depth.bytes();
        let row = target.size.width as usize * pixel;
        Self { pixel, row, rows: (STRIP / row).clamp(1, target.size.height as usize) }
    }
}

pub fn encode(target: &Target, mut rows: Rows, sink: &Sink, helpers: &dyn Helpers) -> Result<(), EncodeError> {
    let refused = |error: png::EncodingError| {
        sink.shut();
        EncodeError::Encoder(error.to_string())
    };
    let shut = |error: EncodeError| {
        sink.shut();
        error
    };
    let mut writer = Encoder::with_info(sink, info(target)).and_then(Encoder::write_header).map_err(refused)?;
    let packet = target.metadata.xmp.iter().map(|packet| (*b"iTXt", texts::xmp_chunk(packet).into()));
    for (kind, text) in packet.chain(target.metadata.texts.iter().cloned()) {
        writer.write_chunk(ChunkType(kind), &text).map_err(refused)?;
    }
    let mut queue = Queue::new(helpers, TOGETHER, pack);
    let mut adler = Adler::default();
    let mut write = |Packed { mut deflate, adler: own, length, last }: Packed| {
        adler.append(own, length);
        if last {
            deflate.extend_from_slice(&adler.sum().to_be_bytes());
        }
        writer.write_chunk(chunk::IDAT, &deflate).map_err(refused)
    };
    let Cut { pixel, row, rows: strip_rows } = Cut::new(target);
    let mut strip = Strip::first(pixel, row);
    let mut scratch = Vec::new();
    let mut left = target.size.height as usize;
    while let Some((_, band)) = rows.next_band().map_err(shut)? {
        let mut bytes = big_endian(band.samples(), &mut scratch);
        while !bytes.is_empty() {
            let room = strip_rows.min(left) * row - strip.rows.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            strip.rows.extend_from_slice(now);
            bytes = later;
            if now.len() < room {
                continue;
            }
            left -= strip.rows.len() / row;
            strip.last = left == 0;
            let next = strip.next();
            queue.push(std::mem::replace(&mut strip, next));
            while let Some(packed) = queue.ready() {
                write(packed.map_err(|error| shut(error.into()))?)?;
            }
        }
    }
    while let Some(packed) = queue.oldest() {
        write(packed.map_err(|error| shut(error.into()))?)?;
    }
    writer.finish().map_err(refused)
}

fn info(target: &Target) -> Info<'_> {
    let mut info = Info::with_size(target.size.width, target.size.height);
    info.color_type = match target.channels {
        Channels::Gray => ColorType::Grayscale,
        Channels::GrayAlpha => ColorType::GrayscaleAlpha,
        Channels::Rgb => ColorType::Rgb,
        Channels::Rgba => ColorType::Rgba,
    };
    info.bit_depth = match target.depth {
        Depth::Eight => BitDepth::Eight,
        Depth::Sixteen => BitDepth::Sixteen,
    };
    info.pixel_dims = target.metadata.density.map(|density| {
        let (xppu, yppu) = density.phys();
        PixelDimensions { xppu, yppu, unit: Unit::Meter }
    });
    info.exif_metadata = target.metadata.exif.as_deref().map(Cow::Borrowed);
    info.icc_profile = target.icc.as_deref().map(Cow::Borrowed);
    info
}
