//! What an embedded ICC profile is worth (ICC.1:2022, chapters 7 and 9).
//!
//! A profile is carried unchanged or not at all. One that a reader would reject takes the image with it in some
//! readers (libpng refuses an RGB profile in a gray file), so what does not hold together, or is of another color space
//! than the pixels, is left out, and the answer reports it. Of the others only the tags that make colors are given to the
//! library: a broken description is no reason to lose the colors, and fewer bytes of strangers are interpreted.

use std::fmt;
use std::sync::Arc;

use moxcms::ColorProfile;

use super::Shaper;
use super::tables::{self, ToSrgb};
use crate::raster::Channels;

/// Profiles above this are left out. The largest in use, RGB to press by tables, have some 3 MB.
pub const MAX_BYTES: usize = 4 << 20;

/// Header and the number of tags.
const HEADER: usize = 132;

/// Bytes of an entry in the tag table.
const ENTRY: usize = 12;

/// Tags that make colors: curves, colorants, and tables from the device.
const SHAPER: [&[u8; 4]; 7] = [b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"kTRC"];
const TABLES: [&[u8; 4]; 3] = [b"A2B0", b"A2B1", b"A2B2"];

/// A profile that is kept.
#[derive(Clone)]
pub struct Profile {
    /// The file.
    pub bytes: Arc<[u8]>,
    /// What it means.
    pub space: Space,
}

/// What the numbers of an image mean.
#[derive(Clone, Debug, PartialEq)]
pub enum Space {
    /// As good as sRGB: nothing is converted.
    Srgb,
    /// Curves and a matrix: converted to sRGB and back.
    Shaper(Arc<Shaper>),
    /// Tables, or curves that cannot be walked back: there is at best a way to sRGB, and none back. So networks see
    /// the image's own numbers, as they would if it had no profile, and no color is lost.
    NotInvertible,
}

/// Why a profile is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It cannot be read.
    Broken,
    /// It is for other channels than those of the pixels.
    Mismatch,
    /// It is no description of an image: the image has a high dynamic range, in this transfer function.
    HighDynamicRange(&'static str),
}

impl Profile {
    /// Reads and judges a profile. Padding after it is cut off.
    pub fn judge(bytes: &[u8], channels: Channels) -> Result<Self, Unfit> {
        let length = be32(bytes, 0).ok_or(Unfit::Broken)?;
        let bytes = bytes.get(..length).filter(|p| (HEADER..=MAX_BYTES).contains(&p.len())).ok_or(Unfit::Broken)?;
        let version = bytes[8];
        if &bytes[36..40] != b"acsp" || !(2..=5).contains(&version) {
            return Err(Unfit::Broken);
        }
        let tags = Tags::new(bytes).ok_or(Unfit::Broken)?;
        let gray = channels.colors() == 1;
        let space: &[u8; 4] = if gray { b"GRAY" } else { b"RGB " };
        // Links between devices, effects and named colors describe no image.
        if &bytes[16..20] != space || matches!(&bytes[12..16], b"link" | b"abst" | b"nmcl") {
            return Err(Unfit::Mismatch);
        }
        if let Some(transfer) = tags.find(*b"cicp").and_then(|cicp| cicp.get(9)).and_then(|&code| hdr_transfer(code)) {
            return Err(Unfit::HighDynamicRange(transfer));
        }
        let pcs_is_xyz = &bytes[20..24] == b"XYZ ";
        let shaper = tags.parse(false).filter(|_| pcs_is_xyz).and_then(|parsed| Shaper::new(&parsed, gray));
        let space = match shaper {
            Some(shaper) if shaper.is_srgb() => Space::Srgb,
            Some(shaper) => Space::Shaper(Arc::new(shaper)),
            None => tags
                .parse(true)
                .filter(|parsed| describes(parsed, &tags))
                .map(|_| Space::NotInvertible)
                .ok_or(Unfit::Broken)?,
        };
        Ok(Self { bytes: bytes.into(), space })
    }

    /// The way to sRGB of a profile of [`Space::NotInvertible`], if it has one that is understood.
    pub fn forward_transform(&self) -> Option<ToSrgb> {
        tables::to_srgb(&Tags::new(&self.bytes)?.parse(true)?)
    }

    /// Memory that it takes.
    pub fn held_bytes(&self) -> u64 {
        let tables = match &self.space {
            Space::Shaper(shaper) => shaper.bytes(),
            Space::Srgb | Space::NotInvertible => 0,
        };
        self.bytes.len() as u64 + tables
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = match self.space {
            Space::Srgb => "srgb",
            Space::Shaper(_) => "shaper",
            Space::NotInvertible => "one way",
        };
        write!(f, "Profile({} bytes, {space})", self.bytes.len())
    }
}

impl PartialEq for Profile {
    /// The bytes have the rest.
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Profile {}

/// The name of a transfer function of high dynamic range, by its number in ITU-T H.273.
pub fn hdr_transfer(code: u8) -> Option<&'static str> {
    match code {
        16 => Some("PQ"),
        18 => Some("HLG"),
        _ => None,
    }
}

/// The tag table, every entry of which lies inside of the profile.
struct Tags<'a> {
    profile: &'a [u8],
    table: &'a [u8],
}

impl<'a> Tags<'a> {
    fn new(profile: &'a [u8]) -> Option<Self> {
        let table = be32(profile, 128)?.checked_mul(ENTRY).and_then(|n| profile.get(HEADER..HEADER.checked_add(n)?))?;
        let tags = Self { profile, table };
        table.chunks_exact(ENTRY).all(|entry| tags.content(entry).is_some()).then_some(tags)
    }

    fn content(&self, entry: &[u8]) -> Option<&'a [u8]> {
        let (offset, length) = (be32(entry, 4)?, be32(entry, 8)?);
        self.profile.get(offset..offset.checked_add(length)?)
    }

    fn find(&self, signature: [u8; 4]) -> Option<&'a [u8]> {
        self.table.chunks_exact(ENTRY).find(|entry| entry.starts_with(&signature)).and_then(|entry| self.content(entry))
    }

    /// What the library makes of the tags for colors alone, each once; everything else stays where it was.
    fn parse(&self, tables: bool) -> Option<ColorProfile> {
        let wanted = SHAPER.iter().chain(TABLES.iter().filter(|_| tables));
        let entries = wanted.filter_map(|tag| self.table.chunks_exact(ENTRY).find(|entry| entry.starts_with(*tag)));
        let kept: Vec<u8> = entries.flatten().copied().collect();
        let count = (kept.len() / ENTRY) as u32;
        let mut profile = self.profile.to_vec();
        profile[HEADER - 4..HEADER].copy_from_slice(&count.to_be_bytes());
        profile[HEADER..HEADER + kept.len()].copy_from_slice(&kept);
        ColorProfile::new_from_slice(&profile).ok()
    }
}

/// Whether there is anything that defines what the numbers mean.
fn describes(parsed: &ColorProfile, tags: &Tags) -> bool {
    let curves = [&parsed.red_trc, &parsed.green_trc, &parsed.blue_trc].iter().all(|trc| trc.is_some());
    curves || parsed.gray_trc.is_some() || TABLES.iter().any(|tag| tags.find(**tag).is_some())
}

fn be32(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_be_bytes(*word)).ok()
}
