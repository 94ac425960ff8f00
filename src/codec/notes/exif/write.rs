//! A block of a few safe tags, from nothing.

use super::{ASCII, ENTRY, RATIONAL, SHORT, tag};
use crate::codec::notes::Density;

/// A block of nothing but the density, who made the picture and whose it is; and that it is upright.
pub fn written(density: Option<Density>, artist: Option<&[u8]>, copyright: Option<&[u8]>) -> Vec<u8> {
    let text = |tag: u16, text: Option<&[u8]>| text.map(|text| (tag, ASCII, [text, b"\0"].concat()));
    let short = |tag: u16, number: u16| Some((tag, SHORT, number.to_le_bytes().to_vec()));
    let rational = |tag: u16, (numerator, denominator): (u32, u32)| {
        Some((tag, RATIONAL, [numerator.to_le_bytes(), denominator.to_le_bytes()].concat()))
    };
    let [x, y] = density.map_or([None; 2], |density| density.rationals().map(Some));
    // In the order of their numbers, as the standard asks for.
    let entries: Vec<(u16, u16, Vec<u8>)> = [
        short(tag::ORIENTATION, 1),
        x.and_then(|x| rational(tag::X_RESOLUTION, x)),
        y.and_then(|y| rational(tag::Y_RESOLUTION, y)),
        density.and_then(|_| short(tag::RESOLUTION_UNIT, 2)),
        text(tag::ARTIST, artist),
        text(tag::COPYRIGHT, copyright),
    ]
    .into_iter()
    .flatten()
    .collect();

    let mut block = b"II*\0\x08\0\0\0".to_vec();
    block.extend((entries.len() as u16).to_le_bytes());
    let mut values = Vec::new();
    let after = block.len() + ENTRY * entries.len() + 4;
    for (tag, kind, value) in entries {
        let count = if kind == ASCII { value.len() } else { 1 };
        block.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        block.extend((count as u32).to_le_bytes());
        if value.len() <= 4 {
            let mut inline = value;
            inline.resize(4, 0);
            block.extend(inline);
        } else {
            block.extend(((after + values.len()) as u32).to_le_bytes());
            values.extend(value);
            // Values begin at even places.
            values.resize(values.len().next_multiple_of(2), 0);
        }
    }
    // No further directory.
    block.extend([0; 4]);
    block.extend(values);
    block
}
