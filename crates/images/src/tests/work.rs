//! Small files that make a decoder work long, or take much memory: bounded from the header, and ended in the middle.

use super::png_maker::{deflate, signature_and_header};
use super::{LIMITS, fixture, probe, probe_frame};
use crate::interrupt::SLICE;
use crate::limits::{STREAM_PIXELS, TABLE_BYTE_PIXELS, WORK_PIXELS};
use crate::testing::chunk;
use crate::{CodecError, Interrupt, Probe, open};

/// Opens and decodes the last of `frames`, with so much patience.
fn decoded(file: &[u8], frames: u32, interrupt: &Interrupt) -> Result<(), CodecError> {
    let frame = (frames > 1).then(|| frames - 1);
    open(file.to_vec().into(), &LIMITS, frame, interrupt)?.decode().map(drop)
}

/// Frames of one pixel, or of the whole canvas, each of which gives its area back.
fn restoring_gif(side: u16, frames: u32, whole: bool) -> Vec<u8> {
    let [lo, hi] = side.to_le_bytes();
    let mut file = [b"GIF89a", &[lo, hi, lo, hi, 0x80, 0, 0, 0, 0, 0, 255, 255, 255][..]].concat();
    let [w0, w1] = if whole { [lo, hi] } else { [1, 0] };
    for _ in 0..frames {
        file.extend([0x21, 0xf9, 4, 3 << 2, 0, 0, 0, 0]);
        file.extend([0x2c, 0, 0, 0, 0, w0, w1, w0, w1, 0]);
        // Codes of three bits: clear, color 0, end.
        file.extend([2, 2, 0x44, 0x01, 0]);
    }
    file.push(0x3b);
    file
}

fn restoring_apng(side: u32, frames: u32) -> Vec<u8> {
    let mut file = signature_and_header(side, side, 8, 3, false);
    file.extend(chunk(*b"acTL", &[frames.to_be_bytes(), [0; 4]].concat()));
    file.extend(chunk(*b"PLTE", &[7; 3]));
    let (canvas, pixel) = (deflate(&vec![0; (side * (side + 1)) as usize]), deflate(&[0, 0]));
    let mut number = 0_u32;
    let mut next = || {
        number += 1;
        (number - 1).to_be_bytes()
    };
    for frame in 0..frames {
        // The canvas, then one pixel at the corner; disposal "previous".
        let side = if frame == 0 { side } else { 1 }.to_be_bytes();
        let control = [next(), side, side, [0; 4], [0; 4], [0, 1, 0, 10]];
        file.extend(chunk(*b"fcTL", &[&control.concat()[..], &[2, 0]].concat()));
        if frame == 0 {
            file.extend(chunk(*b"IDAT", &canvas));
        } else {
            file.extend(chunk(*b"fdAT", &[&next()[..], &pixel].concat()));
        }
    }
    file.extend(chunk(*b"IEND", b""));
    file
}

/// Full frames of one lossless stream; `stream` has the size that it declares.
fn animated_webp(side: u32, frames: u32, stream: &[u8]) -> Vec<u8> {
    fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
        let mut chunk = [&kind[..], &(data.len() as u32).to_le_bytes(), data].concat();
        chunk.resize(chunk.len().next_multiple_of(2), 0);
        chunk
    }
    let [s0, s1, s2, _] = (side - 1).to_le_bytes();
    let mut body = b"WEBP".to_vec();
    body.extend(chunk(*b"VP8X", &[0x02, 0, 0, 0, s0, s1, s2, s0, s1, s2]));
    body.extend(chunk(*b"ANIM", &[0; 6]));
    for _ in 0..frames {
        let head = [0, 0, 0, 0, 0, 0, s0, s1, s2, s0, s1, s2, 10, 0, 0, 0];
        body.extend(chunk(*b"ANMF", &[&head[..], &chunk(*b"VP8L", stream)].concat()));
    }
    chunk(*b"RIFF", &body)
}

/// What begins a lossless stream of a square.
fn webp_head(side: u32) -> Vec<u8> {
    let sides = (side - 1) | (side - 1) << 14;
    [&[0x2f][..], &sides.to_le_bytes()].concat()
}

/// A gray page of one column, each row a strip, all strips the same JPEG.
fn strips_of_jpeg(rows: u32, strip: &[u8], tables: &[u8]) -> Vec<u8> {
    let lists = 8 + strip.len() as u32 + tables.len() as u32;
    let directory = lists + 8 * rows;
    let entries: [(u16, u16, u32, u32); 10] = [
        (256, 4, 1, 1),
        (257, 4, 1, rows),
        (258, 3, 1, 8),
        (259, 3, 1, 7),
        (262, 3, 1, 1),
        (273, 4, rows, if rows == 1 { 8 } else { lists }),
        (277, 3, 1, 1),
        (278, 4, 1, 1),
        (279, 4, rows, if rows == 1 { strip.len() as u32 } else { lists + 4 * rows }),
        (347, 7, tables.len() as u32, 8 + strip.len() as u32),
    ];
    let mut file = [b"II\x2a\0", &directory.to_le_bytes()[..], strip, tables].concat();
    (0..rows).for_each(|_| file.extend(8_u32.to_le_bytes()));
    (0..rows).for_each(|_| file.extend((strip.len() as u32).to_le_bytes()));
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        file.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        file.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    file.extend([0; 4]);
    file
}

/// `JPEGTables` of so many bytes, a comment among them: one symbol for a difference of nothing and one for the end of a
/// block, a bit each.
fn tables(bytes: usize) -> Vec<u8> {
    let code = |class: u8| [&[0xff, 0xc4, 0, 20, class, 1][..], &[0; 16]].concat();
    let mut file = [&[0xff, 0xd8, 0xff, 0xdb, 0, 67, 0][..], &[1; 64], &code(0), &code(0x10)].concat();
    let comment = bytes - file.len() - 4;
    file.extend([&[0xff, 0xfe][..], &(comment as u16).to_be_bytes(), &vec![8; comment - 2], &[0xff, 0xd9]].concat());
    file
}

/// A gray JPEG of one pixel, without its tables.
fn dot() -> Vec<u8> {
    let frame = [0xff, 0xc0, 0, 11, 8, 0, 1, 0, 1, 1, 1, 0x11, 0];
    [&[0xff, 0xd8][..], &frame, &[0xff, 0xda, 0, 8, 1, 1, 0, 0, 0x3f, 0, 0x3f, 0xff, 0xd9]].concat()
}

/// The bytes of the VP8L chunk of a lossless file.
fn stream_of(webp: &[u8]) -> &[u8] {
    let at = webp.windows(4).position(|w| w == b"VP8L").expect("lossless");
    let length = u32::from_le_bytes(*webp[at + 4..].first_chunk().expect("a length")) as usize;
    &webp[at + 8..][..length]
}

fn small_webp() -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = image_webp::WebPEncoder::new(&mut file);
    encoder.encode(&[9; 3 * 8 * 8], 8, 8, image_webp::ColorType::Rgb8).expect("it encodes");
    file
}

#[test]
fn every_frame_and_every_strip_asks_whether_to_go_on() {
    const PARTS: u32 = 40;
    let files = [
        ("gif", restoring_gif(64, PARTS, false), PARTS),
        ("png", restoring_apng(64, PARTS), PARTS),
        ("webp", animated_webp(8, PARTS, stream_of(&small_webp())), PARTS),
        ("tiff", strips_of_jpeg(PARTS, &dot(), &tables(200)), 1),
    ];
    for (name, file, frames) in files {
        assert_eq!(decoded(&file, frames, &Interrupt::default()), Ok(()), "{name}");
        let middle = Interrupt::after(i64::from(PARTS) - 5);
        assert_eq!(decoded(&file, frames, &middle), Err(CodecError::Interrupted), "{name}");
        assert!(middle.is_set());
    }
}

/// How often the decode of a file asks whether to go on.
fn questions(file: &[u8]) -> usize {
    const MANY: i64 = 1 << 40;
    let interrupt = Interrupt::after(MANY);
    assert_eq!(decoded(file, 1, &interrupt), Ok(()));
    usize::try_from(MANY - interrupt.questions_left()).expect("not negative")
}

/// Noise, which no format makes small.
fn noisy(format: image::ImageFormat) -> Vec<u8> {
    let mut state = 9_u32;
    let noise = image::RgbImage::from_fn(200, 150, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        image::Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
    });
    let mut file = std::io::Cursor::new(Vec::new());
    noise.write_to(&mut file, format).expect("it encodes");
    file.into_inner()
}

fn noisy_gif() -> Vec<u8> {
    let noise = noisy(image::ImageFormat::Bmp);
    let mut file = Vec::new();
    let mut encoder = gif::Encoder::new(&mut file, 200, 150, &noise[54..][..768]).expect("memory takes it");
    let frame = gif::Frame::from_indexed_pixels(200, 150, &noise[1000..][..200 * 150], None);
    encoder.write_frame(&frame).expect("memory takes it");
    drop(encoder);
    file
}

#[test]
fn every_format_asks_as_it_reads() {
    use image::ImageFormat::{Bmp, Jpeg, Png, WebP};
    let files =
        [("png", noisy(Png)), ("jpeg", noisy(Jpeg)), ("bmp", noisy(Bmp)), ("webp", noisy(WebP)), ("gif", noisy_gif())];
    for (name, file) in files {
        let slices = file.len() / SLICE;
        let asked = questions(&file);
        assert!(slices >= 4 && asked >= slices, "{name}: {asked} questions, {slices} slices");
    }
    // Rows, however few bytes they come from.
    for (name, file, rows) in
        [("tiff", strips_of_jpeg(40, &dot(), &tables(200)), 40), ("jxl", fixture!("kinds/rgb.jxl").to_vec(), 26)]
    {
        let asked = questions(&file);
        assert!(asked >= rows, "{name}: {asked} questions");
    }
}

/// The way from CMYK to RGB, which reads nothing, asks at every mebibyte.
#[test]
fn a_cmyk_jpeg_asks_as_it_is_converted() {
    let (width, height) = (2048, 1024);
    let mut file = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut file, 90);
    let inks = vec![7; 4 * usize::from(width) * usize::from(height)];
    encoder.encode(&inks, width, height, jpeg_encoder::ColorType::Cmyk).expect("memory takes it");
    let (slices, parts, asked) = (file.len() / SLICE, inks.len() >> 20, questions(&file));
    assert!(parts == 8 && asked >= slices + parts, "{asked} questions, {slices} slices");
}

#[test]
fn no_format_decodes_after_the_end_of_its_request() {
    for file in [
        &fixture!("baseline-420.jpg")[..],
        fixture!("progressive.jpg"),
        fixture!("profile.png"),
        fixture!("gray-16.png"),
        fixture!("lossy.webp"),
        fixture!("lossless.webp"),
        fixture!("kinds/rgba.tif"),
        fixture!("kinds/jpeg.tif"),
        fixture!("kinds/rle.bmp"),
        fixture!("kinds/hole.gif"),
        fixture!("kinds/rgb.jxl"),
    ] {
        let ended = Interrupt::default();
        drop(ended.clone().set_on_drop());
        assert_eq!(decoded(file, 1, &ended), Err(CodecError::Interrupted));
    }
}

fn refused(header: Result<Probe, CodecError>) -> bool {
    match header {
        Ok(_) => false,
        Err(CodecError::TooLarge { name: "decode_pixels", .. }) => true,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_work_of_an_animation_is_refused_from_its_header() {
    let last = |file: &[u8], frames: u32| refused(probe_frame(file, Some(frames - 1)));
    // The canvas is drawn anew for each frame, however small.
    assert!(!last(&restoring_gif(4000, 31, false), 31));
    assert!(last(&restoring_gif(4000, 32, false), 32));
    assert!(!last(&restoring_gif(4000, 31, true), 31));
    assert!(last(&restoring_gif(4000, 32, true), 32));
    let head = webp_head(4000);
    assert!(!last(&animated_webp(4000, 15, &head), 15));
    assert!(last(&animated_webp(4000, 16, &head), 16));
    // Of a PNG the frame is passed over twice besides.
    let most = (WORK_PIXELS - 2 * 64 * 64) / (64 * 64 + 2 + STREAM_PIXELS);
    assert!(!last(&restoring_apng(64, most as u32), most as u32));
    assert!(last(&restoring_apng(64, most as u32 + 1), most as u32 + 1));
}

#[test]
fn tables_that_every_strip_reads_anew_are_work() {
    const BYTES: u64 = 60_000;
    let strips = |rows: u32| refused(probe(&strips_of_jpeg(rows, &dot(), &tables(BYTES as usize))));
    let just = (WORK_PIXELS / (1 + STREAM_PIXELS + TABLE_BYTE_PIXELS * BYTES)) as u32;
    assert!(!strips(just));
    assert!(strips(just + 1));
}

#[test]
fn scans_of_a_jpeg_are_work() {
    let scans = |count: usize| {
        let frame = [0xff, 0xd8, 0xff, 0xc2, 0, 11, 8, 0x0f, 0xa0, 0x0f, 0xa0, 1, 1, 0x11, 0];
        let scan = [0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0, 0x55, 0xff, 0];
        let file = [&frame[..], &scan.repeat(count), &[0xff, 0xd9], &scan.repeat(99)].concat();
        refused(probe(&file))
    };
    assert!(!scans(32));
    assert!(scans(33));
}

/// A strip whose JPEG claims what the page does not: nothing is allocated by it, see also tests/http/attacks.rs.
#[test]
fn a_strip_of_another_size_is_damaged() {
    let mut claims = dot();
    assert_eq!(decoded(&strips_of_jpeg(1, &claims, &tables(200)), 1, &Interrupt::default()), Ok(()));
    let frame = claims.windows(2).position(|w| w == [0xff, 0xc0]).expect("a frame header");
    claims[frame + 5..frame + 9].fill(0xff);
    let error = decoded(&strips_of_jpeg(1, &claims, &tables(200)), 1, &Interrupt::default());
    assert!(matches!(error, Err(CodecError::Damaged(_))), "{error:?}");
    // As many scans as it likes would be as many passes over each strip.
    let scans = [&dot()[..2], &[0xff, 0xda, 0, 2].repeat(9), &dot()[2..]].concat();
    let error = decoded(&strips_of_jpeg(1, &scans, &tables(200)), 1, &Interrupt::default());
    assert!(matches!(error, Err(CodecError::Damaged(_))), "{error:?}");
}
