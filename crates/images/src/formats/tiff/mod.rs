//! TIFF 6.0 and BigTIFF: what a page's directory declares, held to what is decoded.

mod chunk;
mod decode;
mod directory;
pub mod encode;
mod page;
mod tag;

use bytes::Bytes;

use self::directory::File;
pub use self::directory::{Directory, Entry};
use self::page::{Page, Photometric};
use super::{Decode, Frames, Header};
use crate::metadata::Metadata;
use crate::{CodecError, Interrupt};

/// The page of this number, and how many there are.
fn page(file: Bytes, frame: Option<u32>) -> Result<(Page, Frames), CodecError> {
    let file = File::new(file)?;
    let pages = file.pages()?;
    let frames = Frames::choose("TIFF", "page", pages.len() as u64, frame)?;
    let page = Page::read(file, &pages[frames.chosen as usize])?;
    Ok((page, frames))
}

/// What the directory of a page declares.
pub fn open(file: &Bytes, asked: Option<u32>, interrupt: &Interrupt) -> Result<(Header, Decode), CodecError> {
    let (page, frames) = page(file.clone(), asked)?;
    let header = Header {
        depth: page.depth(),
        orientation: page.orientation,
        icc: page.icc.as_deref().map(<[u8]>::to_vec),
        cmyk: page.photometric == Photometric::Cmyk,
        metadata: Metadata::of_page(&page.directory),
        work: page.work(),
        loss: page.loss(),
        ..Header::plain(page.size, page.channels(), page.working_bytes(), frames)
    };
    let interrupt = interrupt.clone();
    Ok((header, Box::new(move |probe| decode::decode(&page, probe, &interrupt))))
}
