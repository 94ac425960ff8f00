//! Whose an image is and who made it, from wherever a file names them: the texts of a PNG, XMP (ISO 16684-1), IPTC-IIM.
//!
//! Only these two are looked for, in the forms in which programs write them; a full reader of XMP would be an XML parser
//! for the sake of one line.

/// A name or a notice longer than this is neither.
const MAX_BYTES: usize = 4096;

/// What comes before Photoshop's resources in a JPEG.
pub const PHOTOSHOP: &[u8] = b"Photoshop 3.0\0";

/// What is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Who made it.
    pub artist: Option<Vec<u8>>,
    /// Whose it is.
    pub copyright: Option<Vec<u8>>,
}

impl Rights {
    /// Whether nothing was found.
    pub const fn is_empty(&self) -> bool {
        self.artist.is_none() && self.copyright.is_none()
    }

    /// Takes what is not known yet.
    pub fn add(&mut self, other: Self) {
        let sane = |text: Option<Vec<u8>>| text.filter(|text| (1..=MAX_BYTES).contains(&text.len()));
        self.artist = self.artist.take().or_else(|| sane(other.artist));
        self.copyright = self.copyright.take().or_else(|| sane(other.copyright));
    }

    /// From a text of a PNG under its keyword (third edition, 11.3.3.1).
    pub fn from_text(keyword: &[u8], text: Vec<u8>) -> Self {
        match keyword {
            b"Copyright" => Self { copyright: Some(text), ..Self::default() },
            b"Author" => Self { artist: Some(text), ..Self::default() },
            _ => Self::default(),
        }
    }

    /// From an XMP packet: `dc:rights` and `dc:creator`.
    pub fn from_xmp(packet: &[u8]) -> Self {
        let Ok(packet) = str::from_utf8(packet) else { return Self::default() };
        let item = |name: &str| {
            let (_, rest) = packet.split_once(&format!("<{name}>"))?;
            let (inside, _) = rest.split_once(&format!("</{name}>"))?;
            let (_, item) = inside.split_once("<rdf:li")?;
            let (_, text) = item.split_once('>')?;
            let (text, _) = text.split_once("</rdf:li>")?;
            Some(unescaped(text.trim()).into_bytes()).filter(|text| !text.is_empty())
        };
        Self { artist: item("dc:creator"), copyright: item("dc:rights") }
    }

    /// From a Photoshop block (`Photoshop 3.0\0` and its resources), where IPTC has its place.
    pub fn from_photoshop(block: &[u8]) -> Self {
        const IPTC: [u8; 2] = [0x04, 0x04];
        let mut rest = block.strip_prefix(PHOTOSHOP).unwrap_or(block);
        while let Some(([b'8', b'B', b'I', b'M', id1, id0], after)) = rest.split_first_chunk() {
            // A name, its length before it, and a length, all of them padded to even.
            let name = after.first().map_or(0, |length| (usize::from(*length) + 1).next_multiple_of(2));
            let Some((length, data)) = after.get(name..).and_then(<[u8]>::split_first_chunk) else { break };
            let length = u32::from_be_bytes(*length) as usize;
            let Some(resource) = data.get(..length) else { break };
            if [*id1, *id0] == IPTC {
                return Self::from_iptc(resource);
            }
            rest = data.get(length.next_multiple_of(2)..).unwrap_or_default();
        }
        Self::default()
    }

    /// From the datasets of record 2: 80 is the by-line, 116 the copyright notice.
    pub fn from_iptc(mut datasets: &[u8]) -> Self {
        let mut found = Self::default();
        while let Some(([0x1c, record, number, l1, l0], rest)) = datasets.split_first_chunk() {
            let Some((text, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes([*l1, *l0]))) else { break };
            let slot = match (record, number) {
                (2, 80) => &mut found.artist,
                (2, 116) => &mut found.copyright,
                _ => &mut None,
            };
            if slot.is_none() {
                *slot = Some(utf8(text));
            }
            datasets = rest;
        }
        found
    }
}

/// Text that is UTF-8 or, if it cannot be, Latin-1.
pub fn utf8(text: &[u8]) -> Vec<u8> {
    if str::from_utf8(text).is_ok() { text.to_vec() } else { latin1(text) }
}

/// Latin-1 as UTF-8.
pub fn latin1(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes()
}

/// The five names of XML that need no declaration.
fn unescaped(text: &str) -> String {
    let names = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    names.into_iter().fold(text.to_owned(), |text, (name, character)| text.replace(name, character))
}

/// The packet of an image that is upright now: `tiff:Orientation`, as an attribute or an element, is 1.
pub fn upright(packet: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"tiff:Orientation";
    let mut packet = packet.to_vec();
    let places: Vec<usize> = memchr::memmem::find_iter(&packet, NAME).map(|at| at + NAME.len()).collect();
    for at in places {
        // `="6"` or `>6<`.
        let digit =
            at + packet[at..].iter().take(2).take_while(|byte| matches!(byte, b'=' | b'"' | b'\'' | b'>')).count();
        if let Some(place @ b'1'..=b'8') = packet.get_mut(digit) {
            *place = b'1';
        }
    }
    packet
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Adobe's programs and exiftool write it.
    pub const PACKET: &str = r#"<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" tiff:Orientation="6">
<dc:creator><rdf:Seq><rdf:li>Ada &amp; Bob</rdf:li></rdf:Seq></dc:creator>
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">© 2026 Ada &lt;ada&gt;</rdf:li></rdf:Alt></dc:rights>
<tiff:Orientation>8</tiff:Orientation></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"#;

    fn rights(artist: &str, copyright: &str) -> Rights {
        Rights { artist: Some(artist.into()), copyright: Some(copyright.into()) }
    }

    #[test]
    fn xmp_tells_the_first_creator_and_the_rights() {
        assert_eq!(Rights::from_xmp(PACKET.as_bytes()), rights("Ada & Bob", "© 2026 Ada <ada>"));
        for broken in ["", "<dc:rights>", "<dc:rights></dc:rights>", "<dc:rights><rdf:li></rdf:li></dc:rights>"] {
            assert!(Rights::from_xmp(broken.as_bytes()).is_empty(), "{broken}");
        }
    }

    #[test]
    fn xmp_is_upright_in_both_forms() {
        let text = String::from_utf8(upright(PACKET.as_bytes())).expect("still UTF-8");
        assert!(text.contains(r#"tiff:Orientation="1""#) && text.contains("<tiff:Orientation>1</tiff:Orientation>"));
        assert_eq!(text.len(), PACKET.len());
    }

    /// A block of one resource that does not matter and IPTC.
    fn photoshop(datasets: &[(u8, &[u8])]) -> Vec<u8> {
        let iptc: Vec<u8> = datasets
            .iter()
            .flat_map(|(number, text)| [&[0x1c, 2, *number][..], &(text.len() as u16).to_be_bytes(), text].concat())
            .collect();
        let resource = |id: u16, name: &[u8], data: &[u8]| {
            let mut bytes = [b"8BIM", &id.to_be_bytes()[..], &[name.len() as u8], name].concat();
            bytes.resize(bytes.len().next_multiple_of(2), 0);
            bytes.extend((data.len() as u32).to_be_bytes());
            bytes.extend(data);
            bytes.resize(bytes.len().next_multiple_of(2), 0);
            bytes
        };
        [&b"Photoshop 3.0\0"[..], &resource(0x03ed, b"name", b"odd"), &resource(0x0404, b"", &iptc)].concat()
    }

    #[test]
    fn iptc_tells_by_line_and_notice_whatever_its_letters() {
        let block = photoshop(&[(5, b"title"), (80, b"Ada"), (116, b"\xa9 Ada"), (116, b"another")]);
        assert_eq!(Rights::from_photoshop(&block), rights("Ada", "© Ada"));
        for cut in 0..block.len() {
            Rights::from_photoshop(&block[..cut]);
        }
    }

    #[test]
    fn what_is_known_stays_and_what_is_no_notice_is_not_taken() {
        let mut found = Rights { copyright: Some(b"first".into()), artist: None };
        found.add(rights("Ada", "second"));
        assert_eq!(found, rights("Ada", "first"));
        let mut none = Rights::default();
        none.add(Rights { artist: Some(vec![b'a'; MAX_BYTES + 1]), copyright: Some(Vec::new()) });
        assert!(none.is_empty());
        none.add(Rights { artist: Some(vec![b'a'; MAX_BYTES]), copyright: None });
        assert!(!none.is_empty());
    }

    proptest! {
        #[test]
        fn nonsense_is_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            Rights::from_photoshop(&[b"8BIM\x04\x04\0\0", &bytes[..]].concat());
            Rights::from_iptc(&[b"\x1c\x02", &bytes[..]].concat());
            Rights::from_xmp(&bytes);
            prop_assert_eq!(upright(&bytes).len(), bytes.len());
        }
    }
}
