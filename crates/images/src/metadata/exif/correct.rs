//! A block that is kept, put right where it lies.

use super::{Block, ENTRY, Entry, LONG, PIXEL_X, PIXEL_Y, RATIONAL, SHORT, bare, tag};
use crate::metadata::Density;
use crate::orientation::Orientation;
use crate::units::Size;

/// A block for an image that is upright now, and of this size and density; everything else is as it was. A thumbnail
/// that lay on its side is cut off from it, since it would be shown so. `None` if it is no block.
pub fn corrected(block: &[u8], size: Size, density: Option<Density>) -> Option<Vec<u8>> {
    let old = Block::new(block)?;
    let main = old.main()?;
    let mut new = Patch { bytes: bare(block).to_vec(), big: old.big };
    if let Some(entry) = old.find(main, tag::ORIENTATION) {
        new.number(entry, 1);
        if old.orientation().is_some_and(|orientation| orientation != Orientation::Upright)
            && let Some(entries) = old.short(main)
        {
            new.put_long(main + 2 + ENTRY * usize::from(entries), 0);
        }
    }
    let camera = old.number(tag::EXIF).map(|at| at as usize);
    for (directory, width, height) in [(Some(main), tag::WIDTH, tag::HEIGHT), (camera, PIXEL_X, PIXEL_Y)] {
        for (tag, side) in [(width, size.width), (height, size.height)] {
            if let Some(entry) = directory.and_then(|directory| old.find(directory, tag)) {
                new.number(entry, side);
            }
        }
    }
    if let Some(density) = density {
        for (tag, (numerator, denominator)) in
            [tag::X_RESOLUTION, tag::Y_RESOLUTION].into_iter().zip(density.rationals())
        {
            let entry = old.find(main, tag).filter(|entry| entry.kind == RATIONAL);
            if let Some(at) = entry.and_then(|entry| old.long(entry.at + 8)) {
                new.put_long(at, numerator);
                new.put_long(at.saturating_add(4), denominator);
            }
        }
        if let Some(entry) = old.find(main, tag::RESOLUTION_UNIT) {
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

    fn put_long(&mut self, at: usize, number: u32) {
        self.put(at, if self.big { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    /// Outside of the block there is nothing to correct.
    fn put<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        if let Some(place) = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *place = bytes;
        }
    }
}
