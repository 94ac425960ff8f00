//! TIFF 6.0, band after band. The directory comes before the pixels and gives where each strip will be, so strips are
//! not packed: their lengths must be known before the first one is written. BigTIFF where 32 bits cannot express it.

use std::io::Write;

use crate::encode::rows::{Rows, little_endian};
use crate::encode::sink::Sink;
use crate::encode::target::{EncodeError, Target};
use crate::metadata::exif::tag;
use crate::raster::{Channels, Depth};

/// Bytes of a strip, as far as whole rows go: readers unpack strip by strip.
const STRIP: u64 = 256 << 10;

/// A little-endian copy of some rows, and the directory with two numbers for each strip.
pub fn buffered_bytes(target: &Target, row: u64) -> u64 {
    row + 2 * (16 * Strips::new(target).count + (16 << 10))
}

pub fn encode(target: &Target, mut rows: Rows, sink: &Sink) -> Result<(), EncodeError> {
    let mut out = sink;
    out.write_all(&front(target))?;
    let mut scratch = Vec::new();
    while let Some((_, band)) = rows.next_band()? {
        out.write_all(little_endian(band.samples(), &mut scratch))?;
    }
    Ok(())
}

/// How the rows are cut.
struct Strips {
    row_bytes: u64,
    rows: u32,
    count: u64,
    height: u64,
}

impl Strips {
    fn new(target: &Target) -> Self {
        let row_bytes = u64::from(target.size.width) * (target.channels.count() * target.depth.bytes()) as u64;
        let rows = (STRIP / row_bytes).clamp(1, u64::from(target.size.height)) as u32;
        Self { row_bytes, rows, count: u64::from(target.size.height.div_ceil(rows)), height: target.size.height.into() }
    }

    fn offset(&self, number: u64) -> u64 {
        number * u64::from(self.rows) * self.row_bytes
    }

    fn length(&self, number: u64) -> u64 {
        (self.height - number * u64::from(self.rows)).min(self.rows.into()) * self.row_bytes
    }
}

/// Types of values, by their numbers in the standard.
const BYTE: u16 = 1;
const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;
const UNDEFINED: u16 = 7;
const LONG8: u16 = 16;

/// An entry of the directory: its tag, the type of its value, and that, low bytes first.
struct Value {
    tag: u16,
    kind: u16,
    bytes: Vec<u8>,
}

impl Value {
    fn short(tag: u16, number: u16) -> Self {
        Self { tag, kind: SHORT, bytes: number.to_le_bytes().to_vec() }
    }

    fn long(tag: u16, number: u32) -> Self {
        Self { tag, kind: LONG, bytes: number.to_le_bytes().to_vec() }
    }

    fn ratio(tag: u16, (over, under): (u32, u32)) -> Self {
        Self { tag, kind: RATIONAL, bytes: [over.to_le_bytes(), under.to_le_bytes()].concat() }
    }

    fn text(tag: u16, text: &[u8]) -> Self {
        Self { tag, kind: ASCII, bytes: [text, b"\0"].concat() }
    }
}

/// Everything before the pixels.
fn front(target: &Target) -> Vec<u8> {
    let strips = Strips::new(target);
    let classic = Front { strips: &strips, wide: false };
    let file = classic.length(target) + strips.height * strips.row_bytes;
    if u32::try_from(file).is_ok() { classic.bytes(target) } else { Front { wide: true, ..classic }.bytes(target) }
}

#[derive(Clone, Copy)]
struct Front<'a> {
    strips: &'a Strips,
    /// BigTIFF.
    wide: bool,
}

impl Front<'_> {
    /// Bytes of an offset.
    const fn word(self) -> usize {
        if self.wide { 8 } else { 4 }
    }

    /// Bytes before the main directory.
    const fn head(self) -> usize {
        if self.wide { 16 } else { 8 }
    }

    fn length(self, target: &Target) -> u64 {
        self.head() as u64 + self.laid_out(&self.entries(target, 0)).1
    }

    fn bytes(self, target: &Target) -> Vec<u8> {
        let length = self.length(target);
        let entries = self.entries(target, length);
        let mut out = Vec::with_capacity(length as usize);
        let head: &[u8] = if self.wide { b"II\x2b\0\x08\0\0\0\x10\0\0\0\0\0\0\0" } else { b"II\x2a\0\x08\0\0\0" };
        out.extend_from_slice(head);
        self.push(&mut out, &entries);
        out
    }

    /// A directory and its values.
    fn push(self, out: &mut Vec<u8>, entries: &[Value]) {
        let (values, length) = self.laid_out(entries);
        let (mut at, end) = (out.len() as u64 + values, out.len() + length as usize);
        out.extend_from_slice(&(entries.len() as u64).to_le_bytes()[..if self.wide { 8 } else { 2 }]);
        for Value { tag, kind, bytes } in entries {
            out.extend_from_slice(&tag.to_le_bytes());
            out.extend_from_slice(&kind.to_le_bytes());
            let unit = match *kind {
                SHORT => 2,
                LONG => 4,
                RATIONAL | LONG8 => 8,
                _ => 1,
            };
            self.push_word(out, bytes.len() as u64 / unit);
            if bytes.len() <= self.word() {
                out.extend_from_slice(bytes);
                out.resize(out.len() + self.word() - bytes.len(), 0);
            } else {
                self.push_word(out, at);
                at += bytes.len().next_multiple_of(8) as u64;
            }
        }
        // No further page.
        self.push_word(out, 0);
        for Value { bytes, .. } in entries.iter().filter(|entry| entry.bytes.len() > self.word()) {
            out.resize(out.len().next_multiple_of(8), 0);
            out.extend_from_slice(bytes);
        }
        out.resize(end, 0);
    }

    fn push_word(self, out: &mut Vec<u8>, number: u64) {
        out.extend_from_slice(&number.to_le_bytes()[..self.word()]);
    }

    /// Where values begin after the beginning of their directory, and the length of it all; both in eights.
    fn laid_out(self, entries: &[Value]) -> (u64, u64) {
        let (count, entry) = if self.wide { (8, 20) } else { (2, 12) };
        let directory = (count + entry * entries.len() + self.word()).next_multiple_of(8) as u64;
        let outside = entries.iter().map(|entry| entry.bytes.len()).filter(|length| *length > self.word());
        (directory, directory + outside.map(|length| length.next_multiple_of(8) as u64).sum::<u64>())
    }

    /// In the order of their tags.
    fn entries(self, target: &Target, pixels: u64) -> Vec<Value> {
        let words = |tag, value: &dyn Fn(u64) -> u64| {
            let word = |i| value(i).to_le_bytes().into_iter().take(self.word());
            let kind = if self.wide { LONG8 } else { LONG };
            Value { tag, kind, bytes: (0..self.strips.count).flat_map(word).collect() }
        };
        let bytes = |tag, kind, bytes: &[u8]| Value { tag, kind, bytes: bytes.to_vec() };
        let metadata = &target.metadata;
        // Square pixels of no size where nothing is known.
        let (unit, [across, down]) = metadata.density.map_or((1, [(1, 1); 2]), |density| (2, density.rationals()));
        let channels = target.channels;
        let bits: u16 = if target.depth == Depth::Sixteen { 16 } else { 8 };
        let mut entries = vec![
            Value::long(tag::WIDTH, target.size.width),
            Value::long(tag::HEIGHT, target.size.height),
            bytes(258, SHORT, &bits.to_le_bytes().repeat(channels.count())),
            Value::short(259, 1),
            // Gray from black to white, or red, green, blue.
            Value::short(262, if channels.colors() == 1 { 1 } else { 2 }),
            words(273, &|i| pixels + self.strips.offset(i)),
            Value::short(277, channels.count() as u16),
            Value::long(278, self.strips.rows),
            words(279, &|i| self.strips.length(i)),
            Value::ratio(tag::X_RESOLUTION, across),
            Value::ratio(tag::Y_RESOLUTION, down),
            Value::short(284, 1),
            Value::short(tag::RESOLUTION_UNIT, unit),
        ];
        if matches!(channels, Channels::GrayAlpha | Channels::Rgba) {
            // Alpha that the colors were not multiplied by.
            entries.push(Value::short(338, 2));
        }
        let (artist, copyright) = (metadata.rights.artist.as_deref(), metadata.rights.copyright.as_deref());
        entries.extend(artist.map(|artist| Value::text(tag::ARTIST, artist)));
        entries.extend(copyright.map(|copyright| Value::text(tag::COPYRIGHT, copyright)));
        entries.extend(metadata.xmp.as_deref().map(|packet| bytes(tag::XMP, BYTE, packet)));
        entries.extend(target.icc.as_deref().map(|profile| bytes(tag::PROFILE, UNDEFINED, profile)));
        entries.sort_by_key(|entry| entry.tag);
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OutputFormat;
    use crate::formats::tiff::page;
    use crate::metadata::OutputMetadata;
    use crate::units::Size;

    fn target(size: Size) -> Target {
        let (channels, depth) = (Channels::Rgba, Depth::Sixteen);
        Target {
            format: OutputFormat::Tiff,
            quality: 90,
            size,
            channels,
            depth,
            icc: None,
            metadata: OutputMetadata::default(),
        }
    }

    #[test]
    fn what_32_bits_cannot_say_is_a_bigtiff() {
        // 16383 rows of 32768 pixels of 8 bytes are 256 KiB short of 4 GiB; the directory takes some 128 KiB.
        for (height, version) in [(16_383, 42), (16_384, 43)] {
            let target = target(Size::new(32_768, height));
            let front = front(&target);
            assert_eq!(front[2], version);
            assert!((front.len() as u64) < buffered_bytes(&target, 0));
            let planned = Front { strips: &Strips::new(&target), wide: version == 43 };
            assert_eq!(front.len() as u64, planned.length(&target));
        }
    }

    #[test]
    fn the_last_strip_may_be_shorter() {
        let target = target(Size::new(1000, 100));
        let strips = Strips::new(&target);
        assert_eq!((strips.rows, strips.count), (32, 4));
        assert_eq!((strips.length(2), strips.length(3)), (32 * 8000, 4 * 8000));
        let file = [front(&target), vec![7; 800_000]].concat();
        let (page, _) = page(file.into(), None).expect("a page");
        assert_eq!(page.chunk_bytes(3).map(<[u8]>::len), Some(32_000));
        assert!(page.chunk_bytes(0).expect("there").iter().all(|b| *b == 7));
    }
}
