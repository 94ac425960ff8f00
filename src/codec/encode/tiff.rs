//! TIFF 6.0, band after band. The directory stands before the pixels and says where each strip will be, so strips are
//! not packed: their lengths must be known before the first one is written. BigTIFF where 32 bits cannot say it.

use std::io::Write;

use super::rows::{Rows, little_endian};
use super::sink::Sink;
use super::{EncodeError, Target};
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
#[derive(Clone, Copy)]
enum Kind {
    Byte = 1,
    Ascii = 2,
    Short = 3,
    Long = 4,
    Ratio = 5,
    Undefined = 7,
    Long8 = 16,
}

impl Kind {
    const fn bytes(self) -> u64 {
        match self {
            Self::Byte | Self::Ascii | Self::Undefined => 1,
            Self::Short => 2,
            Self::Long => 4,
            Self::Ratio | Self::Long8 => 8,
        }
    }
}

/// An entry whose values may stand after the directory.
struct Entry {
    tag: u16,
    kind: Kind,
    values: Vec<u8>,
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

    fn length(self, target: &Target) -> u64 {
        self.laid_out(&self.entries(target, 0)).1
    }

    fn bytes(self, target: &Target) -> Vec<u8> {
        let entries = self.entries(target, self.length(target));
        let (mut at, length) = self.laid_out(&entries);
        let mut out = Vec::with_capacity(length as usize);
        if self.wide {
            out.extend_from_slice(b"II\x2b\0\x08\0\0\0\x10\0\0\0\0\0\0\0");
            out.extend_from_slice(&(entries.len() as u64).to_le_bytes());
        } else {
            out.extend_from_slice(b"II\x2a\0\x08\0\0\0");
            out.extend_from_slice(&(entries.len() as u16).to_le_bytes());
        }
        for Entry { tag, kind, values } in &entries {
            out.extend_from_slice(&tag.to_le_bytes());
            out.extend_from_slice(&(*kind as u16).to_le_bytes());
            self.push_word(&mut out, values.len() as u64 / kind.bytes());
            if values.len() <= self.word() {
                out.extend_from_slice(values);
                out.resize(out.len() + self.word() - values.len(), 0);
            } else {
                self.push_word(&mut out, at);
                at += values.len().next_multiple_of(8) as u64;
            }
        }
        // No further page.
        self.push_word(&mut out, 0);
        for Entry { values, .. } in entries.iter().filter(|entry| entry.values.len() > self.word()) {
            out.resize(out.len().next_multiple_of(8), 0);
            out.extend_from_slice(values);
        }
        out.resize(length as usize, 0);
        out
    }

    fn push_word(self, out: &mut Vec<u8>, number: u64) {
        out.extend_from_slice(&number.to_le_bytes()[..self.word()]);
    }

    /// Where values after the directory begin, and the length of it all.
    fn laid_out(self, entries: &[Entry]) -> (u64, u64) {
        let (header, count, entry) = if self.wide { (16, 8, 20) } else { (8, 2, 12) };
        let directory = (header + count + entry * entries.len() + self.word()).next_multiple_of(8) as u64;
        let outside = entries.iter().map(|entry| entry.values.len()).filter(|length| *length > self.word());
        (directory, directory + outside.map(|length| length.next_multiple_of(8) as u64).sum::<u64>())
    }

    /// In the order of their tags.
    fn entries(self, target: &Target, pixels: u64) -> Vec<Entry> {
        let short = |tag, values: &[u16]| {
            let values = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            Entry { tag, kind: Kind::Short, values }
        };
        let long = |tag, value: u32| Entry { tag, kind: Kind::Long, values: value.to_le_bytes().to_vec() };
        let words = |tag, value: &dyn Fn(u64) -> u64| {
            let word = |i| value(i).to_le_bytes().into_iter().take(self.word());
            let kind = if self.wide { Kind::Long8 } else { Kind::Long };
            Entry { tag, kind, values: (0..self.strips.count).flat_map(word).collect() }
        };
        let text = |tag, text: &[u8]| Entry { tag, kind: Kind::Ascii, values: [text, b"\0"].concat() };
        let notes = &target.notes;
        // Square pixels of no size where nothing is known.
        let (unit, ratios) = notes.density.map_or((1, [(1, 1); 2]), |density| (2, density.rationals()));
        let [across, down] = ratios.map(|(over, under)| [over.to_le_bytes(), under.to_le_bytes()].concat());
        let channels = target.channels;
        let bits = if target.depth == Depth::Sixteen { 16 } else { 8 };
        let mut entries = vec![
            long(256, target.size.width),
            long(257, target.size.height),
            short(258, &vec![bits; channels.count()]),
            short(259, &[1]),
            // Gray from black to white, or red, green, blue.
            short(262, &[if channels.colours() == 1 { 1 } else { 2 }]),
            words(273, &|i| pixels + self.strips.offset(i)),
            short(277, &[channels.count() as u16]),
            long(278, self.strips.rows),
            words(279, &|i| self.strips.length(i)),
            Entry { tag: 282, kind: Kind::Ratio, values: across },
            Entry { tag: 283, kind: Kind::Ratio, values: down },
            short(284, &[1]),
            short(296, &[unit]),
        ];
        entries.extend(notes.rights.artist.as_deref().map(|artist| text(315, artist)));
        if matches!(channels, Channels::GrayAlpha | Channels::Rgba) {
            // Alpha that the colours were not multiplied by.
            entries.push(short(338, &[2]));
        }
        if let Some(packet) = &notes.xmp {
            entries.push(Entry { tag: 700, kind: Kind::Byte, values: packet.to_vec() });
        }
        entries.extend(notes.rights.copyright.as_deref().map(|copyright| text(33_432, copyright)));
        if let Some(profile) = &target.icc {
            entries.push(Entry { tag: 34_675, kind: Kind::Undefined, values: profile.to_vec() });
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::OutputFormat;
    use crate::codec::container::tiff::page;
    use crate::codec::notes::Kept;
    use crate::units::Size;

    fn target(size: Size) -> Target {
        let (channels, depth) = (Channels::Rgba, Depth::Sixteen);
        Target { format: OutputFormat::Tiff, quality: 90, size, channels, depth, icc: None, notes: Kept::default() }
    }

    #[test]
    fn what_32_bits_cannot_say_is_a_bigtiff() {
        // 16383 rows of 32768 pixels of 8 bytes are 256 KiB short of 4 GiB; the directory takes some 128 KiB.
        for (height, version) in [(16_383, 42), (16_384, 43)] {
            let target = target(Size::new(32_768, height));
            let front = front(&target);
            assert_eq!(front[2], version);
            assert!((front.len() as u64) < buffered_bytes(&target, 0));
            let told = Front { strips: &Strips::new(&target), wide: version == 43 };
            assert_eq!(front.len() as u64, told.length(&target));
        }
    }

    #[test]
    fn the_last_strip_may_be_shorter() {
        let target = target(Size::new(1000, 100));
        let strips = Strips::new(&target);
        assert_eq!((strips.rows, strips.count), (32, 4));
        assert_eq!((strips.length(2), strips.length(3)), (32 * 8000, 4 * 8000));
        let file = [front(&target), vec![7; 800_000]].concat();
        let (page, _) = page(&file, None).expect("a page");
        assert_eq!(page.chunk_bytes(3).map(<[u8]>::len), Some(32_000));
        assert!(page.chunk_bytes(0).expect("there").iter().all(|b| *b == 7));
    }
}
