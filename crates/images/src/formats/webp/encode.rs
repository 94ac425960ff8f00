//! Lossless WebP. Its codes are made from the statistics of the whole image, so it is gathered first.

use image_webp::{ColorType, EncodingError, WebPEncoder};

use crate::encode::rows::{Rows, push_8_bit};
use crate::encode::sink::Sink;
use crate::encode::target::{EncodeError, Target};
use crate::raster::Channels;

/// The gathered image, the encoder's copy in four channels, and its result, which is at worst as large as the
/// image and is grown by doubling.
pub fn buffered_bytes(target: &Target) -> u64 {
    let gathered = layout(target.channels).1 as u64;
    target.size.pixels() * (gathered + 4 + 2 * gathered)
}

/// What a WebP holds for these channels, and its samples per pixel. Gray with alpha goes in as RGBA: image-webp 0.2
/// writes runs of that layout twice and counts them once.
const fn layout(channels: Channels) -> (ColorType, usize) {
    match channels {
        Channels::Gray => (ColorType::L8, 1),
        Channels::GrayAlpha | Channels::Rgba => (ColorType::Rgba8, 4),
        Channels::Rgb => (ColorType::Rgb8, 3),
    }
}

pub fn encode(target: &Target, mut rows: Rows, sink: &Sink) -> Result<(), EncodeError> {
    let (color, count) = layout(target.channels);
    let mut image = Vec::with_capacity(target.size.pixels() as usize * count);
    let mut gray_alpha = Vec::new();
    while let Some((_, band)) = rows.next_band()? {
        if target.channels == Channels::GrayAlpha {
            gray_alpha.clear();
            push_8_bit(band.samples(), &mut gray_alpha);
            image.extend(gray_alpha.as_chunks::<2>().0.iter().flat_map(|[v, a]| [*v, *v, *v, *a]));
        } else {
            push_8_bit(band.samples(), &mut image);
        }
    }
    // What follows is long and cannot be interrupted.
    sink.ask()?;
    let mut encoder = WebPEncoder::new(sink);
    if let Some(profile) = &target.icc {
        encoder.set_icc_profile(profile.to_vec());
    }
    if let Some(exif) = &target.metadata.exif {
        encoder.set_exif_metadata(exif.to_vec());
    }
    if let Some(xmp) = &target.metadata.xmp {
        encoder.set_xmp_metadata(xmp.to_vec());
    }
    encoder.encode(&image, target.size.width, target.size.height, color).map_err(|error| {
        sink.shut();
        match error {
            EncodingError::IoError(error) => EncodeError::Write(error),
            other => EncodeError::Encoder(other.to_string()),
        }
    })
}
