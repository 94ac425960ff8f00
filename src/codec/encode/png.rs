//! PNG, row after row.

use std::borrow::Cow;
use std::io::Write;

use png::{BitDepth, ColorType, Compression, Encoder, Info};

use super::rows::{Rows, big_endian};
use super::sink::Sink;
use super::{EncodeError, Target};
use crate::raster::{Channels, Depth};

/// Content of one `IDAT` chunk: the chunk's frame of 12 bytes no longer counts, and readers get data soon.
const IDAT: usize = 64 << 10;

const COMPRESSION: Compression = Compression::Fast;

/// Three rows to filter, a chunk, a big-endian copy of some rows, and the compressor's tables.
pub fn buffered_bytes(row: u64) -> u64 {
    3 * row + IDAT as u64 + BLOCK as u64 + row + (512 << 10)
}

/// 16-bit samples are turned to big-endian in pieces of this many bytes.
const BLOCK: usize = 64 << 10;

pub fn encode(target: &Target, mut rows: Rows, sink: &Sink) -> Result<(), EncodeError> {
    let refused = |error: png::EncodingError| {
        sink.shut();
        EncodeError::Encoder(error.to_string())
    };
    let shut = |error: EncodeError| {
        sink.shut();
        error
    };
    let encoder = {
        let mut encoder = Encoder::with_info(sink, info(target)).map_err(refused)?;
        encoder.set_compression(COMPRESSION);
        encoder
    };
    let mut writer = encoder.write_header().map_err(refused)?;
    let mut pixels = writer.stream_writer_with_size(IDAT).map_err(refused)?;
    let mut scratch = Vec::new();
    while let Some((_, band)) = rows.next_band().map_err(shut)? {
        pixels.write_all(big_endian(band.samples(), &mut scratch)).map_err(|error| shut(error.into()))?;
    }
    pixels.finish().map_err(refused)?;
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
    info.icc_profile = target.icc.as_deref().map(Cow::Borrowed);
    info
}
