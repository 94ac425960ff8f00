//! Exif (CIPA DC-008): a block that is a TIFF file without pixels. Read, corrected in place, and written small.
//!
//! A block that is kept whole is corrected where it lies and never taken apart: makers' notes hold positions counted
//! from its beginning. `kamadak-exif` and `little_exif` write a block anew, which breaks them, and unpack every value to list
//! the tags, which without a bound may lie over each other; so only the small block of a few safe tags is a library's.

mod correct;

use std::io::Cursor;

use ::exif::experimental::Writer;
use ::exif::{Field, In, Rational, Tag, Value};

use bytes::Bytes;

use super::density::Density;
use super::rights::{self, Rights};
use crate::formats::tiff::Directory;
use crate::orientation::Orientation;

pub use correct::corrected;

/// How the image of this block is stored, `Exif\0\0` before it or not. Upright where that is not said, or makes no
/// sense: broken metadata is no reason to refuse an image.
pub fn orientation(block: Bytes) -> Orientation {
    Directory::of_block(bare(block)).and_then(|block| block.orientation()).unwrap_or_default()
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

/// The block without the `Exif\0\0` that may come before it.
pub fn bare(block: Bytes) -> Bytes {
    if block.starts_with(b"Exif\0\0") { block.slice(6..) } else { block }
}

/// What the main directory of a block declares, and that of a page of a TIFF.
impl Directory {
    /// How the image is stored.
    pub fn orientation(&self) -> Option<Orientation> {
        // Some writers make it a long number, and readers do not believe them.
        self.entry(tag::ORIENTATION).filter(|entry| entry.kind == SHORT)?;
        Orientation::from_number(self.number(tag::ORIENTATION)?)
    }

    /// Pixels per inch.
    pub fn density(&self) -> Option<Density> {
        let (x, y) = (self.ratio(tag::X_RESOLUTION)?, self.ratio(tag::Y_RESOLUTION)?);
        match self.number(tag::RESOLUTION_UNIT) {
            // Inches where nothing is said.
            None | Some(2) => Density::per_inch(x, y),
            Some(3) => Density::per_centimeter(x, y),
            Some(_) => None,
        }
    }

    /// Who made it and whose it is.
    pub fn rights(&self) -> Rights {
        let text = |tag| self.text(tag).map(|text| rights::utf8(&text));
        Rights { artist: text(tag::ARTIST), copyright: text(tag::COPYRIGHT) }
    }

    /// Whether a block holds more than what [`written`] keeps.
    pub fn block_says_more(&self) -> bool {
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
        // What follows is the directory of its thumbnail.
        self.next().is_some_and(|next| next != 0) || self.entries().any(|entry| !KEPT.contains(&entry.tag))
    }

    /// Whether a page of a TIFF holds more than how its pixels are stored, and than what is looked for by itself.
    pub fn page_says_more(&self) -> bool {
        const READ: [u16; 5] = [tag::COPYRIGHT, tag::XMP, tag::PHOTOSHOP, tag::IPTC, tag::PROFILE];
        let says = |tag: u16| tag::TEXTS.contains(&tag) || tag >= 0x0258 && !READ.contains(&tag);
        self.entries().any(|entry| says(entry.tag))
    }

    /// The bytes of an entry that has no form of its own.
    pub fn raw(&self, tag: u16) -> Option<Bytes> {
        // IPTC is often given as numbers of four bytes.
        let entry = self.entry(tag).filter(|entry| matches!(entry.kind, BYTE | UNDEFINED | LONG))?;
        self.value(entry)
    }

    /// A text, without the zeros at its end; `None` if nothing is in it.
    fn text(&self, tag: u16) -> Option<Bytes> {
        let text = self.value(self.entry(tag).filter(|entry| entry.kind == ASCII)?)?;
        let end = text.iter().rposition(|byte| *byte != 0 && !byte.is_ascii_whitespace())?;
        Some(text.slice(..=end))
    }
}

#[cfg(test)]
mod tests;
