//! Metadata: what a file holds beside its pixels (Exif, XMP, IPTC, texts, density), and what of it an answer keeps.
//!
//! By default that is what an image should not lose and that betrays nobody: its density, whose it is and who made it.
//! Places, serial numbers, thumbnails and makers' notes stay behind unless asked for. The ICC profile is no note: it is
//! what the numbers of the image mean, and `color` has it.

mod density;
pub mod exif;
pub mod rights;
pub mod texts;

use std::sync::Arc;

use strum::{Display, EnumString, VariantNames};

use bytes::Bytes;
use exif::tag;
use rights::Rights;

pub use density::Density;

use crate::OutputFormat;
use crate::formats::tiff::Directory;
use crate::units::Size;

/// Exif, XMP or texts above this are left behind. Cameras write some tens of kilobytes.
pub const MAX_BYTES: usize = 1 << 20;

/// What a chunk of text takes beside its bytes: empty ones cost memory too.
const TEXT_COST: usize = 64;

/// Photoshop's block in a JPEG at most: a segment, without its length.
const JPEG_PHOTOSHOP: usize = 65_533;

/// Exif in a JPEG at most: a segment, without its length and its `Exif\0\0`.
const JPEG_EXIF: usize = 65_533 - 6;

/// XMP in a JPEG at most: a segment, without its length and its name.
const JPEG_XMP: usize = 65_533 - 29;

/// What is wanted of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, EnumString, VariantNames, Display)]
#[strum(serialize_all = "lowercase")]
pub enum MetadataPolicy {
    /// Density, whose the image is and who made it.
    #[default]
    Safe,
    /// Everything that the format of the answer has a place for.
    All,
    /// Nothing.
    None,
}

/// What becomes of the density.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, EnumString, VariantNames, Display)]
#[strum(serialize_all = "lowercase")]
pub enum DensityPolicy {
    /// As many times more pixels an inch as the image has more: it stays as large on paper.
    #[default]
    Scale,
    /// The same pixels an inch: it is larger on paper.
    Keep,
}

/// The metadata of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// An Exif block, without `Exif\0\0`.
    pub exif: Option<Arc<[u8]>>,
    /// An XMP packet.
    pub xmp: Option<Arc<[u8]>>,
    /// A Photoshop block, in which IPTC is; with its name before it, as JPEG has it.
    pub photoshop: Option<Arc<[u8]>>,
    /// Chunks of a PNG that hold text.
    pub texts: Vec<([u8; 4], Arc<[u8]>)>,
    /// Pixels per inch, of the image upright.
    pub density: Option<Density>,
    /// Whose it is and who made it, wherever that is said.
    pub rights: Rights,
    /// Something that no answer has a place for.
    pub others: bool,
    /// Something that is broken or too long.
    pub unreadable: bool,
}

/// The metadata of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputMetadata {
    /// An Exif block, without `Exif\0\0`; not for a TIFF.
    pub exif: Option<Arc<[u8]>>,
    /// An XMP packet.
    pub xmp: Option<Arc<[u8]>>,
    /// A Photoshop block, for a JPEG.
    pub photoshop: Option<Arc<[u8]>>,
    /// Chunks with text, for a PNG.
    pub texts: Vec<([u8; 4], Arc<[u8]>)>,
    /// Pixels per inch.
    pub density: Option<Density>,
    /// Whose it is and who made it; in `exif` as well.
    pub rights: Rights,
}

impl Metadata {
    /// Takes an Exif block, the first one.
    pub fn add_exif(&mut self, block: Bytes) {
        let block = exif::bare(block);
        match Directory::of_block(block.clone()).filter(|_| block.len() <= MAX_BYTES) {
            Some(_) if self.exif.is_none() => self.exif = Some(block[..].into()),
            Some(_) => {}
            None => self.unreadable = true,
        }
    }

    /// What a page of a TIFF or BigTIFF says.
    pub fn of_page(page: &Directory) -> Self {
        let mut metadata = Self { density: page.density(), ..Self::default() };
        metadata.rights.add(page.rights());
        if let Some(datasets) = page.raw(tag::IPTC) {
            metadata.rights.add(Rights::from_iptc(&datasets));
            metadata.others = true;
        }
        if let Some(packet) = page.raw(tag::XMP) {
            metadata.add_xmp(&packet);
        }
        if let Some(resources) = page.raw(tag::PHOTOSHOP).filter(|resources| resources.len() <= MAX_BYTES) {
            metadata.add_photoshop(&[rights::PHOTOSHOP, &resources].concat());
        }
        // Its Exif lies among its pixels, and is no block that could be kept as it is.
        metadata.others |= page.page_says_more();
        metadata
    }

    /// Takes an XMP packet, the first one.
    pub fn add_xmp(&mut self, packet: &[u8]) {
        if packet.len() > MAX_BYTES {
            self.unreadable = true;
        } else if self.xmp.is_none() {
            self.xmp = Some(packet.into());
        }
    }

    /// Takes a Photoshop block, the first one.
    pub fn add_photoshop(&mut self, block: &[u8]) {
        if self.photoshop.is_none() {
            self.photoshop = Some(block.into());
        }
    }

    /// Looks for the density and the rights where they are not known yet, once everything is there. `turned` if the
    /// stored image lies on its side.
    pub fn settle(&mut self, turned: bool) {
        if let Some(block) = self.exif.as_ref().and_then(main_directory) {
            self.density = self.density.or_else(|| block.density());
            self.rights.add(block.rights());
        }
        if let Some(packet) = &self.xmp {
            self.rights.add(Rights::from_xmp(packet));
        }
        if let Some(block) = &self.photoshop {
            self.rights.add(Rights::from_photoshop(block));
        }
        if turned {
            self.density = self.density.map(Density::turned);
        }
    }

    /// Memory that they take.
    pub fn bytes(&self) -> u64 {
        let single = [&self.exif, &self.xmp, &self.photoshop].into_iter().flatten().map(|block| block.len());
        let texts = self.texts.iter().map(|(_, text)| text.len() + TEXT_COST);
        single.chain(texts).sum::<usize>() as u64
    }

    /// The metadata of an answer of `size` in `format`, `across` and `down` times as large as the image; and whether it
    /// leaves anything unsaid.
    pub fn kept(
        &self,
        wish: MetadataPolicy,
        density: DensityPolicy,
        format: OutputFormat,
        size: Size,
        growth: (f64, f64),
    ) -> (OutputMetadata, bool) {
        let density = match density {
            DensityPolicy::Scale => self.density.and_then(|density| density.times(growth.0, growth.1)),
            DensityPolicy::Keep => self.density,
        };
        let (artist, copyright) = (self.rights.artist.as_deref(), self.rights.copyright.as_deref());
        // Where else than in Exif a density may be: of a WebP nowhere, of a JPEG if it is of 16 bits.
        let has_place = |density: Density| match format {
            OutputFormat::Png | OutputFormat::Tiff => true,
            OutputFormat::Jpeg => density.jfif().is_some(),
            OutputFormat::WebP => false,
        };
        // TIFF has places of its own for all of it, and none for a block.
        let says = !self.rights.is_empty() || density.is_some_and(|density| !has_place(density));
        let must = says && format != OutputFormat::Tiff;
        let small = || must.then(|| exif::written(density, artist, copyright).into());
        let more_exif = || self.exif.as_ref().and_then(main_directory).is_some_and(|block| block.block_says_more());
        let rest = self.photoshop.is_some() || !self.texts.is_empty() || self.others;
        match wish {
            MetadataPolicy::None => {
                (OutputMetadata::default(), more_exif() || rest || self.xmp.is_some() || says || density.is_some())
            }
            MetadataPolicy::Safe => {
                let kept =
                    OutputMetadata { exif: small(), density, rights: self.rights.clone(), ..OutputMetadata::default() };
                let lost = more_exif() || rest || self.xmp.is_some() || self.density.is_some() && density.is_none();
                (kept, lost)
            }
            MetadataPolicy::All => {
                let jpeg = format == OutputFormat::Jpeg;
                let fits = |block: &Arc<[u8]>, most: usize| !jpeg || block.len() <= most;
                let corrected = self.exif.as_ref().and_then(|block| exif::corrected(shared(block), size, density));
                let whole: Option<Arc<[u8]>> = corrected.map(Arc::from).filter(|block| fits(block, JPEG_EXIF));
                let whole = whole.filter(|_| format != OutputFormat::Tiff);
                let xmp = self.xmp.as_deref().map(rights::upright).map(Arc::from).filter(|block| fits(block, JPEG_XMP));
                let photoshop = self.photoshop.clone().filter(|block| jpeg && block.len() <= JPEG_PHOTOSHOP);
                let texts = if format == OutputFormat::Png { self.texts.clone() } else { Vec::new() };
                let lost = self.others
                    || (whole.is_none() && more_exif())
                    || (self.xmp.is_some() && xmp.is_none())
                    || (self.photoshop.is_some() && photoshop.is_none())
                    || texts.len() < self.texts.len();
                let exif: Option<Arc<[u8]>> = whole.or_else(small);
                // A whole block is corrected and not added to.
                let in_exif = exif.as_ref().and_then(main_directory).is_some_and(|block| block.density().is_some());
                let density = density.filter(|density| has_place(*density) || in_exif);
                let lost = lost || self.density.is_some() && density.is_none();
                (OutputMetadata { exif, xmp, photoshop, texts, density, rights: self.rights.clone() }, lost)
            }
        }
    }
}

fn shared(block: &Arc<[u8]>) -> Bytes {
    Bytes::from_owner(Arc::clone(block))
}

fn main_directory(block: &Arc<[u8]>) -> Option<Directory> {
    Directory::of_block(shared(block))
}

impl OutputMetadata {
    /// Memory that they take.
    pub fn bytes(&self) -> u64 {
        let single = [&self.exif, &self.xmp, &self.photoshop].into_iter().flatten().map(|block| block.len());
        let texts = self.texts.iter().map(|(_, text)| text.len() + TEXT_COST);
        single.chain(texts).sum::<usize>() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_takes_the_photoshop_block_that_fits_in_a_segment() {
        let kept = |length| {
            let metadata = Metadata { photoshop: Some(vec![0; length].into()), ..Metadata::default() };
            metadata.kept(MetadataPolicy::All, DensityPolicy::Keep, OutputFormat::Jpeg, Size::new(1, 1), (1.0, 1.0))
        };
        let (most, more) = (kept(JPEG_PHOTOSHOP), kept(JPEG_PHOTOSHOP + 1));
        assert!(most.0.photoshop.is_some() && !most.1);
        assert!(more.0.photoshop.is_none() && more.1, "left out, and reported");
    }

    #[test]
    fn a_density_is_written_or_reported_as_left_out() {
        let kept = |dots, wish, format| {
            let metadata = Metadata { density: Density::per_inch(dots, dots), ..Metadata::default() };
            metadata.kept(wish, DensityPolicy::Scale, format, Size::new(8, 8), (8.0, 8.0))
        };
        let in_exif = |kept: &OutputMetadata| kept.exif.as_ref().and_then(main_directory)?.density();
        for wish in [MetadataPolicy::Safe, MetadataPolicy::All] {
            // 65,535 is the most that JFIF can hold, and goes into Exif no more than in a PNG.
            for (format, dots, exif) in [
                (OutputFormat::Jpeg, 8000.0, false),
                (OutputFormat::Jpeg, 30_000.0, true),
                (OutputFormat::Jpeg, 0.05, true),
                (OutputFormat::WebP, 300.0, true),
                (OutputFormat::Png, 30_000.0, false),
                (OutputFormat::Tiff, 30_000.0, false),
            ] {
                let (kept, lost) = kept(dots, wish, format);
                let scaled = Density::per_inch(8.0 * dots, 8.0 * dots);
                assert_eq!((kept.density, in_exif(&kept), lost), (scaled, scaled.filter(|_| exif), false), "{dots}");
            }
            let (kept, lost) = kept(200_000.0, wish, OutputFormat::Jpeg);
            assert!(kept == OutputMetadata::default() && lost, "more than anybody believes");
        }
    }

    #[test]
    fn a_density_that_a_whole_block_has_no_entry_for_is_reported_as_left_out() {
        let exif = Some(exif::written(None, Some(b"Ada"), None).into());
        let metadata = Metadata { exif, density: Density::per_inch(300.0, 300.0), ..Metadata::default() };
        for (format, lost) in [(OutputFormat::WebP, true), (OutputFormat::Jpeg, false)] {
            let (kept, dropped) =
                metadata.kept(MetadataPolicy::All, DensityPolicy::Keep, format, Size::new(8, 8), (2.0, 2.0));
            assert_eq!((kept.density.is_none(), dropped), (lost, lost), "{format:?}");
        }
    }
}
