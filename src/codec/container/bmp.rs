//! Windows bitmaps: the header by the decoder's own reading of it, which touches no pixel.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::{ColorType, ImageDecoder as _, ImageError};

use super::{Frames, Header};
use crate::codec::CodecError;
use crate::raster::Channels;
use crate::units::Size;

pub type Decoder<'a> = BmpDecoder<Cursor<&'a [u8]>>;

/// The decoder after its header, and what is in the file.
pub fn open(file: &[u8]) -> Result<(Decoder<'_>, Size, Channels), CodecError> {
    let decoder = BmpDecoder::new(Cursor::new(file)).map_err(|error| {
        tracing::debug!(%error, "a bmp's header does not hold together");
        match error {
            ImageError::Unsupported(_) => {
                CodecError::Unsupported("the BMP is of a rare kind, which is not read here; save it as a PNG".into())
            }
            _ => CodecError::Damaged("the BMP's header is broken or cut off; send the file again".into()),
        }
    })?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(CodecError::Damaged("the BMP has a side of zero; send the file again".into()));
    }
    // By the mask that the header has for it: in 32 bits without one, the fourth byte means nothing.
    let channels = if decoder.color_type() == ColorType::Rgba8 { Channels::Rgba } else { Channels::Rgb };
    Ok((decoder, Size::new(width, height), channels))
}

/// Whether the file is as long as the header of a run-length coded one says: such data may end wherever it likes.
pub fn is_whole(file: &[u8]) -> bool {
    let word =
        |at: usize| file.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |b| u64::from(u32::from_le_bytes(*b)));
    let run_lengths = word(14) >= 40 && matches!(word(30), 1 | 2);
    !run_lengths || word(10) + word(34) <= file.len() as u64
}

/// What the header says.
pub fn header(file: &[u8], frame: Option<u32>) -> Result<Header, CodecError> {
    let (_, stored, channels) = open(file)?;
    // A row as it is stored, at most four bytes a pixel, and the palette.
    let working_bytes = 4 * u64::from(stored.width) + (64 << 10);
    Ok(Header::plain(stored, channels, working_bytes, Frames::choose("BMP", "frame", 1, frame)?))
}
