//! JPEG (ITU-T T.81): its marker segments up to the first scan, and whether the file reaches its end.

use super::Header;
use crate::codec::CodecError;
use crate::codec::icc;
use crate::codec::orientation::Orientation;
use crate::raster::{Channels, Depth};
use crate::units::Size;

const SOS: u8 = 0xda;
const EOI: u8 = 0xd9;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;

/// One marker segment.
struct Segment<'a> {
    marker: u8,
    /// Without the length field; cut short where the file breaks off.
    data: &'a [u8],
}

/// Walks marker by marker. Does not know entropy-coded data; see [`Segments::skip_scan`].
struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Segments<'a> {
    fn new(file: &'a [u8]) -> Self {
        Self { rest: file.get(2..).unwrap_or_default() }
    }

    /// Moves from within entropy-coded data to the marker that ends it: not a stuffed zero, not a restart.
    fn skip_scan(&mut self) {
        loop {
            let Some(at) = self.rest.iter().position(|b| *b == 0xff) else {
                self.rest = &[];
                return;
            };
            self.rest = &self.rest[at..];
            match self.rest {
                [_, 0 | 0xd0..=0xd7, ..] => self.rest = &self.rest[2..],
                [_, 0xff, ..] => self.rest = &self.rest[1..],
                _ => return,
            }
        }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        let start = self.rest.iter().position(|b| *b == 0xff)?;
        let fill = self.rest[start..].iter().position(|b| *b != 0xff)?;
        let (marker, rest) = self.rest[start + fill..].split_first()?;
        // TEM, RSTn, SOI and EOI stand alone; 0xff00 outside of a scan is a stray.
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

/// Whether the file goes on to its end-of-image marker. A decoder fills what is missing with gray; this is how a file
/// that breaks off is told from one that does not. What follows the first end of image is not looked at.
pub fn is_whole(file: &[u8]) -> bool {
    let mut segments = Segments::new(file);
    while let Some(segment) = segments.next() {
        match segment.marker {
            EOI => return true,
            SOS => segments.skip_scan(),
            _ => {}
        }
    }
    false
}

/// The frame header.
struct Frame {
    size: Size,
    components: Vec<Component>,
    progressive: bool,
}

struct Component {
    horizontal: u64,
    vertical: u64,
}

/// What the segments before the first scan say. A file that breaks off after its frame header is judged by what is
/// there.
pub fn header(file: &[u8]) -> Result<Header, CodecError> {
    let mut frame = None;
    let mut orientation = None;
    let mut profile = ProfileParts::default();
    let mut scan_components = None;
    let mut before_scan = 0;
    for segment in Segments::new(file) {
        before_scan += segment.data.len() as u64;
        match segment.marker {
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf if frame.is_none() => {
                frame = Some(frame_header(&segment)?);
            }
            APP1 if orientation.is_none() && segment.data.starts_with(b"Exif\0\0") => {
                orientation = Some(Orientation::from_exif(segment.data));
            }
            APP2 => profile.add(segment.data),
            SOS => {
                scan_components = segment.data.first().copied();
                break;
            }
            EOI => break,
            _ => {}
        }
    }
    let Some(frame) = frame else {
        return Err(CodecError::Damaged("the JPEG breaks off before its size is told; send the whole file".into()));
    };
    let channels = if frame.components.len() == 1 { Channels::Gray } else { Channels::Rgb };
    let all_in_one_scan = scan_components.is_none_or(|n| usize::from(n) == frame.components.len());
    Ok(Header {
        stored: frame.size,
        channels,
        depth: Depth::Eight,
        orientation: orientation.unwrap_or_default(),
        icc: profile.joined(),
        working_bytes: before_scan + frame.working_bytes(frame.progressive || !all_in_one_scan),
    })
}

fn frame_header(segment: &Segment) -> Result<Frame, CodecError> {
    let [precision, h1, h0, w1, w0, count, components @ ..] = segment.data else {
        return Err(CodecError::Damaged("the JPEG's frame header is cut off; send the whole file".into()));
    };
    let size = Size::new(u32::from(u16::from_be_bytes([*w1, *w0])), u32::from(u16::from_be_bytes([*h1, *h0])));
    let unsupported = |what: String| Err(CodecError::Unsupported(what));
    match (segment.marker, *precision, *count) {
        (0xc0..=0xc2, 8, 1 | 3) => {}
        (0xc0..=0xc2, 8, 4) => {
            return unsupported("the JPEG is in CMYK, the colours of print; convert it to RGB first".into());
        }
        (0xc0..=0xc2, 8, n) => return unsupported(format!("the JPEG has {n} channels; send one in gray or RGB")),
        (0xc0..=0xc2, bits, _) => {
            return unsupported(format!("the JPEG has {bits} bits per sample; send one with 8, or a 16-bit PNG"));
        }
        (0xc3 | 0xc7 | 0xcb | 0xcf, ..) => {
            return unsupported("the JPEG is of the rare lossless kind; convert it to PNG".into());
        }
        (0xc5 | 0xc6 | 0xcd | 0xce, ..) => {
            return unsupported("the JPEG is of the rare hierarchical kind; convert it to a common JPEG".into());
        }
        _ => return unsupported("the JPEG has arithmetic coding, which is rare; convert it to a common JPEG".into()),
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
    Ok(Frame { size, components, progressive: segment.marker == 0xc2 })
}

impl Frame {
    /// A decoder that gets all components in one scan holds one row of blocks of each, raw and upsampled. One that
    /// must wait for later scans holds the coefficients of the whole picture, two bytes each.
    fn working_bytes(&self, whole_picture: bool) -> u64 {
        let h_max = self.components.iter().map(|c| c.horizontal).max().unwrap_or(1);
        let v_max = self.components.iter().map(|c| c.vertical).max().unwrap_or(1);
        let columns = u64::from(self.size.width).div_ceil(8 * h_max);
        let rows = u64::from(self.size.height).div_ceil(8 * v_max);
        let blocks: u64 = self.components.iter().map(|c| c.horizontal * c.vertical).sum();
        let full = self.components.len() as u64 * h_max * v_max;
        let row = columns * 128 * (blocks + 3 * full);
        let coefficients = if whole_picture { columns * rows * blocks * 128 } else { 0 };
        row + coefficients + (64 << 10)
    }
}

/// An ICC profile comes in parts that say their number and how many there are (ICC.1, annex B.4).
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

    /// The profile, if every part of it is there once.
    fn joined(mut self) -> Option<Vec<u8>> {
        self.parts.sort_unstable_by_key(|(number, ..)| *number);
        let total: usize = self.parts.iter().map(|(.., part)| part.len()).sum();
        let complete = self.parts.iter().zip(1..).all(|((number, count, _), expected)| {
            usize::from(*number) == expected && usize::from(*count) == self.parts.len()
        });
        (complete && total > 0 && total <= icc::MAX_BYTES)
            .then(|| self.parts.iter().flat_map(|(.., part)| *part).copied().collect())
    }
}
