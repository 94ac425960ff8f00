//! What of a block can be taken out of it and stand elsewhere: the texts of its main directory, and the directories of
//! the camera and of the place, value by value.
//!
//! A TIFF's own directory is what Exif calls the main one, so this is the way of notes from a TIFF and into one. Makers'
//! notes stay behind: they hold positions in the file that they were written to.

use super::{ASCII, Block, ENTRY, LONG, RATIONAL, SHORT, tag, unit};
use crate::metadata::MAX_BYTES;

/// What stands before a text in UTF-16.
const UNICODE: &[u8] = b"UNICODE\0";

/// A tag and what it says, low bytes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its number.
    pub tag: u16,
    /// The type of its value, by its number in the standard.
    pub kind: u16,
    /// The value.
    pub bytes: Vec<u8>,
}

impl Value {
    /// A short number.
    pub fn short(tag: u16, number: u16) -> Self {
        Self { tag, kind: SHORT, bytes: number.to_le_bytes().to_vec() }
    }

    /// A long number.
    pub fn long(tag: u16, number: u32) -> Self {
        Self { tag, kind: LONG, bytes: number.to_le_bytes().to_vec() }
    }

    /// Numerator and denominator.
    pub fn ratio(tag: u16, (over, under): (u32, u32)) -> Self {
        Self { tag, kind: RATIONAL, bytes: [over.to_le_bytes(), under.to_le_bytes()].concat() }
    }

    /// A text, without the zero at its end.
    pub fn text(tag: u16, text: &[u8]) -> Self {
        Self { tag, kind: ASCII, bytes: [text, b"\0"].concat() }
    }

    /// Low bytes first where they were last.
    fn turn(&mut self) {
        let (from, width) = match unit(self.kind) {
            // Ratios are two numbers.
            Some(8) if self.kind != DOUBLE => (0, 4),
            Some(1) if self.bytes.starts_with(UNICODE) => (UNICODE.len(), 2),
            width => (0, width.unwrap_or(1)),
        };
        self.bytes[from..].chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
}

const DOUBLE: u16 = 12;
/// Text in UTF-8, of Exif 3.0.
const UTF8: u16 = 129;

/// What was taken, each directory in the order of its tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Portable {
    /// Texts of the main directory.
    pub main: Vec<Value>,
    /// The directory of the camera.
    pub camera: Vec<Value>,
    /// The directory of the place.
    pub place: Vec<Value>,
    /// Whether something had to stay behind.
    pub left: bool,
}

/// What becomes of a tag.
enum Fate {
    Taken,
    /// It is about the file that it stands in, or is looked for by itself.
    Passed,
    Left,
}

const fn of_main(tag: u16) -> Fate {
    match tag {
        // The names of document, image, maker, camera, page, program, author and computer, the day and the notice.
        0x010d..=0x0110 | 0x011d | 0x0131 | 0x0132 | tag::ARTIST | 0x013c | tag::COPYRIGHT => Fate::Taken,
        // How pixels are stored, and how large they are.
        ..0x0258 | tag::XMP | tag::IPTC | tag::PHOTOSHOP | tag::PROFILE | tag::EXIF | tag::GPS => Fate::Passed,
        _ => Fate::Left,
    }
}

const fn of_camera(tag: u16) -> Fate {
    match tag {
        // Makers' notes and one more directory; tables whose numbers are in the order of the block's bytes.
        0x927c | 0xa005 | 0x8828 | 0xa20c | 0xa302 | 0xa40b | 0xa462 => Fate::Left,
        _ => Fate::Taken,
    }
}

impl Portable {
    /// `None` if it is more than a note may be.
    pub fn of(block: Block) -> Option<Self> {
        let mut taken = Self::default();
        let Some(main) = block.main() else { return Some(taken) };
        let mut room = MAX_BYTES;
        taken.main = taken.values(block, main, of_main, &mut room)?;
        taken.camera = taken.below(block, tag::EXIF, of_camera, &mut room)?;
        taken.place = taken.below(block, tag::GPS, |_| Fate::Taken, &mut room)?;
        // What follows a page is another one, what follows in a block is its thumbnail.
        taken.left |= block.page.is_none() && block.has_next(main);
        Some(taken)
    }

    /// Whether it is more than who made it and whose it is.
    pub fn says_more(&self) -> bool {
        let texts = self.main.iter().any(|value| ![tag::ARTIST, tag::COPYRIGHT].contains(&value.tag));
        texts || !self.camera.is_empty() || !self.place.is_empty()
    }

    fn below(&mut self, block: Block, tag: u16, fate: fn(u16) -> Fate, room: &mut usize) -> Option<Vec<Value>> {
        let Some(directory) = block.number(tag) else { return Some(Vec::new()) };
        let values = self.values(block, directory as usize, fate, room)?;
        self.left |= values.is_empty();
        Some(values)
    }

    fn values(&mut self, block: Block, at: usize, fate: fn(u16) -> Fate, room: &mut usize) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        for entry in block.entries(at) {
            let bytes = match fate(entry.tag) {
                Fate::Passed => continue,
                Fate::Left => None,
                // Of other types are directories, and what only a BigTIFF has.
                Fate::Taken => block.value(entry).filter(|_| matches!(entry.kind, 1..=DOUBLE | UTF8)),
            };
            let Some(bytes) = bytes else {
                self.left = true;
                continue;
            };
            // Entries and values may lie over each other.
            *room = room.checked_sub(bytes.len() + ENTRY + 1)?;
            let mut value = Value { tag: entry.tag, kind: entry.kind, bytes: bytes.to_vec() };
            if block.big {
                value.turn();
            }
            values.push(value);
        }
        values.sort_by_key(|value| value.tag);
        values.dedup_by_key(|value| value.tag);
        Some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::exif::gathered;

    /// A page of a TIFF, or of a BigTIFF, with directories of camera and place after its own.
    fn file(big: bool, wide: bool) -> Vec<u8> {
        let number = |value: u64, bytes: usize| {
            if big { value.to_be_bytes()[8 - bytes..].to_vec() } else { value.to_le_bytes()[..bytes].to_vec() }
        };
        let (word, front, count, stride) = if wide { (8, 16, 8, 20) } else { (4, 8, 2, 12) };
        let size = |entries: usize| count + stride * entries + word;
        let camera_at = front + size(6);
        let place_at = camera_at + size(3);
        let values_at = place_at + size(1);
        let ratio = [number(7, 4), number(2, 4)].concat();
        let comment = [UNICODE, &number(0x20ac, 2)].concat();
        let main = vec![
            (0x0100, 3, 1, number(5, 2)),
            (0x010f, 2, 8, b"Machine\0".to_vec()),
            (0x0131, 2, 3, b"me\0".to_vec()),
            (tag::IPTC, 7, 1, vec![9]),
            (tag::EXIF, 4, 1, number(camera_at as u64, 4)),
            (tag::GPS, 4, 1, number(place_at as u64, 4)),
        ];
        let speeds = [number(100, 2), number(513, 2)].concat();
        let camera = vec![(0x829a, 5, 1, ratio.clone()), (0x8827, 3, 2, speeds), (0x9286, 7, 10, comment)];
        let (mut out, mut values) = (Vec::new(), Vec::new());
        for directory in [main, camera, vec![(2, 5, 1, ratio)]] {
            out.extend(number(directory.len() as u64, count));
            for (tag, kind, count, value) in directory {
                out.extend([number(tag.into(), 2), number(kind, 2), number(count, word)].concat());
                if value.len() <= word {
                    out.extend(&value);
                    out.resize(out.len() + word - value.len(), 0);
                } else {
                    out.extend(number((values_at + values.len()) as u64, word));
                    values.extend(value);
                }
            }
            out.extend(number(0, word));
        }
        let mark = if big { b"MM" } else { b"II" };
        let head = if wide {
            [mark.to_vec(), number(43, 2), number(8, 2), number(0, 2), number(16, 8)].concat()
        } else {
            [mark.to_vec(), number(42, 2), number(8, 4)].concat()
        };
        [head, out, values].concat()
    }

    fn page(file: &[u8]) -> Block<'_> {
        Block::of_page(file, if file[2..4].contains(&43) { 16 } else { 8 }).expect("a TIFF")
    }

    #[test]
    fn texts_and_directories_are_taken_from_every_kind_of_tiff() {
        let value = |tag, kind, bytes: &[u8]| Value { tag, kind, bytes: bytes.to_vec() };
        let ratio = [7, 0, 0, 0, 2, 0, 0, 0];
        let comment = [UNICODE, &[0xac, 0x20]].concat();
        let expected = Portable {
            main: vec![value(0x010f, 2, b"Machine\0"), value(0x0131, 2, b"me\0")],
            camera: vec![value(0x829a, 5, &ratio), value(0x8827, 3, &[100, 0, 1, 2]), value(0x9286, 7, &comment)],
            place: vec![value(2, 5, &ratio)],
            left: false,
        };
        for (big, wide) in [(false, false), (true, false), (false, true), (true, true)] {
            let file = file(big, wide);
            let taken = Portable::of(page(&file)).expect("it is small");
            assert_eq!(taken, expected, "big-endian: {big}, BigTIFF: {wide}");
            assert!(taken.says_more());
            // As a block of its own it says the same again, and nothing of it stays behind.
            let block = gathered(taken, None);
            assert_eq!(Portable::of(Block::new(&block).expect("a block")), Some(expected.clone()));
        }
    }

    #[test]
    fn what_cannot_be_moved_stays_and_is_told() {
        // Another maker's tag, a maker's note, a directory below, an unknown type, a value and a directory outside.
        for (from, to, main, camera) in [
            (&[0x31, 0x01, 2, 0][..], &[0x31, 0xc1, 2, 0][..], 1, 3),
            (&[0x86, 0x92, 7, 0], &[0x7c, 0x92, 7, 0], 2, 2),
            (&[0x27, 0x88, 3, 0], &[0x27, 0x88, 13, 0], 2, 2),
            (&[0x27, 0x88, 3, 0], &[0x27, 0x88, 99, 0], 2, 2),
            (&[0x0f, 0x01, 2, 0, 8, 0], &[0x0f, 0x01, 2, 0, 8, 9], 1, 3),
            (&[0x69, 0x87, 4, 0, 1, 0, 0, 0], &[0x69, 0x87, 4, 0, 1, 0, 0, 0, 0, 0, 9], 2, 0),
        ] {
            let mut file = file(false, false);
            let at = file.windows(from.len()).position(|bytes| bytes == from).expect("it is there");
            file[at..at + to.len()].copy_from_slice(to);
            let taken = Portable::of(page(&file)).expect("it is small");
            assert_eq!((taken.main.len(), taken.camera.len(), taken.left), (main, camera, true), "{to:x?}");
        }
    }

    #[test]
    fn entries_that_lie_over_each_other_are_not_taken_for_ever() {
        let count = (MAX_BYTES / 60_000) as u16 + 1;
        let mut file = [b"II*\0\x08\0\0\0".to_vec(), count.to_le_bytes().to_vec()].concat();
        for _ in 0..count {
            file.extend([&[0x0f, 0x01, 2, 0], &60_000_u32.to_le_bytes()[..], &[0; 4]].concat());
        }
        file.resize(70_000, b'a');
        assert_eq!(Portable::of(page(&file)), None);
        file[8] -= 1;
        assert!(Portable::of(page(&file)).is_some());
    }
}
