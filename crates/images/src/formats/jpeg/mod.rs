//! JPEG (ITU-T T.81): its marker segments, and what those before the first scan say.

mod color;
pub mod decode;
pub mod encode;
pub mod quality;

use bytes::Bytes;

use super::{Decode, Frames, Header, Probe};
use crate::color::profile;
use crate::metadata::{Density, Metadata, exif};
use crate::raster::Channels;
use crate::units::Size;
use crate::{CodecError, Interrupt, Loss, Warning};
use color::Signs;

pub const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DRI: u8 = 0xdd;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
const APP13: u8 = 0xed;
const APP14: u8 = 0xee;
const COM: u8 = 0xfe;

/// What comes before XMP in its segment.
pub const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// Whether a marker begins a frame, of whatever kind: `SOF0` to `SOF15` without DHT, JPG and DAC.
const fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf)
}

/// One marker segment.
pub struct Segment<'a> {
    /// The byte after 0xff.
    pub marker: u8,
    /// Without the length field; cut short where the file breaks off.
    pub data: &'a [u8],
}

/// Walks marker by marker, over whatever is between them, entropy-coded data too.
pub struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Segments<'a> {
    /// Begins after the start-of-image marker.
    pub fn new(file: &'a [u8]) -> Self {
        Self { rest: file.get(2..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        let start = self.rest.iter().position(|b| *b == 0xff)?;
        let fill = self.rest[start..].iter().position(|b| *b != 0xff)?;
        let (marker, rest) = self.rest[start + fill..].split_first()?;
        // TEM, RSTn, SOI and EOI have no length; 0xff00 outside of a scan is a stray.
        if matches!(marker, 0 | 1 | 0xd0..=0xd9) {
            self.rest = rest;
            return Some(Segment { marker: *marker, data: &[] });
        }
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?)).max(2);
        let end = length.min(rest.len());
        self.rest = &rest[end..];
        Some(Segment { marker: *marker, data: &rest[2..end] })
    }
}

/// The scans of a file up to its end marker.
pub struct Scans {
    pub count: usize,
    /// Whether the distance of restart markers changes after the first.
    late_restarts: bool,
}

impl Scans {
    pub fn of(file: &[u8]) -> Self {
        let mut scans = Self { count: 0, late_restarts: false };
        for segment in Segments::new(file).take_while(|segment| segment.marker != EOI) {
            match segment.marker {
                SOS => scans.count += 1,
                DRI => scans.late_restarts |= scans.count > 0,
                _ => {}
            }
        }
        scans
    }
}

/// The frame header.
struct Frame {
    size: Size,
    components: Vec<Component>,
    progressive: bool,
}

/// A color channel: its sampling factors, 1 to 4, give how many blocks of it an MCU holds each way.
struct Component {
    horizontal: u64,
    vertical: u64,
}

/// What the segments before the first scan say. A file that breaks off after its frame header is judged by what is
/// there.
pub fn open(file: Bytes, asked: Option<u32>, interrupt: &Interrupt) -> Result<(Header, Decode), CodecError> {
    let mut frame = None;
    let mut orientation = None;
    let mut profile = ProfileParts::default();
    let mut metadata = Metadata::default();
    let mut scan_components = None;
    let mut restarts = false;
    let mut before_scan = 0;
    for segment in Segments::new(&file) {
        before_scan += segment.data.len() as u64;
        match segment.marker {
            marker if is_frame(marker) && frame.is_none() => frame = Some(Frame::read(&segment)?),
            APP0 | APP1 | APP13 | COM => {
                if orientation.is_none() && segment.marker == APP1 && segment.data.starts_with(b"Exif\0\0") {
                    orientation = Some(exif::orientation(file.slice_ref(segment.data)));
                }
                read_segment(&mut metadata, &file, &segment);
            }
            APP2 => profile.add(segment.data),
            DRI => restarts = segment.data != [0, 0],
            SOS => {
                scan_components = segment.data.first().copied();
                break;
            }
            EOI => break,
            _ => {}
        }
    }
    let Some(frame) = frame else {
        return Err(CodecError::Damaged("the JPEG breaks off before its size; send the whole file".into()));
    };
    let channels = if frame.components.len() == 1 { Channels::Gray } else { Channels::Rgb };
    let all_in_one_scan = scan_components.is_none_or(|n| usize::from(n) == frame.components.len());
    let (scans, signs) = (Scans::of(&file), Signs::of(&file));
    let restarts = restarts || scans.late_restarts;
    if !frame.progressive && !all_in_one_scan && (frame.max_sampling() != (1, 1) || restarts) {
        // zune-jpeg 0.5.15 decodes these without a complaint to colors that are far off.
        return Err(CodecError::Unsupported(
            "the JPEG has its colors in separate scans, which is rare; save it anew as a common JPEG".into(),
        ));
    }
    let (icc, warnings) = profile.joined();
    if frame.components.len() == 4 && signs.cmyk_coding().is_none() {
        // libjpeg's users take them as they are, Chrome and Pillow turn them around.
        return Err(CodecError::Unsupported(
            "the JPEG is in CMYK and does not say how its inks are stored; convert it to RGB first".into(),
        ));
    }
    // All four of every pixel, before they become three colors.
    let cmyk = if frame.components.len() == 4 { 4 * frame.size.pixels() } else { 0 };
    let working_bytes = before_scan
        + signs.prepared_bytes(file.len())
        + frame.working_bytes(frame.progressive || !all_in_one_scan)
        + cmyk;
    let header = Header {
        orientation: orientation.unwrap_or_default(),
        icc,
        cmyk: cmyk > 0,
        warnings,
        metadata,
        work: frame.size.pixels().saturating_mul(scans.count.max(1) as u64),
        loss: Loss::Jpeg { quality: quality::estimate([&file[..]]) },
        ..Header::plain(frame.size, channels, working_bytes, Frames::choose("JPEG", "frame", 1, asked)?)
    };
    let (interrupt, size) = (interrupt.clone(), frame.size);
    let decode = move |probe: &Probe| decode::decode(file, (size, &signs, scans.count), probe, &interrupt);
    Ok((header, Box::new(decode)))
}

impl Frame {
    /// Refuses what is not decoded: other depths, rare codings.
    fn read(segment: &Segment) -> Result<Self, CodecError> {
        let [precision, h1, h0, w1, w0, count, components @ ..] = segment.data else {
            return Err(CodecError::Damaged("the JPEG's frame header is cut off; send the whole file".into()));
        };
        let size = Size::new(u32::from(u16::from_be_bytes([*w1, *w0])), u32::from(u16::from_be_bytes([*h1, *h0])));
        let unsupported = |what: String| Err(CodecError::Unsupported(what));
        match (segment.marker, *precision, *count) {
            (0xc0..=0xc2, 8, 1 | 3 | 4) => {}
            (0xc0..=0xc2, 8, n) => {
                return unsupported(format!("the JPEG has {n} channels; send one in gray, RGB or CMYK"));
            }
            (0xc0..=0xc2, bits, _) => {
                return unsupported(format!("the JPEG has {bits} bits per sample; send one with 8, or a 16-bit PNG"));
            }
            (0xc3 | 0xc7 | 0xcb | 0xcf, ..) => {
                return unsupported("the JPEG is of the rare lossless kind; convert it to PNG".into());
            }
            (0xc5 | 0xc6 | 0xcd | 0xce, ..) => {
                return unsupported("the JPEG is of the rare hierarchical kind; convert it to a common JPEG".into());
            }
            _ => {
                return unsupported(
                    "the JPEG has arithmetic coding, which is rare; convert it to a common JPEG".into(),
                );
            }
        }
        if size.width == 0 || size.height == 0 {
            return Err(CodecError::Damaged("the JPEG's header has a side of zero; send the file again".into()));
        }
        let components: Vec<_> = components
            .chunks_exact(3)
            .take(usize::from(*count))
            .map(|c| Component { horizontal: u64::from(c[1] >> 4), vertical: u64::from(c[1] & 15) })
            .collect();
        if components.len() < usize::from(*count)
            || components.iter().any(|c| !(1..=4).contains(&c.horizontal) || !(1..=4).contains(&c.vertical))
        {
            return Err(CodecError::Damaged("the JPEG's frame header is broken; send the file again".into()));
        }
        Ok(Self { size, components, progressive: segment.marker == 0xc2 })
    }

    /// Columns and rows of MCUs, the groups of blocks of all components.
    fn mcus(&self) -> (u64, u64) {
        let (h_max, v_max) = self.max_sampling();
        (u64::from(self.size.width).div_ceil(8 * h_max), u64::from(self.size.height).div_ceil(8 * v_max))
    }

    fn max_sampling(&self) -> (u64, u64) {
        let max = |factor: fn(&Component) -> u64| self.components.iter().map(factor).max().unwrap_or(1);
        (max(|c| c.horizontal), max(|c| c.vertical))
    }

    /// A decoder that gets all components in one scan holds one row of blocks of each, raw and upsampled. One that
    /// must wait for later scans holds the coefficients of the whole image, two bytes each.
    fn working_bytes(&self, whole_image: bool) -> u64 {
        let (h_max, v_max) = self.max_sampling();
        let (columns, rows) = self.mcus();
        let blocks: u64 = self.components.iter().map(|c| c.horizontal * c.vertical).sum();
        let full = self.components.len() as u64 * h_max * v_max;
        let row = columns * 128 * (blocks + 3 * full);
        let coefficients = if whole_image { columns * rows * blocks * 128 } else { 0 };
        row + coefficients + (64 << 10)
    }
}

/// Takes what a segment holds beside the pixels.
fn read_segment(metadata: &mut Metadata, file: &Bytes, segment: &Segment) {
    let data = segment.data;
    match segment.marker {
        APP0 => {
            if let Some(jfif) = data.strip_prefix(b"JFIF\0") {
                metadata.density = metadata.density.or(Density::from_jfif(jfif));
                metadata.others |= Density::is_shape_in_jfif(jfif);
            }
        }
        APP1 if data.starts_with(b"Exif\0\0") => metadata.add_exif(file.slice_ref(data)),
        APP1 => match data.strip_prefix(XMP) {
            Some(packet) => metadata.add_xmp(packet),
            // XMP in parts, and whatever else: what the main packet refers to would be missing elsewhere.
            None => metadata.others = true,
        },
        APP13 if data.starts_with(b"Photoshop 3.0\0") => metadata.add_photoshop(data),
        _ => metadata.others = true,
    }
}

/// An ICC profile comes in parts that hold their number and how many there are (ICC.1, annex B.4).
#[derive(Default)]
struct ProfileParts<'a> {
    parts: Vec<(u8, u8, &'a [u8])>,
}

impl<'a> ProfileParts<'a> {
    fn add(&mut self, app2: &'a [u8]) {
        if let Some([number, count, part @ ..]) = app2.strip_prefix(b"ICC_PROFILE\0") {
            self.parts.push((*number, *count, part));
        }
    }

    /// The profile, if every part of it is there, and what is to be said about it. Of a part that comes again the first
    /// counts.
    fn joined(mut self) -> (Option<Vec<u8>>, Vec<Warning>) {
        let mut warnings = Vec::new();
        self.parts.sort_by_key(|(number, ..)| *number);
        let declared = self.parts.len();
        self.parts.dedup_by_key(|(number, ..)| *number);
        if self.parts.len() < declared {
            warnings.push(Warning::ProfileDuplicated);
        }
        let total: usize = self.parts.iter().map(|(.., part)| part.len()).sum();
        let complete = self.parts.iter().zip(1..).all(|((number, count, _), expected)| {
            usize::from(*number) == expected && usize::from(*count) == self.parts.len()
        });
        if complete && total <= profile::MAX_BYTES {
            let joined: Vec<u8> = self.parts.iter().flat_map(|(.., part)| *part).copied().collect();
            return ((declared > 0).then_some(joined), warnings);
        }
        warnings.push(Warning::ProfileUnreadable);
        (None, warnings)
    }
}
