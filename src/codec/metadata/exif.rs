//! Exif (CIPA DC-008): a block that is a TIFF file without pixels. Read, corrected in place, and written small.
//!
//! A block that is kept whole is corrected where it lies and never taken apart: makers' notes hold positions counted
//! from its beginning, and a library that writes it anew breaks them. A block of a few safe tags is written from
//! nothing, and one of what a TIFF says, whose notes lie among its pixels.

mod correct;
mod portable;
mod write;

use super::Density;
use crate::codec::orientation::Orientation;

pub use correct::corrected;
pub use portable::{Portable, Value};
pub use write::{gathered, written};

/// Tags of the main directory.
pub mod tag {
    /// Columns.
    pub const WIDTH: u16 = 0x0100;
    /// Rows.
    pub const HEIGHT: u16 = 0x0101;
    /// How the picture is stored.
    pub const ORIENTATION: u16 = 0x0112;
    /// Pixels per unit, across.
    pub const X_RESOLUTION: u16 = 0x011a;
    /// Pixels per unit, down.
    pub const Y_RESOLUTION: u16 = 0x011b;
    /// 2 is an inch, 3 a centimeter.
    pub const RESOLUTION_UNIT: u16 = 0x0128;
    /// Who made it.
    pub const ARTIST: u16 = 0x013b;
    /// Whose it is.
    pub const COPYRIGHT: u16 = 0x8298;
    /// An XMP packet, in a TIFF.
    pub const XMP: u16 = 0x02bc;
    /// IPTC, in a TIFF.
    pub const IPTC: u16 = 0x83bb;
    /// An ICC profile, in a TIFF.
    pub const PROFILE: u16 = 0x8773;
    /// Photoshop's resources, in a TIFF.
    pub const PHOTOSHOP: u16 = 0x8649;
    /// Where the directory of the place is.
    pub const GPS: u16 = 0x8825;
    /// Where the directory of the camera's own tags is.
    pub const EXIF: u16 = 0x8769;
}

/// Width and height in the directory of the camera.
const PIXEL_X: u16 = 0xa002;
const PIXEL_Y: u16 = 0xa003;

const BYTE: u16 = 1;
const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;
const UNDEFINED: u16 = 7;

/// Bytes of an entry in a directory.
const ENTRY: usize = 12;

/// Bytes of one value of a type, by its number in the standard.
pub const fn unit(kind: u16) -> Option<usize> {
    Some(match kind {
        BYTE | ASCII | 6 | UNDEFINED | 129 => 1,
        SHORT | 8 => 2,
        LONG | 9 | 11 | 13 => 4,
        RATIONAL | 10 | 12 | 16..=18 => 8,
        _ => return None,
    })
}

/// The block without the `Exif\0\0` that may stand before it.
pub fn bare(block: &[u8]) -> &[u8] {
    block.strip_prefix(b"Exif\0\0").unwrap_or(block)
}

/// A block in either byte order.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    bytes: &'a [u8],
    big: bool,
    /// Whether counts and places take eight bytes, as in a BigTIFF.
    wide: bool,
    /// Where the main directory is, if it is not the first.
    page: Option<usize>,
}

/// A tag: where it stands, its number, the type of its value and how many there are.
#[derive(Clone, Copy)]
struct Entry {
    at: usize,
    tag: u16,
    kind: u16,
    count: usize,
}

impl<'a> Block<'a> {
    /// `None` if it does not begin as a TIFF.
    pub fn new(block: &'a [u8]) -> Option<Self> {
        let bytes = bare(block);
        match bytes.get(..4)? {
            b"II*\0" => Some(Self { bytes, big: false, wide: false, page: None }),
            b"MM\0*" => Some(Self { bytes, big: true, wide: false, page: None }),
            _ => None,
        }
    }

    /// A TIFF or BigTIFF, with the directory of a page, by its place in the file, as the main one.
    pub fn of_page(file: &'a [u8], directory: usize) -> Option<Self> {
        let (big, wide) = match file.get(..4)? {
            b"II*\0" => (false, false),
            b"MM\0*" => (true, false),
            b"II+\0" => (false, true),
            b"MM\0+" => (true, true),
            _ => return None,
        };
        Some(Self { bytes: file, big, wide, page: Some(directory) })
    }

    fn main(self) -> Option<usize> {
        self.page.or_else(|| self.long(4))
    }

    /// The tags of a directory, as far as they are there.
    fn entries(self, directory: usize) -> impl Iterator<Item = Entry> + use<'a> {
        let (count, first, stride) =
            if self.wide { (self.word(directory), 8, 20) } else { (self.short(directory).map(usize::from), 2, ENTRY) };
        (0..count.unwrap_or(0)).map_while(move |i| {
            let at = stride.checked_mul(i)?.checked_add(first)?.checked_add(directory)?;
            Some(Entry { at, tag: self.short(at)?, kind: self.short(at + 2)?, count: self.word(at + 4)? })
        })
    }

    fn find(self, directory: usize, tag: u16) -> Option<Entry> {
        self.entries(directory).find(|entry| entry.tag == tag)
    }

    /// The bytes of a value, wherever they are.
    fn value(self, entry: Entry) -> Option<&'a [u8]> {
        let length = entry.count.checked_mul(unit(entry.kind)?)?;
        let (word, inside) = if self.wide { (8, entry.at + 12) } else { (4, entry.at + 8) };
        let at = if length <= word { inside } else { self.word(inside)? };
        self.bytes.get(at..at.checked_add(length)?)
    }

    /// A whole number of the main directory.
    pub fn number(self, tag: u16) -> Option<u32> {
        let entry = self.find(self.main()?, tag)?;
        let value = self.value(entry)?;
        match entry.kind {
            SHORT => self.low_first(value).map(u16::from_le_bytes).map(u32::from),
            LONG | 13 => self.low_first(value).map(u32::from_le_bytes),
            16 | 18 => self.low_first(value).map(u64::from_le_bytes)?.try_into().ok(),
            _ => None,
        }
    }

    /// How the picture is stored.
    pub fn orientation(self) -> Option<Orientation> {
        // Some writers make it a long number, and readers do not believe them.
        let entry = self.find(self.main()?, tag::ORIENTATION).filter(|entry| entry.kind == SHORT)?;
        Orientation::from_number(u64::from(self.short(entry.at + 8)?))
    }

    /// Pixels per inch.
    pub fn density(self) -> Option<Density> {
        let (x, y) = (self.rational(tag::X_RESOLUTION)?, self.rational(tag::Y_RESOLUTION)?);
        match self.number(tag::RESOLUTION_UNIT) {
            // Inches where nothing is said.
            None | Some(2) => Density::per_inch(x, y),
            Some(3) => Density::per_centimeter(x, y),
            Some(_) => None,
        }
    }

    fn rational(self, tag: u16) -> Option<f64> {
        let value = self.value(self.find(self.main()?, tag).filter(|entry| entry.kind == RATIONAL)?)?;
        let [over, under] = [value, value.get(4..)?].map(|bytes| self.low_first(bytes).map(u32::from_le_bytes));
        Some(f64::from(over?) / f64::from(under?))
    }

    /// Whether it says more than what [`written`] keeps.
    pub fn says_more(self) -> bool {
        const KEPT: [u16; 8] = [
            tag::WIDTH,
            tag::HEIGHT,
            tag::ORIENTATION,
            tag::X_RESOLUTION,
            tag::Y_RESOLUTION,
            tag::RESOLUTION_UNIT,
            tag::ARTIST,
            tag::COPYRIGHT,
        ];
        let Some(main) = self.main() else { return false };
        self.has_next(main) || self.entries(main).any(|entry| !KEPT.contains(&entry.tag))
    }

    /// Whether another directory follows: of a block, that of its thumbnail.
    fn has_next(self, main: usize) -> bool {
        let end = self.short(main).and_then(|entries| main.checked_add(2 + ENTRY * usize::from(entries)));
        end.and_then(|end| self.long(end)).is_some_and(|next| next != 0)
    }

    /// The bytes of an entry that has no form of its own.
    pub fn raw(self, tag: u16) -> Option<&'a [u8]> {
        // IPTC is often given as numbers of four bytes.
        let entry = self.find(self.main()?, tag).filter(|entry| matches!(entry.kind, BYTE | UNDEFINED | LONG))?;
        self.value(entry)
    }

    /// A text of the main directory, without the zeros at its end; `None` if nothing is in it.
    pub fn text(self, tag: u16) -> Option<&'a [u8]> {
        let entry = self.find(self.main()?, tag).filter(|entry| entry.kind == ASCII)?;
        let text = self.value(entry)?.trim_ascii_end();
        let end = text.iter().rposition(|byte| *byte != 0 && *byte != b' ')?;
        Some(&text[..=end])
    }

    /// The first bytes, the low one first.
    fn low_first<const N: usize>(self, bytes: &[u8]) -> Option<[u8; N]> {
        let mut bytes = *bytes.first_chunk()?;
        if self.big {
            bytes.reverse();
        }
        Some(bytes)
    }

    fn short(self, at: usize) -> Option<u16> {
        self.low_first(self.bytes.get(at..)?).map(u16::from_le_bytes)
    }

    fn long(self, at: usize) -> Option<usize> {
        usize::try_from(self.low_first(self.bytes.get(at..)?).map(u32::from_le_bytes)?).ok()
    }

    /// A count or a place.
    fn word(self, at: usize) -> Option<usize> {
        if !self.wide {
            return self.long(at);
        }
        usize::try_from(self.low_first(self.bytes.get(at..)?).map(u64::from_le_bytes)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::Size;

    const SIZE: Size = Size::new(70_000, 40);

    /// A block of these entries (tag, type, value of one or, for text, of its letters), the camera's among them, and a
    /// directory for a thumbnail after it.
    fn block(big: bool, main: &[(u16, u16, Vec<u8>)], camera: &[(u16, u16, Vec<u8>)], thumbnail: bool) -> Vec<u8> {
        let short = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let long = |v: usize| if big { (v as u32).to_be_bytes() } else { (v as u32).to_le_bytes() };
        let size = |entries: usize| 2 + ENTRY * entries + 4;
        let first = 8 + size(main.len());
        let second = first + size(camera.len());
        let mut values_at = second + size(1);
        let mut values: Vec<u8> = Vec::new();
        let mut directory = |entries: &[(u16, u16, Vec<u8>)], next: usize| {
            let mut bytes = short(entries.len() as u16).to_vec();
            for (tag, kind, value) in entries {
                let count = if *kind == ASCII { value.len() } else { 1 };
                bytes.extend([short(*tag), short(*kind)].concat());
                bytes.extend(long(count));
                if value.len() <= 4 {
                    let mut inline = value.clone();
                    inline.resize(4, 0);
                    bytes.extend(inline);
                } else {
                    bytes.extend(long(values_at));
                    values_at += value.len();
                    values.extend(value);
                }
            }
            bytes.extend(long(next));
            bytes
        };
        let mut out = if big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
        out.extend(long(8));
        out.extend(directory(main, if thumbnail { second } else { 0 }));
        out.extend(directory(camera, 0));
        // The thumbnail says that it is JPEG.
        out.extend(directory(&[(0x0103, SHORT, short(6).to_vec())], 0));
        out.extend(values);
        out
    }

    fn camera_block(big: bool, orientation: u16) -> Vec<u8> {
        let short = |v: u16| if big { v.to_be_bytes().to_vec() } else { v.to_le_bytes().to_vec() };
        let long = |v: u32| if big { v.to_be_bytes().to_vec() } else { v.to_le_bytes().to_vec() };
        let main = [
            (tag::WIDTH, SHORT, short(8)),
            (tag::HEIGHT, LONG, long(4)),
            (tag::ORIENTATION, SHORT, short(orientation)),
            (tag::X_RESOLUTION, RATIONAL, [long(720), long(10)].concat()),
            (tag::Y_RESOLUTION, RATIONAL, [long(72), long(1)].concat()),
            (tag::RESOLUTION_UNIT, SHORT, short(3)),
            (tag::ARTIST, ASCII, b"Ada\0".to_vec()),
            (tag::COPYRIGHT, ASCII, b"(c) Ada  \0\0".to_vec()),
            (tag::EXIF, LONG, long(8 + 2 + 9 * 12 + 4)),
        ];
        let camera = [(PIXEL_X, LONG, long(8)), (PIXEL_Y, SHORT, short(4)), (0x927c, ASCII, b"maker's note".to_vec())];
        block(big, &main, &camera, true)
    }

    /// By another reader.
    fn told(block: &[u8], tag: ::exif::Tag, directory: ::exif::In) -> Option<String> {
        let read = ::exif::Reader::new().read_raw(block.to_vec()).expect("a block");
        read.get_field(tag, directory).map(|field| field.display_value().to_string())
    }

    #[test]
    fn a_block_is_corrected_in_place_in_either_byte_order() {
        use ::exif::{In, Tag};
        for big in [false, true] {
            let old = camera_block(big, 6);
            let new = corrected(&old, SIZE, Density::per_inch(144.5, 300.0)).expect("a block");
            assert_eq!(new.len(), old.len(), "nothing is moved");
            let primary = |tag| told(&new, tag, In::PRIMARY).expect("it is there");
            assert_eq!(primary(Tag::ImageWidth), "70000", "too long for a short number");
            assert_eq!(primary(Tag::ImageLength), "40");
            assert_eq!(primary(Tag::PixelXDimension), "70000");
            assert_eq!(primary(Tag::PixelYDimension), "40");
            assert_eq!((primary(Tag::XResolution), primary(Tag::YResolution)), ("144.5".into(), "300".into()));
            assert_eq!(primary(Tag::ResolutionUnit), "inch");
            assert_eq!(primary(Tag::Artist), "\"Ada\"");
            assert!(new.windows(12).any(|bytes| bytes == b"maker's note"));
            assert_eq!(Block::new(&new).and_then(Block::orientation), Some(Orientation::Upright));
            assert_eq!(told(&new, Tag::Compression, In::THUMBNAIL), None, "it would lie on its side");
            assert!(told(&old, Tag::Compression, In::THUMBNAIL).is_some());
            // An upright one may stay, and without a density nothing is said anew.
            let kept = corrected(&camera_block(big, 1), SIZE, None).expect("a block");
            assert!(told(&kept, Tag::Compression, In::THUMBNAIL).is_some());
            assert_eq!(told(&kept, Tag::XResolution, In::PRIMARY).as_deref(), Some("72"));
        }
        assert_eq!(corrected(b"no block", SIZE, None), None);
    }

    #[test]
    fn what_is_needed_is_read() {
        for big in [false, true] {
            let bytes = camera_block(big, 6);
            let block = Block::new(&bytes).expect("a block");
            assert_eq!(block.density(), Density::per_centimeter(72.0, 72.0));
            assert_eq!(block.text(tag::ARTIST), Some(&b"Ada"[..]));
            assert_eq!(block.text(tag::COPYRIGHT), Some(&b"(c) Ada"[..]));
            assert!(block.says_more());
        }
    }

    #[test]
    fn a_written_block_says_what_it_should_and_no_more() {
        use ::exif::{In, Tag};
        let bytes = written(Density::per_inch(1200.0, 599.25), Some(b"Ada"), Some("© Ada".as_bytes()));
        let field = |tag| told(&bytes, tag, In::PRIMARY).expect("it is there");
        assert_eq!((field(Tag::XResolution), field(Tag::YResolution)), ("1200".into(), "599.25".into()));
        assert_eq!(field(Tag::ResolutionUnit), "inch");
        let block = Block::new(&bytes).expect("a block");
        assert_eq!(block.text(tag::ARTIST), Some(&b"Ada"[..]));
        assert_eq!(block.text(tag::COPYRIGHT), Some("© Ada".as_bytes()));
        assert_eq!(block.orientation(), Some(Orientation::Upright));
        assert!(!block.says_more());
        let least = written(None, Some(b"A"), None);
        assert_eq!(told(&least, Tag::Artist, In::PRIMARY).as_deref(), Some("\"A\""));
        assert_eq!(told(&least, Tag::XResolution, In::PRIMARY), None);
    }

    proptest! {
        /// No bytes make it panic, grow or lose any.
        #[test]
        fn nonsense_is_read_and_corrected(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
            big in any::<bool>(), length in any::<prop::sample::Index>(),
        ) {
            let mut bytes = camera_block(big, 6);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(length.index(bytes.len()) + 1);
            if let Some(block) = Block::new(&bytes) {
                block.says_more();
                block.density();
                block.text(tag::COPYRIGHT);
                for block in [Some(block), Block::of_page(&bytes, 8)].into_iter().flatten() {
                    let taken = Portable::of(block).expect("less than a note may be");
                    let again = gathered(taken.clone(), None);
                    let again = Portable::of(Block::new(&again).expect("a block")).expect("no more than before");
                    prop_assert_eq!((again.camera, again.place), (taken.camera, taken.place));
                }
            }
            if let Some(new) = corrected(&bytes, SIZE, Density::per_inch(1.5, 2.5)) {
                prop_assert_eq!(new.len(), bytes.len());
            }
        }
    }
}
