//! JPEG XL (ISO 18181): its boxes, and the header of its codestream.
//!
//! Only the codestream gets to the decoder: boxes beside it may be packed, and hold nothing that pixels depend on.

mod decode;

use bytes::Bytes;
use jxl_bitstream::Bitstream;
use jxl_oxide::color::{ColourEncoding, ColourSpace, TransferFunction};
use jxl_oxide::image::{BitDepth, ImageHeader};
use jxl_oxide::{AllocTracker, EnumColourEncoding, HdrType, InitializeResult, JxlImage, JxlThreadPool, PixelFormat};
use jxl_oxide_common::Bundle as _;

use super::{Decode, Frames, Header, Probe};
use crate::raster::{Channels, Depth};
use crate::units::Size;
use crate::{CodecError, Interrupt, Loss};

/// What begins a file of boxes.
pub const CONTAINER: &[u8] = b"\0\0\0\x0cJXL \r\n\x87\n";

fn damaged(what: &str) -> CodecError {
    CodecError::Damaged(format!("the JPEG XL {what}; send the file again"))
}

fn unsupported(what: &str) -> CodecError {
    CodecError::Unsupported(format!("the JPEG XL {what}: such files are not read here; save it as a PNG"))
}

/// The codestream, as far as it is there.
fn codestream(file: Bytes) -> Bytes {
    if !file.starts_with(CONTAINER) {
        return file;
    }
    let mut parts = Vec::new();
    let mut rest = &file[..];
    while let Some((kind, content, after)) = next_box(rest) {
        match kind {
            b"jxlc" => return file.slice_ref(content),
            // Behind the number of the part.
            b"jxlp" => parts.extend_from_slice(content.get(4..).unwrap_or_default()),
            _ => {}
        }
        rest = after;
    }
    parts.into()
}

/// Kind and content of a box, and what follows it.
fn next_box(bytes: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let length = u64::from(u32::from_be_bytes(*bytes.first_chunk()?));
    let kind = bytes.get(4..)?.first_chunk()?;
    let (head, length) = match length {
        0 => (8, bytes.len() as u64),
        1 => (16, u64::from_be_bytes(*bytes.get(8..)?.first_chunk()?)),
        length => (8, length),
    };
    let end = usize::try_from(length).unwrap_or(usize::MAX).min(bytes.len());
    Some((kind, bytes.get(head..end)?, &bytes[end..]))
}

/// The decoder after the header, and how many bytes of the codestream that was. It will hold no more than `memory` has.
fn begin(stream: &[u8], memory: AllocTracker) -> Result<(JxlImage, usize), CodecError> {
    let mut bits = Bitstream::new(stream);
    let header = ImageHeader::parse(&mut bits, ()).map_err(|error| {
        tracing::debug!(%error, "a jpeg xl header does not parse");
        damaged("has a header that is broken or cut off")
    })?;
    let metadata = &header.metadata;
    if metadata.colour_encoding.want_icc() {
        // Its packed form has no bound that can be read from the header.
        return Err(unsupported("has an ICC profile packed into it"));
    }
    if let ColourEncoding::Enum(colors) = &metadata.colour_encoding
        && !has_profile(colors)
    {
        return Err(unsupported("has colors of a rare kind"));
    }
    if metadata.preview.is_some() {
        return Err(unsupported("has a preview in it"));
    }
    if metadata.animation.is_some() {
        return Err(CodecError::Unsupported("the JPEG XL is animated; send a single frame as a still image".into()));
    }
    let length = bits.num_read_bits().div_ceil(8);
    let mut empty = JxlImage::builder().pool(JxlThreadPool::none()).alloc_tracker(memory).build_uninit();
    let head = stream.get(..length).ok_or_else(|| damaged("breaks off within its header"))?;
    match empty.feed_bytes(head).and_then(|_| empty.try_init()) {
        Ok(InitializeResult::Initialized(image)) => Ok((image, length)),
        Ok(InitializeResult::NeedMoreData(_)) => Err(damaged("breaks off within its header")),
        Err(error) => {
            tracing::debug!(%error, "a jpeg xl header is not taken");
            Err(damaged("has a broken header"))
        }
    }
}

/// Whether the decoder can express these colors as a profile; for others it panics.
fn has_profile(colors: &EnumColourEncoding) -> bool {
    matches!(colors.colour_space, ColourSpace::Rgb | ColourSpace::Grey)
        && !matches!(colors.tf, TransferFunction::Unknown | TransferFunction::Gamma { g: 0, .. })
}

/// Channels and depth that are decoded.
fn layout(image: &JxlImage) -> Result<(Channels, Depth), CodecError> {
    match image.hdr_type() {
        Some(HdrType::Pq) => return Err(CodecError::HighDynamicRange("PQ")),
        Some(HdrType::Hlg) => return Err(CodecError::HighDynamicRange("HLG")),
        None => {}
    }
    let channels = match image.pixel_format() {
        PixelFormat::Gray => Channels::Gray,
        PixelFormat::Graya => Channels::GrayAlpha,
        PixelFormat::Rgb => Channels::Rgb,
        PixelFormat::Rgba => Channels::Rgba,
        PixelFormat::Cmyk | PixelFormat::Cmyka => return Err(unsupported("is in CMYK")),
    };
    match image.image_header().metadata.bit_depth {
        BitDepth::IntegerSample { bits_per_sample: ..=8 } => Ok((channels, Depth::Eight)),
        BitDepth::IntegerSample { bits_per_sample: ..=16 } => Ok((channels, Depth::Sixteen)),
        BitDepth::IntegerSample { bits_per_sample } => Err(unsupported(&format!("has {bits_per_sample} bits"))),
        BitDepth::FloatSample { .. } => Err(unsupported("has floating-point samples")),
    }
}

/// Whether colors were multiplied by alpha.
fn is_premultiplied(image: &JxlImage) -> bool {
    let extra = &image.image_header().metadata.ec_info;
    extra.iter().find_map(jxl_oxide::image::ExtraChannelInfo::alpha_associated).unwrap_or(false)
}

/// By the image header and the first byte of the first frame (ISO 18181-1, F.2): whether all is by default, which is
/// `VarDCT`, else two bits of its type, and whether it is modular. XYB is made of floats, and comes back only nearly.
/// Modular frames may be quantized, too; encoders do that in XYB.
fn loss(image: &JxlImage, frame: Option<u8>) -> Loss {
    let is_modular = frame.is_none_or(|bits| bits & 0b1001 == 0b1000);
    if image.image_header().metadata.xyb_encoded || !is_modular { Loss::Lossy } else { Loss::Lossless }
}

/// What the header declares, and the decoder behind it.
pub fn open(file: Bytes, asked: Option<u32>, interrupt: &Interrupt) -> Result<(Header, Decode), CodecError> {
    let stream = codestream(file);
    let memory = AllocTracker::with_limit(usize::MAX);
    let (image, head) = begin(&stream, memory.clone())?;
    let (channels, depth) = layout(&image)?;
    // As shown: the decoder turns the image upright by itself.
    let stored = Size::new(image.width(), image.height());
    if stored.pixels() == 0 {
        return Err(damaged("has a side of zero"));
    }
    let planes = 3 + image.image_header().metadata.ec_info.len() as u64;
    // A whole-frame decoder in 32-bit floats: some four copies of each plane, held to it by its own count; the
    // codestream twice; and what groups take beside them.
    let working_bytes =
        (16 * planes).saturating_mul(stored.pixels()).saturating_add(2 * stream.len() as u64 + (32 << 20));
    let held = usize::try_from(working_bytes).unwrap_or(usize::MAX);
    memory
        .shrink_limit(usize::MAX - held)
        .map_err(|_| damaged("has a header that takes more memory than its image"))?;
    let header = Header {
        depth,
        // Colors that are named by a number get an equivalent profile.
        icc: Some(image.rendered_icc()).filter(|profile| !profile.is_empty()),
        icc_made: true,
        loss: loss(&image, stream.get(head).copied()),
        // Its layers are counted as they come.
        ..Header::plain(stored, channels, working_bytes, Frames::choose("JPEG XL", "frame", 1, asked)?)
    };
    let interrupt = interrupt.clone();
    let decode = move |probe: &Probe| decode::decode(image, &stream[head..], &memory, probe, &interrupt);
    Ok((header, Box::new(decode)))
}
