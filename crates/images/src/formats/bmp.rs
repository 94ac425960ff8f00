//! Windows bitmaps, by the decoder of `image`; of the header only what it does not check or report is read here: sides, which
//! are limits and not its kinds, the end of run lengths, and the density.

use bytes::Bytes;
use image::codecs::bmp::BmpDecoder;
use image::{ColorType, ImageDecoder as _, ImageError};

use super::{Decode, Frames, Header, Probe, damaged, sample_count};
use crate::interrupt::Source;
use crate::limits::check_side;
use crate::metadata::Density;
use crate::raster::{Channels, Samples};
use crate::units::Size;
use crate::{CodecError, Interrupt};

/// A number of the header; `None` where the file breaks off before it.
fn long(file: &[u8], at: usize) -> Option<u32> {
    file.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| u32::from_le_bytes(*bytes))
}

/// Sides of zero, and those that are too long: to the decoder the latter are a kind that it does not know.
fn check_sides(file: &[u8]) -> Result<(), CodecError> {
    let sides = match long(file, 14) {
        // The oldest header has both in short numbers.
        Some(12) => long(file, 18).map(|both| ((both & 0xffff) as i32, (both >> 16) as i32)),
        _ => long(file, 18).zip(long(file, 22)).map(|(width, height)| (width as i32, height as i32)),
    };
    match sides {
        // A height below zero is that of rows from the top.
        Some((width, height)) if width <= 0 || height == 0 => Err(CodecError::Damaged(format!(
            "the BMP's header tells of {width} x {height} pixels; send the file again"
        ))),
        Some((width, height)) => check_side(Size::new(width.unsigned_abs(), height.unsigned_abs())),
        None => Ok(()),
    }
}

/// Whether the file is as long as the header of a run-length coded one says: such data may end wherever it likes.
fn is_whole(file: &[u8]) -> bool {
    let word = |at| long(file, at).map_or(0, u64::from);
    let run_lengths = word(14) >= 40 && matches!(word(30), 1 | 2);
    !run_lengths || word(10) + word(34) <= file.len() as u64
}

/// What the header declares, and the decoder behind it.
pub fn open(file: Bytes, frame: Option<u32>, interrupt: &Interrupt) -> Result<(Header, Decode), CodecError> {
    check_sides(&file)?;
    let decoder = BmpDecoder::new(Source::new(file.clone(), interrupt)).map_err(|error| {
        tracing::debug!(%error, "a bmp's header does not hold together");
        match error {
            ImageError::Unsupported(_) => {
                CodecError::Unsupported("the BMP is of a rare kind, which is not read here; save it as a PNG".into())
            }
            _ => CodecError::Damaged("the BMP's header is broken or cut off; send the file again".into()),
        }
    })?;
    let (width, height) = decoder.dimensions();
    let stored = Size::new(width, height);
    // By the mask that the header has for it: in 32 bits without one, the fourth byte means nothing.
    let channels = if decoder.color_type() == ColorType::Rgba8 { Channels::Rgba } else { Channels::Rgb };
    // A row as it is stored, at most four bytes a pixel, and the palette.
    let working_bytes = 4 * u64::from(stored.width) + (64 << 10);
    let mut header = Header::plain(stored, channels, working_bytes, Frames::choose("BMP", "frame", 1, frame)?);
    // The oldest header has none; elsewhere none is zero.
    if long(&file, 14).is_some_and(|length| length >= 40) {
        let meter = long(&file, 38).zip(long(&file, 42));
        header.metadata.density = meter.and_then(|(x, y)| Density::per_meter(x, y));
    }
    let decode = move |probe: &Probe| {
        let mut samples = vec![0; sample_count(stored, probe)];
        let read = decoder.read_image(&mut samples).inspect_err(|error| tracing::debug!(%error, "bmp does not decode"));
        if is_whole(&file) && read.is_ok() { Ok(Samples::U8(samples)) } else { Err(damaged("BMP")) }
    };
    Ok((header, Box::new(decode)))
}
