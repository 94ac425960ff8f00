//! Blocks from nothing: of a few safe tags, or of what was taken out of a TIFF.

use super::{ENTRY, Portable, Value, tag, unit};
use crate::metadata::Density;

/// Where the main directory begins.
const FIRST: usize = 8;

/// A block of nothing but the density, who made the image and whose it is; and that it is upright.
pub fn written(density: Option<Density>, artist: Option<&[u8]>, copyright: Option<&[u8]>) -> Vec<u8> {
    let texts = [(tag::ARTIST, artist), (tag::COPYRIGHT, copyright)];
    let main = texts.into_iter().filter_map(|(tag, text)| Some(Value::text(tag, text?))).collect();
    gathered(Portable { main, ..Portable::default() }, density)
}

/// A block of what was taken elsewhere, and of the density; and that the image is upright.
pub fn gathered(taken: Portable, density: Option<Density>) -> Vec<u8> {
    let Portable { mut main, camera, place, .. } = taken;
    main.push(Value::short(tag::ORIENTATION, 1));
    if let Some(density) = density {
        let [across, down] = density.rationals();
        main.push(Value::ratio(tag::X_RESOLUTION, across));
        main.push(Value::ratio(tag::Y_RESOLUTION, down));
        main.push(Value::short(tag::RESOLUTION_UNIT, 2));
    }
    let below = [(tag::EXIF, camera), (tag::GPS, place)].into_iter().filter(|(_, values)| !values.is_empty());
    let below: Vec<_> = below.collect();
    // How long the main directory is does not depend on where it leads.
    main.extend(below.iter().map(|(tag, _)| Value::long(*tag, 0)));
    // In the order of their numbers, as the standard asks for.
    main.sort_by_key(|value| value.tag);
    let mut at = FIRST + directory(&main, FIRST).len();
    let mut after = Vec::new();
    for (tag, values) in below {
        main.iter_mut().filter(|value| value.tag == tag).for_each(|value| *value = Value::long(tag, at as u32));
        let directory = directory(&values, at);
        at += directory.len();
        after.extend(directory);
    }
    [b"II*\0\x08\0\0\0".to_vec(), directory(&main, FIRST), after].concat()
}

/// A directory that begins at this place of its block, and its values. None follows it.
fn directory(values: &[Value], at: usize) -> Vec<u8> {
    let mut out = (values.len() as u16).to_le_bytes().to_vec();
    let mut after = Vec::new();
    let begin = at + 2 + ENTRY * values.len() + 4;
    for Value { tag, kind, bytes } in values {
        out.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        out.extend(((bytes.len() / unit(*kind).unwrap_or(1)) as u32).to_le_bytes());
        if bytes.len() <= 4 {
            out.extend(bytes);
            out.resize(out.len() + 4 - bytes.len(), 0);
        } else {
            out.extend(((begin + after.len()) as u32).to_le_bytes());
            after.extend(bytes);
            // Values begin at even places.
            after.resize(after.len().next_multiple_of(2), 0);
        }
    }
    [out, vec![0; 4], after].concat()
}
