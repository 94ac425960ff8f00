//! The texts of a PNG (third edition, 11.3.3): `tEXt`, `zTXt` and `iTXt`, among which is the packet of XMP.

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::rights::{Rights, latin1};
use super::{MAX_BYTES, Metadata, TEXT_COST};

/// The keyword of XMP.
const XMP: &[u8] = b"XML:com.adobe.xmp";

/// A keyword and its text in UTF-8; inflated no further than a note may be long.
fn read(kind: [u8; 4], data: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let split = |data| memchr::memchr(0, data).map(|at| (&data[..at], &data[at + 1..]));
    let (keyword, rest) = split(data)?;
    let text = match (&kind, rest) {
        (b"tEXt", text) => latin1(text),
        (b"zTXt", [0, stream @ ..]) => latin1(&inflated(stream)?),
        (b"iTXt", [compressed, 0, rest @ ..]) => {
            let (_language, rest) = split(rest)?;
            let (_translated, text) = split(rest)?;
            if *compressed == 1 { inflated(text)? } else { text.to_vec() }
        }
        _ => return None,
    };
    Some((keyword, text))
}

fn inflated(stream: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    ZlibDecoder::new(stream).take(MAX_BYTES as u64 + 1).read_to_end(&mut text).ok()?;
    (text.len() <= MAX_BYTES).then_some(text)
}

/// The texts of one file on their way into its notes. Whoever sends millions of them, or thousands that inflate, has
/// a few looked at: this runs before an image is admitted.
#[derive(Default)]
pub struct Texts {
    /// What those that were taken cost; above [`MAX_BYTES`] once one was not.
    bytes: usize,
    /// Whether XMP, a notice and an author were read. The first of each counts, whatever comes of it.
    read: [bool; 3],
}

impl Texts {
    /// Takes a chunk into the notes.
    pub fn take(&mut self, metadata: &mut Metadata, kind: [u8; 4], data: &[u8]) {
        let keyword = &data[..memchr::memchr(0, data).unwrap_or(data.len())];
        // Of all others the text is not looked at.
        let Some(slot) = [XMP, b"Copyright", b"Author"].iter().position(|known| *known == keyword) else {
            self.add(metadata, kind, data);
            return;
        };
        if std::mem::replace(&mut self.read[slot], true) {
            if keyword != XMP {
                self.add(metadata, kind, data);
            }
            return;
        }
        match read(kind, data) {
            Some((XMP, packet)) => metadata.add_xmp(&packet),
            Some((keyword, text)) => {
                metadata.rights.add(Rights::from_text(keyword, text));
                self.add(metadata, kind, data);
            }
            None => metadata.unreadable = true,
        }
    }

    /// Keeps a chunk as it is, until they are too many.
    fn add(&mut self, metadata: &mut Metadata, kind: [u8; 4], data: &[u8]) {
        if self.bytes <= MAX_BYTES {
            self.bytes += data.len() + TEXT_COST;
        }
        if self.bytes <= MAX_BYTES {
            metadata.texts.push((kind, data.into()));
        } else {
            metadata.unreadable = true;
        }
    }
}

/// The content of an `iTXt` with a packet of XMP.
pub fn xmp_chunk(packet: &[u8]) -> Vec<u8> {
    // Not compressed, no language, no translated keyword.
    [XMP, b"\0\0\0\0\0", packet].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::png_maker::deflate;

    fn taken(kind: [u8; 4], data: &[u8]) -> Metadata {
        let mut metadata = Metadata::default();
        Texts::default().take(&mut metadata, kind, data);
        metadata
    }

    #[test]
    fn rights_are_found_in_every_form() {
        let latin = b"\xa9 Ada";
        for (kind, data) in [
            (*b"tEXt", [&b"Copyright\0"[..], latin].concat()),
            (*b"zTXt", [&b"Copyright\0\0"[..], &deflate(latin)].concat()),
            (*b"iTXt", [&b"Copyright\0\0\0en\0\0"[..], "© Ada".as_bytes()].concat()),
            (*b"iTXt", [&b"Copyright\0\x01\0\0translated\0"[..], &deflate("© Ada".as_bytes())].concat()),
        ] {
            let metadata = taken(kind, &data);
            assert_eq!(metadata.rights.copyright.as_deref(), Some("© Ada".as_bytes()), "{kind:?}");
            assert_eq!(metadata.texts.len(), 1);
        }
        assert_eq!(taken(*b"tEXt", b"Author\0Ada").rights.artist.as_deref(), Some(&b"Ada"[..]));
    }

    #[test]
    fn xmp_is_a_note_of_its_own_and_comes_back_as_it_was() {
        assert_eq!(taken(*b"iTXt", &xmp_chunk(b"<x/>")).xmp.as_deref(), Some(&b"<x/>"[..]));
    }

    #[test]
    fn a_text_that_inflates_without_end_is_left() {
        let bomb = [&b"Copyright\0\0"[..], &deflate(&vec![b'a'; MAX_BYTES + 1])].concat();
        let metadata = taken(*b"zTXt", &bomb);
        assert!(metadata.unreadable && metadata.rights.is_empty());
        let long = [&b"Comment\0"[..], &vec![b'a'; MAX_BYTES]].concat();
        assert!(taken(*b"tEXt", &long).unreadable);
        for broken in [&b"Copyright"[..], b"Copyright\0\x09", b"XML:com.adobe.xmp\0\0\0no end"] {
            assert!(taken(*b"iTXt", broken).unreadable, "{broken:?}");
        }
    }

    #[test]
    fn empty_texts_are_counted_and_the_rest_is_left() {
        let (mut texts, mut metadata) = (Texts::default(), Metadata::default());
        let most = MAX_BYTES / TEXT_COST;
        for _ in 0..most {
            texts.take(&mut metadata, *b"tEXt", b"");
        }
        assert!(metadata.texts.len() == most && !metadata.unreadable && metadata.bytes() == MAX_BYTES as u64);
        texts.take(&mut metadata, *b"tEXt", b"");
        texts.take(&mut metadata, *b"tEXt", b"Copyright\0Ada");
        assert!(metadata.texts.len() == most && metadata.unreadable);
        assert_eq!(metadata.rights.copyright.as_deref(), Some(&b"Ada"[..]), "one of them is worth a look even then");
    }

    #[test]
    fn of_each_keyword_one_is_read_and_no_more() {
        let (mut texts, mut metadata) = (Texts::default(), Metadata::default());
        for (kind, data) in [
            (*b"tEXt", &b"Copyright\0"[..]),
            (*b"tEXt", b"Copyright\0Ada"),
            (*b"iTXt", b"XML:com.adobe.xmp\0\x09"),
            (*b"iTXt", &xmp_chunk(b"<x/>")),
        ] {
            texts.take(&mut metadata, kind, data);
        }
        assert!(metadata.rights.is_empty() && metadata.xmp.is_none() && metadata.unreadable);
        assert_eq!(metadata.texts.len(), 2, "what was not read is kept as it is");
    }
}
