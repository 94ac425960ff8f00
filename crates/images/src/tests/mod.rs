//! The codec from outside: files of other makers and hand-built ones in, bytes and pixels out.

mod broken;
mod cases;
mod encoding;
mod frames;
mod jpeg;
mod kinds;
mod loss;
mod png;
pub(super) mod png_maker;
mod webp;
mod work;

use bytes::Bytes;

use crate::formats::open;
use crate::raster::{Raster, Samples};
use crate::{CodecError, InputLimits, Interrupt, Opened, Probe};

const LIMITS: InputLimits = InputLimits { input_pixels: 16_000_000, output_pixels: 256_000_000 };

macro_rules! fixture {
    ($name:expr) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/images/", $name))
    };
}
use fixture;

/// One frame or page, or the only one.
fn opened(file: &[u8], frame: Option<u32>) -> Result<Opened, CodecError> {
    open(Bytes::copy_from_slice(file), &LIMITS, frame, &Interrupt::default())
}

/// What the header declares.
fn probe(file: &[u8]) -> Result<Probe, CodecError> {
    probe_frame(file, None)
}

fn probe_frame(file: &[u8], frame: Option<u32>) -> Result<Probe, CodecError> {
    opened(file, frame).map(|opened| opened.probe)
}

/// Opens and decodes, and holds the one to the other.
fn read(file: &[u8]) -> Result<(Probe, Raster), CodecError> {
    read_frame(file, None)
}

fn read_frame(file: &[u8], frame: Option<u32>) -> Result<(Probe, Raster), CodecError> {
    let opened = opened(file, frame)?;
    let header = opened.probe.clone();
    let image = opened.decode()?;
    assert_eq!(
        (image.size(), image.channels(), image.depth()),
        (header.size, header.channels, header.depth),
        "the header promised something else"
    );
    assert_eq!(header.raster_bytes(), image.bytes());
    Ok((header, image))
}

fn eight_bit(image: &Raster) -> &[u8] {
    match image.samples() {
        Samples::U8(v) => v,
        Samples::U16(_) => panic!("8 bits were expected"),
    }
}

/// What `pixel` in tests/fixtures/images/make.py declares, of the first `channels` channels.
fn made_pixels(channels: usize) -> Vec<u8> {
    let (width, height) = (37, 26);
    (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| [x * 6, y * 9, x * y % 256, (255_u32).saturating_sub(12 * x)].map(|v| v as u8))
        .enumerate()
        .filter_map(|(i, v)| (i % 4 < channels).then_some(v))
        .collect()
}

/// The largest and the mean difference of two images.
fn difference(ours: &[u8], theirs: &[u8]) -> (u8, f64) {
    assert_eq!(ours.len(), theirs.len());
    let each = || ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
    (each().max().unwrap_or(0), each().map(f64::from).sum::<f64>() / ours.len() as f64)
}

#[test]
fn empty_and_unknown_bytes() {
    assert_eq!(probe(b""), Err(CodecError::Empty));
    assert!(matches!(probe(b"%PDF-1.7"), Err(CodecError::Unsupported(text)) if text.contains("PDF")));
    assert!(matches!(probe(&[7; 100]), Err(CodecError::Unsupported(_))));
}
