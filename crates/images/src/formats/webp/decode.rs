//! WebP to samples; of an animation, the frame asked for. Its frames are laid over each other by `image`: image-webp's own
//! drawing clears the wrong place before a frame without alpha (0.2.4).

use image::{DynamicImage, RgbImage, RgbaImage, imageops};
use image_webp::WebPDecoder;

use super::{ALPHA, Bitstream, File, lossless, lossless_tables};
use crate::formats::frames::in_channels;
use crate::formats::{Probe, damaged};
use crate::interrupt::Source;
use crate::raster::Samples;
use crate::units::Size;
use crate::{CodecError, Interrupt};

pub fn decode(file: &File, probe: &Probe, interrupt: &Interrupt) -> Result<Samples, CodecError> {
    if file.breaks_off {
        return Err(damaged("WebP"));
    }
    let stored = probe.orientation.upright(probe.size);
    if file.frames.is_empty() {
        return still(file.image.as_ref(), stored, probe.channels.has_alpha(), interrupt).map(Samples::U8);
    }
    // The color of the background that a file may name is for nobody: browsers leave it out.
    let mut canvas = RgbaImage::new(stored.width, stored.height);
    for (number, frame) in (0..=probe.frame).zip(&file.frames) {
        let Size { width, height } = frame.layer.size;
        let samples = still(frame.image.as_ref(), frame.layer.size, frame.has_alpha, interrupt)?;
        let pixels = if frame.has_alpha {
            RgbaImage::from_raw(width, height, samples)
        } else {
            RgbImage::from_raw(width, height, samples).map(|rgb| DynamicImage::ImageRgb8(rgb).into_rgba8())
        };
        let (pixels, [x, y]) = (pixels.ok_or_else(|| damaged("WebP"))?, frame.at.map(i64::from));
        if frame.blends {
            imageops::overlay(&mut canvas, &pixels, x, y);
        } else {
            imageops::replace(&mut canvas, &pixels, x, y);
        }
        drop(pixels);
        if frame.clears && number < probe.frame {
            imageops::replace(&mut canvas, &RgbaImage::new(width, height), x, y);
        }
    }
    Ok(Samples::U8(in_channels(canvas.into_raw(), probe.channels)))
}

/// The samples of one image, from a file of its streams alone: so no metadata, missing or false, can fail a decode.
fn still(image: Option<&Bitstream>, size: Size, has_alpha: bool, interrupt: &Interrupt) -> Result<Vec<u8>, CodecError> {
    interrupt.check()?;
    let image = image.filter(|image| image.is_whole()).ok_or_else(|| damaged("WebP"))?;
    check_tables(image, size, interrupt)?;
    let file = match image {
        Bitstream::Lossless { stream } => container(&[(*b"VP8L", &stream.data)]),
        Bitstream::Lossy { frame, alpha: None } => container(&[(*b"VP8 ", &frame.data)]),
        Bitstream::Lossy { frame, alpha: Some(alpha) } => {
            let [w0, w1, w2, _] = (size.width - 1).to_le_bytes();
            let [h0, h1, h2, _] = (size.height - 1).to_le_bytes();
            let canvas = [ALPHA, 0, 0, 0, w0, w1, w2, h0, h1, h2];
            container(&[(*b"VP8X", &canvas), (*b"ALPH", &alpha.data), (*b"VP8 ", &frame.data)])
        }
    };
    let broken = |error: image_webp::DecodingError| {
        tracing::debug!(%error, "webp does not decode");
        damaged("WebP")
    };
    let mut decoder = WebPDecoder::new(Source::new(file, interrupt)).map_err(broken)?;
    if decoder.dimensions() != (size.width, size.height) || decoder.has_alpha() != has_alpha {
        return Err(damaged("WebP"));
    }
    let mut samples = vec![0; size.pixels() as usize * if has_alpha { 4 } else { 3 }];
    decoder.read_image(&mut samples).map_err(broken)?;
    Ok(samples)
}

fn container(chunks: &[([u8; 4], &[u8])]) -> Vec<u8> {
    let mut file = Vec::with_capacity(12 + chunks.iter().map(|(_, data)| data.len() + 9).sum::<usize>());
    file.extend_from_slice(b"RIFF\0\0\0\0WEBP");
    for (kind, data) in chunks {
        file.extend_from_slice(kind);
        file.extend_from_slice(&(data.len() as u32).to_le_bytes());
        file.extend_from_slice(data);
        file.resize(file.len().next_multiple_of(2), 0);
    }
    let length = file.len() as u32 - 8;
    file[4..8].copy_from_slice(&length.to_le_bytes());
    file
}

/// Holds lossless streams, be they the image or its alpha, to what `Bitstream::working_bytes` has for their tables.
fn check_tables(image: &Bitstream, size: Size, interrupt: &Interrupt) -> Result<(), CodecError> {
    let (stream, bare) = match image {
        Bitstream::Lossless { stream } => (&stream.data[..], false),
        // The first byte's low bits give how the plane is coded; 1 is the lossless way.
        Bitstream::Lossy { alpha: Some(alpha), .. } => match alpha.data.split_first() {
            Some((how, plane)) if how & 3 == 1 => (plane, true),
            _ => return Ok(()),
        },
        Bitstream::Lossy { .. } => return Ok(()),
    };
    let budget = lossless_tables(size.pixels(), stream.len());
    lossless::check(stream, size, bare, budget, interrupt).map_err(|why| {
        tracing::debug!(?why, "webp is not decoded");
        damaged("WebP")
    })
}
