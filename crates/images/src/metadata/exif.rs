//! Exif (CIPA DC-008): a block that is a TIFF file without pixels. Read, corrected in place, and written small.
//!
//! A block that is kept whole is corrected where it lies and never taken apart: makers' notes hold positions counted
//! from its beginning. `kamadak-exif` and `little_exif` write a block anew, which breaks them, and unpack every value to list
//! the tags, which without a bound may lie over each other; so only the small block of a few safe tags is a library's.

mod correct;

use std::io::Cursor;

use ::exif::experimental::Writer;
use ::exif::{Field, In, Rational, Tag, Value};

use super::density::Density;
use crate::orientation::Orientation;

pub use correct::corrected;

/// How the image of this block is stored, `Exif\0\0` before it or not. Upright where that is not said, or makes no
/// sense: broken metadata is no reason to refuse an image.
pub fn orientation(block: &[u8]) -> Orientation {
    Block::new(block).and_then(Block::orientation).unwrap_or_default()
}

/// Tags of the main directory.
pub mod tag {
    /// Columns.
    pub const WIDTH: u16 = 0x0100;
    /// Rows.
    pub const HEIGHT: u16 = 0x0101;
    /// How the image is stored.
    pub const ORIENTATION: u16 = 0x0112;
    /// Pixels per unit, across.
    pub const X_RESOLUTION: u16 = 0x011a;
    /// Pixels per unit, down.
    pub const Y_RESOLUTION: u16 = 0x011b;
    /// 2 is an inch, 3 a centimeter.
    pub const RESOLUTION_UNIT: u16 = 0x0128;
    /// Description, maker and camera; page; program and day; author and computer.
    pub const TEXTS: [u16; 8] = [0x010d, 0x010e, 0x010f, 0x0110, 0x011d, 0x0131, 0x0132, 0x013c];
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

/// A block of nothing but the density, who made the image and whose it is; and that it is upright.
pub fn written(density: Option<Density>, artist: Option<&[u8]>, copyright: Option<&[u8]>) -> Vec<u8> {
    let field = |tag, value| Field { tag, ifd_num: In::PRIMARY, value };
    let mut fields = vec![field(Tag::Orientation, Value::Short(vec![1]))];
    if let Some(density) = density {
        let [across, down] = density.rationals().map(|(num, denom)| Value::Rational(vec![Rational { num, denom }]));
        let unit = Value::Short(vec![2]);
        fields.extend(
            [(Tag::XResolution, across), (Tag::YResolution, down), (Tag::ResolutionUnit, unit)]
                .map(|(t, v)| field(t, v)),
        );
    }
    for (tag, text) in [(Tag::Artist, artist), (Tag::Copyright, copyright)] {
        fields.extend(text.map(|text| field(tag, Value::Ascii(vec![text.to_vec()]))));
    }
    let (mut writer, mut out) = (Writer::new(), Cursor::new(Vec::new()));
    for field in &fields {
        writer.push_field(field);
    }
    writer.write(&mut out, true).expect("a Vec takes a directory that is not empty");
    out.into_inner()
}

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

    /// How the image is stored.
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

    /// Whether a page of a TIFF says more than how its pixels are stored, and than what is looked for by itself.
    pub fn page_says_more(self) -> bool {
        const READ: [u16; 5] = [tag::COPYRIGHT, tag::XMP, tag::PHOTOSHOP, tag::IPTC, tag::PROFILE];
        let says = |tag: u16| tag::TEXTS.contains(&tag) || tag >= 0x0258 && !READ.contains(&tag);
        self.main().is_some_and(|main| self.entries(main).any(|entry| says(entry.tag)))
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
mod tests;
