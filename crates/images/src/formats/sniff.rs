//! Which kind of file bytes are, by their first bytes alone.

use super::jxl::CONTAINER;
use crate::{CodecError, InputFormat};

/// What is said after the name of a kind that is not read.
const ACCEPTED: &str = "send a PNG, JPEG, WebP, TIFF, BMP, GIF or JPEG XL";

/// Kinds that are read and begin with their signature.
const READ: &[(&[u8], InputFormat)] = &[
    (b"\x89PNG\r\n\x1a\n", InputFormat::Png),
    (b"GIF87a", InputFormat::Gif),
    (b"GIF89a", InputFormat::Gif),
    (b"II*\0", InputFormat::Tiff),
    (b"MM\0*", InputFormat::Tiff),
    (b"II+\0", InputFormat::Tiff),
    (b"MM\0+", InputFormat::Tiff),
    (b"BM", InputFormat::Bmp),
    (CONTAINER, InputFormat::Jxl),
    (b"\xff\x0a", InputFormat::Jxl),
];

/// Kinds that are known and not read: where their signature is, the signature, their name.
/// Longer and rarer signatures come before those that they begin with.
const OTHERS: &[(usize, &[u8], &str)] = &[
    (4, b"ftypavif", "an AVIF"),
    (4, b"ftypavis", "an AVIF sequence"),
    (4, b"ftyphei", "a HEIC"),
    (4, b"ftyphev", "a HEIC sequence"),
    (4, b"ftypmif1", "a HEIF"),
    (4, b"ftypmsf1", "a HEIF sequence"),
    (4, b"ftypcrx ", "a Canon raw image"),
    (4, b"ftyp", "an MP4 or QuickTime video"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (0, b"\xff\xd8\xff\xf7", "a JPEG-LS"),
    (0, b"%PDF-", "a PDF"),
    (0, b"%!PS", "a PostScript file"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"\0\0\x01\0", "an icon"),
    (0, b"qoif", "a QOI"),
    (0, b"farbfeld", "a farbfeld image"),
    (0, b"#?RADIANCE", "a Radiance HDR image"),
    (0, b"v/1\x01", "an OpenEXR image"),
    (0, b"DDS ", "a DirectDraw surface"),
    (0, b"gimp xcf", "a GIMP image"),
    (0, b"AT&TFORM", "a DjVu"),
    (0, b"RIFF", "a RIFF file other than WebP"),
    (0, b"PK\x03\x04", "a ZIP archive or office document"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (0, b"\x8aMNG", "an MNG"),
];

/// The kind of file, if it is one that is read.
pub fn sniff(bytes: &[u8]) -> Result<InputFormat, CodecError> {
    if bytes.is_empty() {
        return Err(CodecError::Empty);
    }
    if has(bytes, 0, b"RIFF") && has(bytes, 8, b"WEBP") {
        return Ok(InputFormat::WebP);
    }
    if let Some((_, format)) = READ.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Ok(*format);
    }
    if let Some((.., name)) = OTHERS.iter().find(|(at, magic, _)| has(bytes, *at, magic)) {
        return Err(CodecError::Unsupported(format!("the file is {name}, which is not read here; {ACCEPTED}")));
    }
    if bytes.starts_with(b"\xff\xd8\xff") {
        return Ok(InputFormat::Jpeg);
    }
    if is_netpbm(bytes) {
        return Err(CodecError::Unsupported(format!("the file is a netpbm image, which is not read here; {ACCEPTED}")));
    }
    if is_svg(bytes) {
        return Err(CodecError::Unsupported(format!(
            "the file is an SVG, which has no pixels to upscale; {ACCEPTED}, or render it at the size you want"
        )));
    }
    Err(CodecError::Unsupported(format!("the file is no image of a known kind; {ACCEPTED}")))
}

fn has(bytes: &[u8], at: usize, magic: &[u8]) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(magic))
}

/// `P1` to `P7` and white space.
fn is_netpbm(bytes: &[u8]) -> bool {
    matches!(bytes, [b'P', b'1'..=b'7', space, ..] if space.is_ascii_whitespace())
}

/// SVG has no magic number: an `<svg` within the first KiB of a text that begins as XML does.
fn is_svg(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(1024)];
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    head.starts_with(b"<") && head.windows(4).any(|w| w == b"<svg")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        match sniff(bytes) {
            Err(CodecError::Unsupported(text)) => text,
            other => panic!("{other:?} for {bytes:?}"),
        }
    }

    #[test]
    fn accepted_kinds() {
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n"), Ok(InputFormat::Png));
        assert_eq!(sniff(b"\xff\xd8\xff\xe0"), Ok(InputFormat::Jpeg));
        assert_eq!(sniff(b"RIFF\x10\0\0\0WEBPVP8 "), Ok(InputFormat::WebP));
        for (magic, format) in READ {
            assert_eq!(sniff(magic), Ok(*format), "{magic:?}");
        }
    }

    #[test]
    fn empty_is_its_own_error() {
        assert_eq!(sniff(b""), Err(CodecError::Empty));
    }

    #[test]
    fn known_kinds_are_named_with_what_is_accepted() {
        for (bytes, name) in [
            (&b"\0\0\0\x20ftypavif\0\0\0\0"[..], "AVIF"),
            (b"\0\0\0\x20ftypheic\0\0\0\0", "HEIC"),
            (b"%PDF-1.7\n", "PDF"),
            (b"\n<?xml version='1.0'?><svg xmlns=''/>", "SVG"),
            (b"P6\n1 1\n255\n...", "netpbm"),
            (b"RIFF\x10\0\0\0WAVEfmt ", "RIFF"),
            (b"PK\x03\x04....", "ZIP"),
        ] {
            let text = refusal(bytes);
            assert!(text.contains(name), "{name}: {text}");
            assert!(text.contains(ACCEPTED), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_image() {
        for bytes in [&b"hello, world"[..], b"\0", b"<html></html>", b"\x89PNG\n\x1a\n", b"P9 ", b"\xff\xd8"] {
            assert!(refusal(bytes).contains("no image of a known kind"), "{bytes:?}");
        }
    }

    #[test]
    fn every_signature_is_reachable() {
        for (at, magic, name) in OTHERS {
            let mut bytes = vec![0x7f; *at];
            bytes.extend_from_slice(magic);
            assert!(refusal(&bytes).contains(name), "{name}");
        }
    }
}
