//! The rows of one strip or tile, unpacked one after another: no more of a chunk is in memory than its packed bytes.

use std::borrow::Cow;
use std::io::{self, Cursor, Read};
use std::ops::Range;

use fax::decoder::{DecodeStatus, Group4Decoder};
use flate2::read::ZlibDecoder;
use weezl::{BitOrder, LzwStatus};

use crate::Interrupt;
use crate::formats::jpeg::Scans;
use crate::formats::jpeg::decode::{self as jpeg, Colors};
use crate::formats::tiff::page::{Compression, Cut, Page, Photometric};
use crate::units::Size;

/// Rows of [`Page::row_bytes`] each, by `read_exact`; it fails where the chunk breaks off. `rows` of them will be read.
pub fn open<'a>(page: &'a Page, packed: &'a [u8], rows: u32, interrupt: &Interrupt) -> io::Result<Box<dyn Read + 'a>> {
    let bytes = if page.reversed {
        Cow::Owned(packed.iter().map(|byte| byte.reverse_bits()).collect())
    } else {
        Cow::Borrowed(packed)
    };
    Ok(match page.compression {
        Compression::None => Box::new(Cursor::new(bytes)),
        Compression::Lzw => Box::new(Lzw::new(packed)),
        Compression::Deflate => Box::new(ZlibDecoder::new(packed)),
        Compression::PackBits => Box::new(PackBits { packed, run: Run::Literal(0) }),
        Compression::Group4 => Box::new(Fax::new(bytes, page.chunk.width)?),
        Compression::Jpeg => Box::new(Cursor::new(photo(page, packed, rows, interrupt)?)),
    })
}

fn broken() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

struct Lzw<'a> {
    packed: &'a [u8],
    decoder: weezl::decode::Decoder,
    /// Bytes of more than the longest string of a code (4096): into less room the decoder may write nothing, and of its
    /// last bytes it gives notice together with the end.
    buffer: Box<[u8; 8192]>,
    /// What of it is not yet handed out.
    left: Range<usize>,
}

impl<'a> Lzw<'a> {
    fn new(packed: &'a [u8]) -> Self {
        let decoder = weezl::decode::Decoder::with_tiff_size_switch(BitOrder::Msb, 8);
        Self { packed, decoder, buffer: Box::new([0; 8192]), left: 0..0 }
    }
}

impl Read for Lzw<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() {
            let done = self.decoder.decode_bytes(self.packed, &mut self.buffer[..]);
            self.packed = &self.packed[done.consumed_in..];
            self.left = 0..done.consumed_out;
            match done.status {
                Ok(LzwStatus::NoProgress | LzwStatus::Done) => break,
                Err(_) if self.left.is_empty() => return Err(broken()),
                // What came before a fault may be all that is wanted.
                Ok(LzwStatus::Ok) | Err(_) => {}
            }
        }
        let taken = self.left.len().min(out.len());
        out[..taken].copy_from_slice(&self.buffer[self.left.start..][..taken]);
        self.left.start += taken;
        Ok(taken)
    }
}

/// Apple's run lengths (TIFF 6.0, section 9).
struct PackBits<'a> {
    packed: &'a [u8],
    run: Run,
}

enum Run {
    /// So many bytes as they come.
    Literal(usize),
    /// One byte so many times.
    Repeated(usize, u8),
}

impl Read for PackBits<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Run::Literal(0) | Run::Repeated(0, _) = self.run {
            self.run = match self.packed {
                [] => return Ok(0),
                // Minus 128 is a no-op.
                [128, rest @ ..] => {
                    self.packed = rest;
                    continue;
                }
                [count @ 0..=127, rest @ ..] => {
                    self.packed = rest;
                    Run::Literal(usize::from(*count) + 1)
                }
                [count, byte, rest @ ..] => {
                    self.packed = rest;
                    Run::Repeated(257 - usize::from(*count), *byte)
                }
                [_] => return Err(broken()),
            };
        }
        match &mut self.run {
            Run::Literal(left) => {
                let n = (*left).min(out.len()).min(self.packed.len());
                let (now, rest) = self.packed.split_at(n);
                out[..n].copy_from_slice(now);
                self.packed = rest;
                *left -= n;
                Ok(n)
            }
            Run::Repeated(left, byte) => {
                let n = (*left).min(out.len());
                out[..n].fill(*byte);
                *left -= n;
                Ok(n)
            }
        }
    }
}

/// Rows of bits, set where the fax is black.
struct Fax<'a> {
    decoder: Group4Decoder<std::io::Bytes<Cursor<Cow<'a, [u8]>>>>,
    width: u16,
    row: Vec<u8>,
    /// How much of `row` was handed out.
    taken: usize,
}

impl<'a> Fax<'a> {
    fn new(packed: Cow<'a, [u8]>, width: u32) -> io::Result<Self> {
        let width = u16::try_from(width).map_err(|_| broken())?;
        let decoder = Group4Decoder::new(Cursor::new(packed).bytes(), width)?;
        Ok(Self { decoder, width, row: Vec::new(), taken: 0 })
    }

    fn next_row(&mut self) -> io::Result<()> {
        match self.decoder.advance() {
            Ok(DecodeStatus::Incomplete) => {}
            // Some leave out white rows at the end, but none of those that scan: rather no image than half of one.
            Ok(DecodeStatus::End) | Err(_) => return Err(broken()),
        }
        self.row.clear();
        self.row.resize(usize::from(self.width).div_ceil(8), 0);
        // Where the color changes, from white; the last run goes to the end of the row.
        let (runs, last) = self.decoder.transition().as_chunks::<2>();
        for [black, white] in runs {
            set_bits(&mut self.row, *black, (*white).min(self.width));
        }
        if let [black] = last {
            set_bits(&mut self.row, *black, self.width);
        }
        self.taken = 0;
        Ok(())
    }
}

fn set_bits(row: &mut [u8], from: u16, to: u16) {
    for x in from..to {
        row[usize::from(x / 8)] |= 0x80 >> (x % 8);
    }
}

impl Read for Fax<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.row.len() {
            self.next_row()?;
        }
        let n = (&self.row[self.taken..]).read(out)?;
        self.taken += n;
        Ok(n)
    }
}

/// Scans of such a JPEG at most. Writers of TIFF use one, or one a component.
const MAX_SCANS: usize = 8;

/// The pixels of a chunk that is a JPEG of its own, without the tables that it shares with the others.
fn photo(page: &Page, packed: &[u8], rows: u32, interrupt: &Interrupt) -> io::Result<Vec<u8>> {
    const START: [u8; 2] = [0xff, 0xd8];
    let tables = match page.jpeg_tables.as_deref() {
        Some([0xff, 0xd8, tables @ .., 0xff, 0xd9]) => tables,
        Some(_) => return Err(broken()),
        None => &[],
    };
    let data = packed.strip_prefix(&START).ok_or_else(broken)?;
    let file = [&START, tables, data].concat();
    let colors = match (page.photometric, page.samples_together()) {
        (_, 1) => Colors::Gray,
        (Photometric::YCbCr, _) => Colors::Rgb,
        // What the directory declares counts, and not what a decoder would guess.
        _ => Colors::AsStored,
    };
    // The last strip may be an image of its own height, or be padded as tiles are.
    let whole = Size::new(page.chunk.width, page.chunk.height);
    let size = if page.cut == Cut::Tiles { whole } else { Size::new(page.chunk.width, rows) };
    // Every scan is a pass over the whole chunk, and of a sequential file's the decoder counts none.
    let scans = Scans::of(&file).count;
    if scans > MAX_SCANS {
        return Err(broken());
    }
    let samples = jpeg::pixels(&file, &[size, whole], colors, scans, interrupt).map_err(|_| broken())?;
    let expected = page.row_bytes() * rows as usize;
    if samples.len() < expected { Err(broken()) } else { Ok(samples) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of some lengths the decoder gives the last bytes together with the notice that it is at its end.
    #[test]
    fn lzw_of_any_length_is_read_to_its_end_in_pieces_of_any_size() {
        for length in 1..400_usize {
            let bytes: Vec<u8> = (0..length).map(|i| if i % 7 < 4 { 255 } else { (i * i) as u8 }).collect();
            let packed = weezl::encode::Encoder::with_tiff_size_switch(BitOrder::Msb, 8).encode(&bytes).expect("bytes");
            for row in [1, 3, 64, 1000] {
                let mut reader = Lzw::new(&packed);
                let mut read = Vec::new();
                let mut piece = vec![0; row];
                while read.len() < length {
                    let wanted = row.min(length - read.len());
                    reader.read_exact(&mut piece[..wanted]).unwrap_or_else(|e| panic!("{length} by {row}: {e}"));
                    read.extend_from_slice(&piece[..wanted]);
                }
                assert_eq!(read, bytes, "{length} by {row}");
            }
            let mut cut = Lzw::new(&packed[..packed.len() / 2]);
            assert!(cut.read_exact(&mut vec![0; length]).is_err(), "{length}: half of it is not all");
        }
    }
}
