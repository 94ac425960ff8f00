//! The chunks of a PNG, its header, and which chunks pixels depend on.

use crate::CodecError;
use crate::raster::Channels;
use crate::units::Size;

pub(super) const SIGNATURE: usize = 8;

/// One chunk, or the beginning of it where the file breaks off.
#[derive(Clone, Copy)]
pub(super) struct Chunk<'a> {
    pub(super) kind: [u8; 4],
    /// From the length field to the checksum, as far as it is there.
    pub(super) raw: &'a [u8],
    /// What the length field declares.
    pub(super) length: usize,
}

impl<'a> Chunk<'a> {
    pub(super) fn data(&self) -> &'a [u8] {
        let data = self.raw.get(8..).unwrap_or_default();
        &data[..data.len().min(self.length)]
    }

    /// Whether it is all there and its checksum is right.
    pub(super) fn is_intact(&self) -> bool {
        let Some(stored) = self.raw.get(8 + self.length..).and_then(<[u8]>::first_chunk) else { return false };
        let mut crc = flate2::Crc::new();
        crc.update(&self.raw[4..8 + self.length]);
        crc.sum() == u32::from_be_bytes(*stored)
    }

    /// Whether the file breaks off within it.
    pub(super) fn is_cut(&self) -> bool {
        self.raw.len() < self.length.saturating_add(12)
    }

    /// By the case of its first letter, as the standard has it.
    pub(super) const fn is_critical(&self) -> bool {
        self.kind[0].is_ascii_uppercase()
    }
}

/// The chunks of a file up to `IEND` or to where it breaks off.
#[derive(Clone)]
pub(super) struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Chunks<'a> {
    pub(super) fn new(file: &'a [u8]) -> Self {
        Self::at(file, SIGNATURE)
    }

    /// From the beginning of a chunk on.
    pub(super) fn at(file: &'a [u8], at: usize) -> Self {
        Self { rest: file.get(at..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let length = u32::from_be_bytes(*self.rest.first_chunk()?) as usize;
        let kind = *self.rest.get(4..)?.first_chunk()?;
        let end = length.saturating_add(12).min(self.rest.len());
        let (raw, rest) = self.rest.split_at(end);
        self.rest = if kind == *b"IEND" { &[] } else { rest };
        Some(Chunk { kind, raw, length })
    }
}

/// Color types of the standard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Color {
    Gray,
    Rgb,
    Palette,
    GrayAlpha,
    Rgba,
}

impl Color {
    /// `None` if the standard does not have this pair.
    pub(super) fn new(kind: u8, bits: u8) -> Option<Self> {
        Some(match (kind, bits) {
            (0, 1 | 2 | 4 | 8 | 16) => Self::Gray,
            (2, 8 | 16) => Self::Rgb,
            (3, 1 | 2 | 4 | 8) => Self::Palette,
            (4, 8 | 16) => Self::GrayAlpha,
            (6, 8 | 16) => Self::Rgba,
            _ => return None,
        })
    }

    pub(super) const fn channels(self, transparency: bool) -> Channels {
        match (self, transparency) {
            (Self::Gray, false) => Channels::Gray,
            (Self::Gray, true) | (Self::GrayAlpha, _) => Channels::GrayAlpha,
            (Self::Rgb | Self::Palette, false) => Channels::Rgb,
            (Self::Rgb | Self::Palette, true) | (Self::Rgba, _) => Channels::Rgba,
        }
    }
}

/// Which chunks pixels depend on. Header and decoder both ask it, so that they cannot disagree on transparency.
#[derive(Clone, Copy)]
pub(super) struct Selection {
    pub(super) color: Color,
    pub(super) palette: bool,
    pub(super) transparency: bool,
    pub(super) pixels: bool,
}

impl Selection {
    pub(super) const fn new(color: Color) -> Self {
        Self { color, palette: false, transparency: false, pixels: false }
    }

    /// Whether the next chunk counts. A `tRNS` that is too short, too late or the second one does not.
    pub(super) fn takes(&mut self, chunk: &Chunk) -> bool {
        match &chunk.kind {
            b"tRNS" => {
                let fits = match self.color {
                    Color::Gray => (2..=256).contains(&chunk.length),
                    Color::Rgb => (6..=256).contains(&chunk.length),
                    Color::Palette => self.palette && (1..=256).contains(&chunk.length),
                    Color::GrayAlpha | Color::Rgba => false,
                };
                let takes = fits && !self.transparency && !self.pixels;
                self.transparency |= takes;
                takes
            }
            b"PLTE" => {
                self.palette = true;
                true
            }
            b"IDAT" => {
                self.pixels = true;
                true
            }
            _ => chunk.is_critical(),
        }
    }
}

pub(super) struct ImageHeader {
    pub(super) size: Size,
    pub(super) bits: u8,
    pub(super) color: Color,
}

pub(super) fn image_header(chunks: &mut Chunks) -> Result<ImageHeader, CodecError> {
    let damaged = |what: &str| CodecError::Damaged(format!("the PNG's header {what}; send the file again"));
    let chunk = chunks.next().ok_or_else(|| damaged("is cut off"))?;
    if chunk.kind == *b"CgBI" {
        return Err(CodecError::Unsupported(
            "the PNG is in Apple's own variant (CgBI); convert it to a standard PNG".into(),
        ));
    }
    if chunk.kind != *b"IHDR" || chunk.length != 13 {
        return Err(damaged("is not at its place"));
    }
    if chunk.raw.len() < 12 + 13 {
        return Err(damaged("is cut off"));
    }
    if !chunk.is_intact() {
        return Err(damaged("has a wrong checksum"));
    }
    let [w0, w1, w2, w3, h0, h1, h2, h3, bits, kind, ..] = *chunk.data() else {
        return Err(damaged("is cut off"));
    };
    let size = Size::new(u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]));
    if size.width == 0 || size.height == 0 {
        return Err(damaged("has a side of zero"));
    }
    let color = Color::new(kind, bits)
        .ok_or_else(|| damaged(&format!("has color type {kind} with {bits} bits, which does not exist")))?;
    Ok(ImageHeader { size, bits, color })
}
