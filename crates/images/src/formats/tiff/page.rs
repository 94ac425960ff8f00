//! One page: what its directory declares of its pixels, checked as a whole.

use bytes::Bytes;

use super::directory::{Directory, File, Numbers, damaged};
use super::tag;
use crate::formats::jpeg;
use crate::limits::{INPUT_SIDE, STREAM_PIXELS, TABLE_BYTE_PIXELS};
use crate::orientation::Orientation;
use crate::raster::{Channels, Depth};
use crate::units::Size;
use crate::{CodecError, Loss};

fn unsupported(what: &str) -> CodecError {
    CodecError::Unsupported(format!(
        "the TIFF {what}: such files are not read here; save it in 8 or 16 bits of gray or RGB"
    ))
}

/// What the samples of a pixel mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Photometric {
    /// Gray from white, 0, to black.
    WhiteIsZero,
    /// Gray from black, 0, to white.
    BlackIsZero,
    /// Red, green, blue.
    Rgb,
    /// A number of a color in a list.
    Palette,
    /// CMYK.
    Cmyk,
    /// Luma and chroma; only within JPEG data.
    YCbCr,
}

/// How chunks are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Lzw,
    Deflate,
    PackBits,
    /// CCITT T.6, of fax machines and document scanners.
    Group4,
    Jpeg,
}

impl Compression {
    fn new(number: u64) -> Result<Self, CodecError> {
        Ok(match number {
            1 => Self::None,
            4 => Self::Group4,
            5 => Self::Lzw,
            7 => Self::Jpeg,
            8 | 32_946 => Self::Deflate,
            32_773 => Self::PackBits,
            2 => return Err(unsupported("is packed by CCITT's modified Huffman code")),
            3 => return Err(unsupported("is packed as a group 3 fax")),
            6 => return Err(unsupported("holds JPEG data of the old kind")),
            34_712 => return Err(unsupported("holds JPEG 2000 data")),
            50_000 => return Err(unsupported("is packed by Zstandard")),
            other => return Err(unsupported(&format!("is packed by method {other}"))),
        })
    }
}

/// How the image is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Into rows of full width.
    Strips,
    /// Into rectangles.
    Tiles,
}

/// What becomes of the sample after the colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// There is none, or it means nothing that can be shown.
    None,
    /// Alpha beside the colors.
    Alpha,
    /// Alpha that the colors were multiplied by.
    Premultiplied,
}

/// One page, checked: everything that is needed to decode it.
pub struct Page {
    file: File,
    pub(super) directory: Directory,
    pub size: Size,
    pub photometric: Photometric,
    /// Of every sample: 1, 2, 4, 8 or 16.
    pub bits: u32,
    /// Of one pixel, those that are not shown included.
    pub samples: usize,
    pub extra: Extra,
    pub compression: Compression,
    /// Whether rows hold differences.
    pub predicted: bool,
    /// Whether each sample has chunks of its own.
    pub planar: bool,
    /// Whether bytes are stored with their low bit first.
    pub reversed: bool,
    /// Width and height of a strip or tile; what sticks out of the image is padding.
    pub chunk: Size,
    pub cut: Cut,
    offsets: Numbers,
    lengths: Numbers,
    palette: Option<Numbers>,
    pub jpeg_tables: Option<Bytes>,
    pub(super) orientation: Orientation,
    pub(super) icc: Option<Bytes>,
}

impl Page {
    pub(super) fn read(file: File, directory: &Directory) -> Result<Self, CodecError> {
        if tag::ESSENTIAL.iter().any(|tag| directory.is_broken(*tag)) {
            return Err(damaged("breaks off within its directory"));
        }
        let number = |tag, default| directory.number(tag).unwrap_or(default);
        let side = |tag| directory.number(tag).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        let (Some(width), Some(height)) = (side(tag::WIDTH), side(tag::HEIGHT)) else {
            return Err(damaged("does not say its size"));
        };
        let size = Size::new(width, height);
        let compression = Compression::new(number(tag::COMPRESSION, 1))?;
        let photometric = match number(tag::PHOTOMETRIC, u64::MAX) {
            0 => Photometric::WhiteIsZero,
            1 => Photometric::BlackIsZero,
            2 => Photometric::Rgb,
            3 => Photometric::Palette,
            5 => Photometric::Cmyk,
            6 if compression == Compression::Jpeg => Photometric::YCbCr,
            6 => return Err(unsupported("is in YCbCr without JPEG")),
            8..=10 => return Err(unsupported("is in CIE L*a*b*")),
            32_803 | 34_892 => return Err(unsupported("holds a camera's raw data")),
            other => return Err(unsupported(&format!("has colors of kind {other}"))),
        };
        if directory.find(tag::SAMPLE_FORMAT).is_some_and(|f| f.iter().any(|kind| !matches!(kind, 1 | 4))) {
            return Err(unsupported("has samples that are floating-point or signed numbers"));
        }
        let samples = number(tag::SAMPLES, 1);
        let bits = bits(directory, samples)?;
        let (chunk, cut, offsets, lengths) = chunks(directory, size)?;
        let page = Self {
            file,
            directory: directory.clone(),
            size,
            photometric,
            bits,
            samples: usize::try_from(samples).unwrap_or(usize::MAX),
            extra: extra(directory, photometric, samples),
            compression,
            predicted: match number(tag::PREDICTOR, 1) {
                1 => false,
                2 => true,
                _ => return Err(unsupported("has a floating-point predictor")),
            },
            planar: number(tag::PLANAR, 1) == 2 && samples > 1,
            reversed: number(tag::FILL_ORDER, 1) == 2,
            chunk,
            cut,
            offsets,
            lengths,
            palette: directory.find(tag::PALETTE),
            jpeg_tables: directory.find(tag::JPEG_TABLES).map(Numbers::into_bytes),
            orientation: Orientation::from_number(number(tag::ORIENTATION, 1)).unwrap_or_default(),
            icc: directory.find(tag::ICC).map(Numbers::into_bytes),
        };
        page.check_layout()?;
        page.check_chunks()?;
        Ok(page)
    }

    /// Which layouts are decoded.
    fn check_layout(&self) -> Result<(), CodecError> {
        let holds = match self.photometric {
            Photometric::WhiteIsZero | Photometric::BlackIsZero => {
                matches!((self.bits, self.samples), (1 | 2 | 4, 1) | (8 | 16, 1..=4))
            }
            Photometric::Rgb => matches!((self.bits, self.samples), (8 | 16, 3..=6)),
            Photometric::Palette => matches!((self.bits, self.samples), (1 | 2 | 4 | 8, 1)),
            Photometric::Cmyk => matches!((self.bits, self.samples, self.planar), (8, 4, false)),
            Photometric::YCbCr => matches!((self.bits, self.samples, self.planar), (8, 3, false)),
        };
        if !holds {
            let what = format!("has {} samples of {} bits in a layout", self.samples, self.bits);
            return Err(unsupported(&what));
        }
        match self.compression {
            Compression::Group4 if self.bits != 1 => return Err(damaged("is packed as a fax but not in one bit")),
            Compression::Jpeg if self.bits != 8 || self.photometric == Photometric::Palette => {
                return Err(unsupported("holds JPEG data of a rare kind"));
            }
            Compression::Jpeg if !self.planar && !matches!(self.samples, 1 | 3) => {
                return Err(unsupported("holds JPEG data of a rare kind"));
            }
            _ => {}
        }
        if self.predicted && self.bits < 8 {
            return Err(unsupported("has differences of samples below 8 bits"));
        }
        if self.reversed && !matches!(self.compression, Compression::None | Compression::Group4) {
            return Err(unsupported("is packed with the bits of each byte turned around"));
        }
        if self.photometric == Photometric::Palette && self.palette.as_ref().is_none_or(|p| p.len() < 3 << self.bits) {
            return Err(damaged("has no whole list of colors"));
        }
        Ok(())
    }

    /// One place in the file for each chunk, and not many for the same bytes: those would be unpacked over and over.
    fn check_chunks(&self) -> Result<(), CodecError> {
        let count = self.chunk_count();
        if self.offsets.len() < count || self.lengths.len() < count {
            return Err(damaged("has too few strips or tiles for its size"));
        }
        let claimed = self.lengths.iter().take(count).fold(0_u64, u64::saturating_add);
        if claimed > 4 * self.file.bytes.len() as u64 + 64 * count as u64 {
            return Err(damaged("breaks off, or claims more than it holds"));
        }
        Ok(())
    }

    /// Whether no note about the image is cut off, on which no pixel depends.
    pub fn is_whole(&self) -> bool {
        self.directory.is_whole()
    }

    pub const fn big_endian(&self) -> bool {
        self.file.big_endian
    }

    pub const fn planes(&self) -> usize {
        if self.planar { self.samples } else { 1 }
    }

    pub const fn chunks_across(&self) -> usize {
        self.size.width.div_ceil(self.chunk.width) as usize
    }

    pub const fn chunks_down(&self) -> usize {
        self.size.height.div_ceil(self.chunk.height) as usize
    }

    const fn chunk_count(&self) -> usize {
        self.chunks_across() * self.chunks_down() * self.planes()
    }

    /// Tiles reach over the edges of their page and are unpacked whole, and each JPEG reads the shared tables anew.
    pub(super) fn work(&self) -> u64 {
        let tables = self.jpeg_tables.as_ref().map_or(0, Bytes::len) as u64;
        let of_chunk = self.chunk.pixels().saturating_add(STREAM_PIXELS + TABLE_BYTE_PIXELS * tables);
        of_chunk.saturating_mul(self.chunk_count() as u64)
    }

    /// Samples of one pixel within a chunk.
    pub const fn samples_together(&self) -> usize {
        if self.planar { 1 } else { self.samples }
    }

    /// Bytes of one row of a chunk, once unpacked.
    pub const fn row_bytes(&self) -> usize {
        (self.chunk.width as usize * self.samples_together() * self.bits as usize).div_ceil(8)
    }

    /// The bytes of a chunk; `None` if the file breaks off before its end.
    pub fn chunk_bytes(&self, number: usize) -> Option<&[u8]> {
        let offset = usize::try_from(self.offsets.get(number)?).ok()?;
        let length = usize::try_from(self.lengths.get(number)?).ok()?;
        self.file.bytes.get(offset..offset.checked_add(length)?)
    }

    /// The colors of the list in 8 bits. They are stored in 16, yet writers of old left the high bytes empty.
    pub fn palette(&self) -> Vec<[u8; 3]> {
        let Some(stored) = &self.palette else { return Vec::new() };
        let count = 1 << self.bits;
        let shift = if stored.iter().take(3 * count).all(|v| v < 256) { 0 } else { 8 };
        let level = |i| (stored.get(i).unwrap_or(0) >> shift) as u8;
        (0..count).map(|i| [level(i), level(count + i), level(2 * count + i)]).collect()
    }

    /// Of JPEG data by the tables of the directory and of the first chunk, which may have its own.
    pub(super) fn loss(&self) -> Loss {
        if self.compression != Compression::Jpeg {
            return Loss::Lossless;
        }
        let parts = [self.jpeg_tables.as_deref(), self.chunk_bytes(0)];
        Loss::Jpeg { quality: jpeg::quality::estimate(parts.into_iter().flatten()) }
    }

    pub const fn channels(&self) -> Channels {
        let alpha = !matches!(self.extra, Extra::None);
        match (self.photometric, alpha) {
            (Photometric::WhiteIsZero | Photometric::BlackIsZero, false) => Channels::Gray,
            (Photometric::WhiteIsZero | Photometric::BlackIsZero, true) => Channels::GrayAlpha,
            (_, false) => Channels::Rgb,
            (_, true) => Channels::Rgba,
        }
    }

    pub const fn depth(&self) -> Depth {
        if self.bits == 16 { Depth::Sixteen } else { Depth::Eight }
    }

    /// Two rows of a chunk, the tables of an unpacker and a list of colors; a turned copy of the largest chunk; for
    /// JPEG a chunk's file, its pixels, and at worst its coefficients and all rows in full size beside them.
    pub(super) fn working_bytes(&self) -> u64 {
        let largest = || self.lengths.iter().max().unwrap_or(0).min(self.file.bytes.len() as u64);
        let turned = if self.reversed { largest() } else { 0 };
        let jpeg = match self.compression {
            Compression::Jpeg => {
                let side = |side: u32| u64::from(side.next_multiple_of(32));
                let pixels = side(self.chunk.width) * side(self.chunk.height);
                largest() + self.jpeg_tables.as_ref().map_or(0, Bytes::len) as u64 + 10 * 3 * pixels
            }
            _ => 0,
        };
        2 * self.row_bytes() as u64 + (256 << 10) + turned + jpeg
    }
}

/// Bits of every sample, if it is one number.
fn bits(directory: &Directory, samples: u64) -> Result<u32, CodecError> {
    let Some(bits) = directory.find(tag::BITS) else { return Ok(1) };
    let first = bits.get(0).unwrap_or(1);
    if bits.iter().take(usize::try_from(samples).unwrap_or(usize::MAX)).any(|b| b != first) {
        return Err(unsupported("has samples of differing bits"));
    }
    if matches!(first, 1 | 2 | 4 | 8 | 16) {
        return Ok(first as u32);
    }
    Err(unsupported(&format!("has {first} bits per sample")))
}

fn extra(directory: &Directory, photometric: Photometric, samples: u64) -> Extra {
    let colors = match photometric {
        Photometric::WhiteIsZero | Photometric::BlackIsZero | Photometric::Palette => 1,
        Photometric::Rgb | Photometric::YCbCr => 3,
        Photometric::Cmyk => 4,
    };
    match directory.number(tag::EXTRA_SAMPLES) {
        _ if samples <= colors || photometric == Photometric::Cmyk => Extra::None,
        Some(1) => Extra::Premultiplied,
        Some(2) => Extra::Alpha,
        _ => Extra::None,
    }
}

type Chunks = (Size, Cut, Numbers, Numbers);

fn chunks(directory: &Directory, size: Size) -> Result<Chunks, CodecError> {
    let missing = || damaged("does not say where its pixels are");
    let has = |tag| directory.entry(tag).is_some();
    if has(tag::TILE_OFFSETS) || has(tag::TILE_WIDTH) && !has(tag::ROWS_PER_STRIP) {
        // Some writers have the places of tiles where those of strips should be.
        let either = |tile, strip| directory.find(if has(tile) { tile } else { strip }).ok_or_else(missing);
        let offsets = either(tag::TILE_OFFSETS, tag::STRIP_OFFSETS)?;
        let lengths = either(tag::TILE_BYTES, tag::STRIP_BYTES)?;
        // In sixteens, as the standard has it; fewer would let a small file ask for millions of them.
        let side = |tag| {
            let side = directory.number(tag).filter(|n| *n > 0 && n % 16 == 0 && *n <= u64::from(INPUT_SIDE));
            side.map(|n| n as u32).ok_or_else(|| damaged("has tiles of a size that makes no sense"))
        };
        return Ok((Size::new(side(tag::TILE_WIDTH)?, side(tag::TILE_HEIGHT)?), Cut::Tiles, offsets, lengths));
    }
    let offsets = directory.find(tag::STRIP_OFFSETS).ok_or_else(missing)?;
    let lengths = directory.find(tag::STRIP_BYTES).ok_or_else(missing)?;
    let rows = directory.number(tag::ROWS_PER_STRIP).unwrap_or(u64::MAX).min(u64::from(size.height)) as u32;
    if rows == 0 {
        return Err(damaged("has strips without rows"));
    }
    Ok((Size::new(size.width, rows), Cut::Strips, offsets, lengths))
}
