//! Files that are cut off, bent, or made to hurt: each gets its error, at once, and none panics.

use proptest::prelude::*;

use super::png_maker::{Png, deflate, profile_chunk, signature_and_header};
use super::{eight_bit, fixture, probe, read};
use crate::limits::{STREAM_PIXELS, WORK_PIXELS};
use crate::testing::chunk;
use crate::units::Size;
use crate::{CodecError, InputFormat, Warning};

const FILES: [&[u8]; 32] = [
    fixture!("baseline-444.jpg"),
    fixture!("baseline-422.jpg"),
    fixture!("baseline-420.jpg"),
    fixture!("restart.jpg"),
    fixture!("progressive.jpg"),
    fixture!("progressive-gray.jpg"),
    fixture!("gray.jpg"),
    fixture!("rgb-components.jpg"),
    fixture!("orientation-6.jpg"),
    fixture!("profile.png"),
    fixture!("gray-16.png"),
    fixture!("palette-trns.png"),
    fixture!("lossy.webp"),
    fixture!("lossy-alpha.webp"),
    fixture!("lossless.webp"),
    fixture!("lossless-alpha.webp"),
    fixture!("cmyk.jpg"),
    fixture!("kinds/inks-ycck.jpg"),
    fixture!("kinds/rgba.tif"),
    fixture!("kinds/tiles.tif"),
    fixture!("kinds/big.tif"),
    fixture!("kinds/jpeg.tif"),
    fixture!("kinds/g4-turned.tif"),
    fixture!("kinds/palette-4.tif"),
    fixture!("kinds/packbits.tif"),
    fixture!("kinds/rle.bmp"),
    fixture!("kinds/565.bmp"),
    fixture!("kinds/rgba.bmp"),
    fixture!("kinds/interlaced.gif"),
    fixture!("kinds/hole.gif"),
    fixture!("kinds/rgb.jxl"),
    fixture!("kinds/lossy.jxl"),
];

#[test]
fn cut_off_anywhere_is_damaged() {
    for (i, file) in FILES.into_iter().enumerate() {
        assert!(read(file).is_ok(), "file {i}");
        for end in 0..file.len() {
            match read(&file[..end]) {
                Err(CodecError::Damaged(_)) => {}
                Err(CodecError::Empty) if end == 0 => {}
                Err(CodecError::Unsupported(_)) if end < 12 => {}
                // What follows the pixels of a PNG may be missing.
                Ok((header, image)) => {
                    let trailer = header.format == InputFormat::Png && header.warnings == [Warning::TruncatedTrailer];
                    assert!(trailer && file.len() - end <= 12, "file {i} cut at {end} of {}", file.len());
                    assert!(image == read(file).expect("whole").1, "file {i} cut at {end}");
                }
                other => panic!("file {i} cut at {end} of {}: {:?}", file.len(), other.map(|(header, _)| header)),
            }
        }
    }
}

#[test]
fn a_huge_claim_is_refused_from_the_header() {
    let mut file = signature_and_header(60_000, 60_000, 8, 6, false);
    file.extend(chunk(*b"IDAT", &deflate(&[0; 30])));
    file.resize(100, 0);
    match probe(&file) {
        Err(CodecError::TooLarge { name: "input_pixels", limit, actual, .. }) => {
            assert_eq!((limit, actual), (16_000_000, 3_600_000_000));
        }
        other => panic!("{other:?}"),
    }
    let narrow = signature_and_header(1, 65_536, 8, 0, false);
    assert!(matches!(probe(&narrow), Err(CodecError::TooLarge { name: "input_side", .. })));
    assert!(probe(&signature_and_header(1, 65_535, 8, 0, false)).is_ok());
}

#[test]
fn a_png_header_must_hold_together() {
    let damaged = |file: &[u8], what: &str| {
        assert!(matches!(probe(file), Err(CodecError::Damaged(_))), "{what}");
    };
    let good = signature_and_header(3, 3, 8, 0, false);
    assert!(probe(&good).is_ok());
    damaged(&good[..32], "cut within the checksum");
    damaged(&signature_and_header(0, 3, 8, 0, false), "no width");
    damaged(&signature_and_header(3, 0, 8, 0, false), "no height");
    damaged(&signature_and_header(3, 3, 3, 0, false), "three bits");
    damaged(&signature_and_header(3, 3, 16, 3, false), "a palette of 16 bits");
    let mut bent = good.clone();
    bent[20] ^= 1;
    damaged(&bent, "a wrong checksum");
    damaged(&[&good[..8], &chunk(*b"IDAT", b"")].concat(), "no header first");
    let apple = [&good[..8], &chunk(*b"CgBI", &[0; 4]), &good[8..]].concat();
    assert!(matches!(probe(&apple), Err(CodecError::Unsupported(_))));
}

/// The place of the first byte of a chunk's content.
fn content_of(file: &[u8], kind: [u8; 4]) -> usize {
    file.windows(4).position(|w| w == kind).expect("the chunk is there") + 4
}

#[test]
fn a_wrong_checksum_where_pixels_depend_on_it_is_damaged() {
    let file = fixture!("palette-trns.png");
    for kind in [*b"PLTE", *b"tRNS", *b"IDAT"] {
        let mut bent = file.to_vec();
        bent[content_of(file, kind)] ^= 0x10;
        assert!(matches!(read(&bent), Err(CodecError::Damaged(_))), "{kind:?}");
    }
    // Of the pixels themselves, under a right checksum of the chunk.
    let png = Png::gray(4, 4);
    let mut stream = deflate(&png.filtered());
    *stream.last_mut().expect("it ends with a checksum") ^= 1;
    assert!(matches!(read(&with_stream(&png, &stream)), Err(CodecError::Damaged(_))));
}

fn with_stream(png: &Png, stream: &[u8]) -> Vec<u8> {
    let mut file = signature_and_header(png.width, png.height, png.bits, png.color, png.interlaced);
    for (kind, data) in &png.before {
        file.extend(chunk(**kind, data));
    }
    file.extend(chunk(*b"IDAT", stream));
    file.extend(chunk(*b"IEND", b""));
    file
}

#[test]
fn too_few_pixels_are_damaged() {
    let png = Png::gray(4, 4);
    let rows = png.filtered();
    assert!(read(&with_stream(&png, &deflate(&rows))).is_ok());
    for stream in [deflate(&rows[..rows.len() - 1]), deflate(&[]), Vec::new(), b"not zlib".to_vec()] {
        assert!(matches!(read(&with_stream(&png, &stream)), Err(CodecError::Damaged(_))), "{stream:?}");
    }
    let mut filter = rows;
    filter[5] = 9;
    assert!(matches!(read(&with_stream(&png, &deflate(&filter))), Err(CodecError::Damaged(_))), "unknown filter");
    let palette = Png { color: 3, ..Png::gray(4, 4) };
    assert!(matches!(read(&palette.file()), Err(CodecError::Damaged(_))), "no palette");
}

#[test]
fn streams_that_inflate_without_end_are_left() {
    const BOMB: usize = 32 << 20;
    let mut png = Png::gray(4, 4);
    let rows = [png.filtered(), vec![0; BOMB]].concat();
    if let Ok((_, image)) = read(&with_stream(&png, &deflate(&rows))) {
        let made: Vec<u8> = png.samples.iter().map(|v| *v as u8).collect();
        assert_eq!(eight_bit(&image), made, "what follows the pixels changed them");
    }
    png.before = vec![
        (b"iCCP", profile_chunk(&vec![0; BOMB])),
        (b"zTXt", [&b"text\0\0"[..], &deflate(&vec![b'a'; BOMB])].concat()),
        (b"iTXt", [&b"text\0\x01\0\0\0"[..], &deflate(&vec![b'a'; BOMB])].concat()),
    ];
    let (header, _) = read(&png.file()).expect("notes fail no image");
    assert_eq!(header.icc, None);
}

#[test]
fn notes_that_make_no_sense_fail_no_image() {
    let mut png = Png::gray(4, 4);
    for kind in [b"cICP", b"bKGD", b"gAMA", b"cHRM", b"sBIT", b"pHYs", b"tEXt", b"eXIf", b"sRGB", b"quUX"] {
        png.before.push((kind, vec![0xff; 5]));
        png.before.push((kind, Vec::new()));
    }
    assert!(read(&png.file()).is_ok());
    let mut unknown = Png::gray(4, 4);
    unknown.before.push((b"QUUX", vec![1]));
    assert!(matches!(read(&unknown.file()), Err(CodecError::Damaged(_))), "a critical chunk that nobody knows");
}

/// A cut anywhere in the data of the last scan, and then an end-of-image marker as if nothing had happened: decoders make
/// a gray rest of it, or report it as damaged.
#[test]
fn a_jpeg_that_ends_early_with_its_marker_gets_an_answer() {
    for (i, file) in FILES.into_iter().enumerate().filter(|(_, file)| file.starts_with(b"\xff\xd8")) {
        let scan = file.windows(2).rposition(|w| w == b"\xff\xda").expect("a scan");
        let header = usize::from(u16::from_be_bytes([file[scan + 2], file[scan + 3]]));
        // The last byte before the marker may be padding alone.
        for end in scan + 2 + header..file.len() - 3 {
            let bent = [&file[..end], b"\xff\xd9"].concat();
            let answer = read(&bent).map(|(header, _)| header);
            assert!(matches!(answer, Ok(_) | Err(CodecError::Damaged(_))), "file {i} ended at {end}: {answer:?}");
        }
    }
}

fn bent() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8);
    let cut = any::<prop::sample::Index>();
    (0..FILES.len(), bytes, prop::option::weighted(0.2, cut)).prop_map(|(file, changes, cut)| {
        let mut file = FILES[file].to_vec();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some(cut) = cut {
            let at = cut.index(file.len());
            file.splice(at..at, [0xff, 0xda, 0]);
        }
        file
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Whatever is done to a file, there is an answer, and an image is the one that the header promised. Checksums
    /// catch most of what is done to PNGs; what is done to the others gets deep into the decoders.
    #[test]
    fn bent_files_get_an_answer(file in bent()) {
        let limits = crate::InputLimits { input_pixels: 100_000, output_pixels: 1 };
        if let Ok(opened) = crate::open(file.into(), &limits, None, &crate::Interrupt::default()) {
            prop_assert!(opened.probe.size.pixels() <= limits.input_pixels);
            let header = opened.probe.clone();
            if let Ok(image) = opened.decode() {
                prop_assert_eq!((image.size(), image.channels()), (header.size, header.channels));
            }
        }
    }

    #[test]
    fn noise_after_a_signature_gets_an_answer(
        start in prop::sample::select(vec![
            &b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"[..],
            b"\xff\xd8\xff",
            b"RIFF\x80\0\0\0WEBPVP8X\x0a\0\0\0",
            b"RIFF\x80\0\0\0WEBPVP8L\x70\0\0\0/",
            b"RIFF\x80\0\0\0WEBPVP8 \x70\0\0\0",
            b"GIF89a\x05\0\x05\0\x80\0\0",
            b"BM\x80\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x05\0\0\0\x05\0\0\0",
            b"II*\0\x08\0\0\0\x0a\0",
            b"MM\0+\0\x08\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\x0a",
        ]),
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let file = [start, &noise].concat();
        if probe(&file).is_ok() {
            let _ = read(&file);
        }
    }
}

/// A gray TIFF of one page in tiles that all lie in the same zeros.
fn tiled_tiff([width, height, tile_width, tile_height]: [u32; 4]) -> Vec<u8> {
    let tiles = width.div_ceil(tile_width) * height.div_ceil(tile_height);
    let lists = 8 + 2 + 10 * 12 + 4;
    let entries: [(u16, u32, u32); 10] = [
        (256, 1, width),
        (257, 1, height),
        (258, 1, 8),
        (259, 1, 8),
        (262, 1, 1),
        (277, 1, 1),
        (322, 1, tile_width),
        (323, 1, tile_height),
        (324, tiles, lists),
        (325, tiles, lists),
    ];
    let mut file = [b"II\x2a\0".to_vec(), 8_u32.to_le_bytes().to_vec(), 10_u16.to_le_bytes().to_vec()].concat();
    for (tag, count, value) in entries {
        file.extend([tag.to_le_bytes(), 4_u16.to_le_bytes()].concat());
        file.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    file.resize(lists as usize + 4 * tiles as usize, 0);
    file
}

#[test]
fn tiles_that_reach_far_over_their_page_are_refused() {
    let size = |tiff: [u32; 4]| probe(&tiled_tiff(tiff)).map(|header| header.size);
    // Each tile costs its own pixels, and what it costs to begin one.
    let rows = 16 * (WORK_PIXELS / (32_768 * 16 + STREAM_PIXELS)) as u32;
    assert_eq!(size([16, rows, 32_768, 16]), Ok(Size::new(16, rows)));
    let refused = size([16, rows + 1, 32_768, 16]);
    assert!(matches!(refused, Err(CodecError::TooLarge { name: "decode_pixels", .. })), "{refused:?}");
}

#[test]
fn directories_one_within_the_other_are_damaged() {
    // One of 4096 entries begins every 6 bytes; what follows it is in another's entries.
    let slots = 40_000_usize;
    let mut file = [b"II\x2a\0".to_vec(), 8_u32.to_le_bytes().to_vec()].concat();
    for slot in 0..slots {
        let next = if slot < 8192 { 0 } else { 8 + 6 * (slot as u32 - 8192 + 1) };
        file.extend(4096_u16.to_le_bytes());
        file.extend(next.to_le_bytes());
    }
    let header = probe(&file).expect_err("no image");
    assert!(header.to_string().contains("more entries"), "{header}");
}
