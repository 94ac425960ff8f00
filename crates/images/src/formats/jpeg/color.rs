//! How the components of a JPEG are colors, and what has to change in a file for the decoder to see it.
//!
//! The rules are libjpeg's (`default_decompress_parms` in jdapimin.c), which every viewer follows: a JFIF marker means
//! `YCbCr` whatever else the file declares; else Adobe's transform counts; else components that are named R, G and B are that.

use std::ops::Range;

use bytes::Bytes;

use super::{APP0, APP14, EOI, SOS, Segments, is_frame};

const DHT: u8 = 0xc4;

/// What zune-jpeg takes for a frame of Motion JPEG, whose Huffman tables are those of T.81, K.3.
const AVI1: [u8; 9] = [0xff, APP0, 0, 7, b'A', b'V', b'I', b'1', 0];

/// What the segments before the first scan say of colors and tables.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Signs {
    jfif: bool,
    adobe: Option<u8>,
    /// How many components there are, and the names of three; none if there are more or fewer.
    components: u8,
    names: Option<[u8; 3]>,
    tables: bool,
    /// Where Adobe's segment is.
    adobe_at: Option<Range<usize>>,
}

impl Signs {
    pub fn of(file: &[u8]) -> Self {
        let mut signs = Self::default();
        let mut segments = Segments::new(file);
        while let Some(segment) = segments.next().filter(|segment| !matches!(segment.marker, SOS | EOI)) {
            match (segment.marker, segment.data) {
                // libjpeg wants the whole of its fourteen bytes.
                (APP0, [b'J', b'F', b'I', b'F', 0, rest @ ..]) => signs.jfif |= rest.len() >= 9,
                (APP14, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..]) => {
                    let end = file.len() - segments.rest.len();
                    (signs.adobe, signs.adobe_at) = (Some(*transform), Some(end - segment.data.len() - 4..end));
                }
                (DHT, _) => signs.tables = true,
                (marker, [_, _, _, _, _, count, names @ ..]) if is_frame(marker) => {
                    signs.components = *count;
                    if let (3, [a, _, _, b, _, _, c, ..]) = (count, names) {
                        signs.names = Some([*a, *b, *c]);
                    }
                }
                _ => {}
            }
        }
        signs
    }

    fn is_ycbcr(&self) -> bool {
        match (self.jfif, self.adobe) {
            (true, _) => true,
            (false, Some(transform)) => transform != 0,
            (false, None) => self.names != Some(*b"RGB"),
        }
    }

    /// What has to be put in after the start marker, and what to be taken out: Adobe's segment, where it declares what does not
    /// count, or what the decoder does not know.
    fn edits(&self) -> (&'static [u8], Range<usize>) {
        let misleading = self.jfif && self.adobe != Some(1) || self.adobe.is_some_and(|transform| transform > 2);
        let cut = self.adobe_at.clone().filter(|_| self.names.is_some() && misleading).unwrap_or(2..2);
        (if self.tables { &[] } else { &AVI1 }, cut)
    }

    /// How CMYK is stored; `None` if there are not four channels, or it is not declared.
    pub fn cmyk_coding(&self) -> Option<CmykCoding> {
        let coding = |transform| if transform == 2 { CmykCoding::Ycck } else { CmykCoding::Inverted };
        self.adobe.filter(|_| self.components == 4).map(coding)
    }

    /// Whether three components are `YCbCr` although they are named R, G and B, by which the decoder goes.
    pub fn is_ycbcr_by_other_names(&self) -> bool {
        self.names == Some(*b"RGB") && self.is_ycbcr()
    }

    /// The file as the decoder has to see it: a copy without a misleading Adobe segment, or with the sign that the default
    /// Huffman tables are meant, where it has none.
    pub fn prepared(&self, file: Bytes) -> Bytes {
        let (sign, cut) = self.edits();
        if sign.is_empty() && cut.is_empty() || file.len() < 2 {
            return file;
        }
        [&file[..2], sign, &file[2..cut.start], &file[cut.end..]].concat().into()
    }

    /// Bytes that [`Self::prepared`] allocates for a file of this length.
    pub fn prepared_bytes(&self, file: usize) -> u64 {
        let (sign, cut) = self.edits();
        if sign.is_empty() && cut.is_empty() { 0 } else { (file + sign.len() - cut.len()) as u64 }
    }
}

/// How CMYK is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CmykCoding {
    /// From 0, all of it, to 255, none. Photoshop stores them so, and everybody who writes Adobe's segment followed;
    /// without it viewers disagree.
    Inverted,
    /// The first three, inverted, as luma and chroma, and black as it is.
    Ycck,
}

impl CmykCoding {
    /// Four stored components a pixel become amounts of ink, 255 for all of one, in place.
    pub fn amounts(self, stored: &mut [u8]) {
        stored.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| *pixel = self.of(*pixel));
    }

    fn of(self, stored: [u8; 4]) -> [u8; 4] {
        match self {
            Self::Inverted => stored.map(|ink| 255 - ink),
            Self::Ycck => {
                let [luma, blue, red, black] = stored;
                // Red, green and blue are 255 less the inverted CMYK: the CMYK values themselves.
                let [cyan, magenta, yellow] = ycbcr_to_rgb([luma, blue, red]);
                [cyan, magenta, yellow, 255 - black]
            }
        }
    }
}

/// Red, green and blue of one pixel in `YCbCr` (T.871, section 7).
pub fn ycbcr_to_rgb([luma, blue, red]: [u8; 3]) -> [u8; 3] {
    let (luma, blue, red) = (f32::from(luma), f32::from(blue) - 128.0, f32::from(red) - 128.0);
    let level = |v: f32| (v + 0.5).clamp(0.0, 255.0) as u8;
    [level(luma + 1.402 * red), level(luma - 0.344_136 * blue - 0.714_136 * red), level(luma + 1.772 * blue)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(jfif: bool, adobe: Option<u8>, names: [u8; 3]) -> Vec<u8> {
        let mut file = vec![0xff, 0xd8];
        if jfif {
            file.extend_from_slice(b"\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
        }
        if let Some(transform) = adobe {
            file.extend_from_slice(b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0");
            file.push(transform);
        }
        let [a, b, c] = names;
        file.extend_from_slice(&[0xff, 0xc0, 0, 17, 8, 0, 8, 0, 8, 3, a, 0x11, 0, b, 0x11, 0, c, 0x11, 0]);
        file.extend_from_slice(&[0xff, DHT, 0, 2, 0xff, SOS, 0, 2]);
        file
    }

    #[test]
    fn colors_are_by_the_rules_of_libjpeg() {
        // JFIF, Adobe's transform, the names; whether YCbCr, whether Adobe's segment goes.
        for (jfif, adobe, names, ycbcr, misleading) in [
            (true, None, [1, 2, 3], true, false),
            (true, None, *b"RGB", true, false),
            (true, Some(0), [1, 2, 3], true, true),
            (true, Some(1), [1, 2, 3], true, false),
            (true, Some(2), [1, 2, 3], true, true),
            (true, Some(0), *b"RGB", true, true),
            (false, Some(0), [1, 2, 3], false, false),
            (false, Some(0), *b"RGB", false, false),
            (false, Some(1), [1, 2, 3], true, false),
            (false, Some(1), *b"RGB", true, false),
            (false, Some(7), [1, 2, 3], true, true),
            (false, None, [1, 2, 3], true, false),
            (false, None, [0, 1, 2], true, false),
            (false, None, *b"RGB", false, false),
            (false, None, *b"rgb", true, false),
        ] {
            let file = file(jfif, adobe, names);
            let signs = Signs::of(&file);
            let what = format!("JFIF {jfif}, Adobe {adobe:?}, {names:?}");
            assert_eq!((signs.is_ycbcr(), !signs.edits().1.is_empty()), (ycbcr, misleading), "{what}");
            assert_eq!(signs.is_ycbcr_by_other_names(), ycbcr && names == *b"RGB", "{what}");
            let (prepared, bytes) = (signs.prepared(file.clone().into()), signs.prepared_bytes(file.len()));
            assert_eq!(Signs::of(&prepared).adobe.is_some(), adobe.is_some() && !misleading, "{what}");
            assert_eq!(prepared.len(), file.len() - if misleading { 16 } else { 0 }, "{what}");
            assert!((prepared == file) == (bytes == 0) && bytes >= u64::from(misleading), "{what}");
        }
    }

    #[test]
    fn a_short_jfif_segment_is_none() {
        let short = b"\xff\xd8\xff\xe0\0\x0fJFIF\0\x01\x01\0\0\x01\0\x01\0";
        assert!(!Signs::of(short).jfif);
    }

    #[test]
    fn tables_are_added_where_there_are_none_and_nonsense_stays() {
        let with = file(true, None, [1, 2, 3]);
        let without: Vec<u8> = [&with[..with.len() - 8], &with[with.len() - 4..]].concat();
        let signs = Signs::of(&without);
        assert_eq!(signs.prepared_bytes(without.len()), without.len() as u64 + 9);
        assert_eq!(signs.prepared(without.into())[2..11], AVI1);
        for nonsense in [&b""[..], b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xee\0\x0eAdobe"] {
            let prepared = Signs::of(nonsense).prepared(Bytes::from_static(nonsense));
            assert!(prepared.len() <= nonsense.len() + AVI1.len());
        }
    }

    #[test]
    fn inks_by_their_coding() {
        assert_eq!(CmykCoding::Inverted.of([1, 2, 3, 4]), [254, 253, 252, 251]);
        assert_eq!(CmykCoding::Ycck.of([100, 128, 128, 55]), [100, 100, 100, 200]);
        // Pure red as JFIF has it: so much cyan.
        assert_eq!(CmykCoding::Ycck.of([76, 85, 255, 255]), [254, 0, 0, 0]);
    }
}
