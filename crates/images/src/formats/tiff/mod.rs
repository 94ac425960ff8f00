//! TIFF 6.0 and BigTIFF: what a page's directory says, held to what is decoded.

mod chunk;
pub mod decode;
mod directory;
pub mod encode;
mod page;
mod tag;

pub use page::{Compression, Cut, Extra, Page, Photometric};

use self::directory::File;
use super::{Frames, Header};
use crate::CodecError;
use crate::metadata::Metadata;

/// The page of this number, and how many there are.
pub fn page(bytes: &[u8], frame: Option<u32>) -> Result<(Page<'_>, Frames), CodecError> {
    let file = File::new(bytes)?;
    let pages = file.pages()?;
    let frames = Frames::choose("TIFF", "page", pages.len() as u64, frame)?;
    let page = Page::read(file, &pages[frames.chosen as usize])?;
    Ok((page, frames))
}

/// What the directory of a page says.
pub fn header(bytes: &[u8], frame: Option<u32>) -> Result<Header, CodecError> {
    let (page, frames) = page(bytes, frame)?;
    Ok(Header {
        stored: page.size,
        channels: page.channels(),
        depth: page.depth(),
        orientation: page.orientation,
        icc: page.icc.map(<[u8]>::to_vec),
        icc_made: false,
        cmyk: page.photometric == Photometric::Cmyk,
        warnings: Vec::new(),
        metadata: Metadata::of_tiff(bytes, page.directory.place()),
        working_bytes: page.working_bytes(),
        work: page.work(),
        frames,
        loss: page.loss(),
    })
}
