//! A block that is kept, put right where it lies.

use bytes::Bytes;

use super::{LONG, PIXEL_X, PIXEL_Y, RATIONAL, SHORT, bare, tag};
use crate::formats::tiff::{Directory, Entry};
use crate::metadata::Density;
use crate::orientation::Orientation;
use crate::units::Size;

/// A block for an image that is upright now, and of this size and density; everything else is as it was. A thumbnail
/// that lay on its side is cut off from it, since it would be shown so. `None` if it is no block.
pub fn corrected(block: Bytes, size: Size, density: Option<Density>) -> Option<Vec<u8>> {
    let block = bare(block);
    let main = Directory::of_block(block.clone())?;
    let mut new = Patch { bytes: block.to_vec(), big: main.big_endian() };
    if let Some(entry) = main.entry(tag::ORIENTATION) {
        new.number(entry, 1);
        if main.orientation().is_some_and(|orientation| orientation != Orientation::Upright)
            && let Some(end) = main.end()
        {
            new.put_long(end, 0);
        }
    }
    let camera = main.below(tag::EXIF);
    for (directory, width, height) in [(Some(&main), tag::WIDTH, tag::HEIGHT), (camera.as_ref(), PIXEL_X, PIXEL_Y)] {
        for (tag, side) in [(width, size.width), (height, size.height)] {
            if let Some(entry) = directory.and_then(|directory| directory.entry(tag)) {
                new.number(entry, side);
            }
        }
    }
    if let Some(density) = density {
        for (tag, (numerator, denominator)) in
            [tag::X_RESOLUTION, tag::Y_RESOLUTION].into_iter().zip(density.rationals())
        {
            let entry = main.entry(tag).filter(|entry| entry.kind == RATIONAL && entry.count > 0);
            if let Some((at, _)) = entry.and_then(|entry| main.place_of(entry)) {
                new.put_long(at, numerator);
                new.put_long(at.saturating_add(4), denominator);
            }
        }
        if let Some(entry) = main.entry(tag::RESOLUTION_UNIT) {
            new.number(entry, 2);
        }
    }
    Some(new.bytes)
}

/// A block under correction.
struct Patch {
    bytes: Vec<u8>,
    big: bool,
}

impl Patch {
    /// Writes a whole number into an entry that holds one; one that is too large makes the entry a long one.
    fn number(&mut self, entry: Entry, number: u32) {
        if !matches!(entry.kind, SHORT | LONG) || entry.count != 1 {
            return;
        }
        match u16::try_from(number) {
            Ok(short) if entry.kind == SHORT => self.put(entry.at + 8, self.short(short)),
            _ => {
                self.put(entry.at + 2, self.short(LONG));
                self.put_long(entry.at + 8, number);
            }
        }
    }

    const fn short(&self, number: u16) -> [u8; 2] {
        if self.big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn put_long(&mut self, at: u64, number: u32) {
        self.put(at, if self.big { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    /// Outside of the block there is nothing to correct.
    fn put<const N: usize>(&mut self, at: u64, bytes: [u8; N]) {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        if let Some(place) = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *place = bytes;
        }
    }
}
