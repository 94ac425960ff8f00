//! The directories of a TIFF or BigTIFF, in either byte order, read without trusting a length.

use std::collections::HashSet;

use bytes::Bytes;

use crate::CodecError;

pub(super) fn damaged(what: &str) -> CodecError {
    CodecError::Damaged(format!("the TIFF {what}; send the file again"))
}

/// Entries of one directory at most; writers have use for some thirty.
const MAX_ENTRIES: u64 = 4096;
/// Directories of one file at most.
const MAX_DIRECTORIES: usize = 65_535;

const NEW_SUBFILE_TYPE: u16 = 254;
/// Of Adobe's raw files; and, where all of a file's own directories are of small copies, of others.
const DNG_VERSION: u16 = 50_706;
const DIRECTORIES_BELOW: u16 = 330;
/// A smaller copy of another page, or the mask of one.
const NO_PAGE: u64 = 1 | 4;

/// A file and how its numbers are to be read.
#[derive(Clone)]
pub struct File {
    pub bytes: Bytes,
    pub big_endian: bool,
    /// BigTIFF: offsets and counts of eight bytes.
    wide: bool,
}

impl File {
    pub fn new(bytes: Bytes) -> Result<Self, CodecError> {
        let cut = || damaged("breaks off within its header");
        let big_endian = match bytes.first_chunk() {
            Some(b"II") => false,
            Some(b"MM") => true,
            _ => return Err(cut()),
        };
        match number(&bytes, 2, 2, big_endian).ok_or_else(cut)? {
            42 => Ok(Self { bytes, big_endian, wide: false }),
            43 if number(&bytes, 4, 2, big_endian) == Some(8) => Ok(Self { bytes, big_endian, wide: true }),
            _ => Err(damaged("has a header that makes no sense")),
        }
    }

    fn number(&self, at: u64, bytes: usize) -> Option<u64> {
        number(&self.bytes, usize::try_from(at).ok()?, bytes, self.big_endian)
    }

    /// The directories of full pages, in their order; smaller copies and masks do not count.
    pub fn pages(&self) -> Result<Vec<Directory>, CodecError> {
        let cut = || damaged("breaks off before its directory");
        let (first, word) = if self.wide { (8, 8) } else { (4, 4) };
        let mut next = self.number(first, word).ok_or_else(cut)?;
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        // Directories may lie one within the other; those of a sane file do not, and have room in it.
        let mut entries = MAX_ENTRIES + self.bytes.len() as u64 / 12;
        while next != 0 {
            if !seen.insert(next) || all.len() == MAX_DIRECTORIES {
                return Err(damaged("has directories that lead in a circle, or far too many"));
            }
            let directory = Directory::at(self.clone(), next).ok_or_else(cut)?;
            entries = entries
                .checked_sub(directory.count)
                .ok_or_else(|| damaged("has more entries in its directories than fit into it"))?;
            next = directory.next().ok_or_else(cut)?;
            all.push(directory);
        }
        let has = |tag| all.iter().any(|directory| directory.find(tag).is_some());
        let pages: Vec<_> = all.iter().filter(|directory| directory.is_page()).cloned().collect();
        if has(DNG_VERSION) || pages.is_empty() && has(DIRECTORIES_BELOW) {
            return Err(CodecError::Unsupported(
                "the file is a camera's raw image (DNG, NEF and the like), which is not read here; develop it to a TIFF or JPEG"
                    .into(),
            ));
        }
        match (pages.is_empty(), all.is_empty()) {
            (_, true) => Err(damaged("has no image in it")),
            (true, false) => Ok(all),
            (false, false) => Ok(pages),
        }
    }
}

/// An unsigned number of so many bytes.
fn number(bytes: &[u8], at: usize, length: usize, big_endian: bool) -> Option<u64> {
    let bytes = bytes.get(at..)?.get(..length)?;
    let push = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    Some(if big_endian { bytes.iter().fold(0, push) } else { bytes.iter().rev().fold(0, push) })
}

/// One directory: the entries of one page.
#[derive(Clone)]
pub struct Directory {
    file: File,
    /// Of the first entry.
    entries: u64,
    count: u64,
}

impl Directory {
    fn at(file: File, at: u64) -> Option<Self> {
        let word = if file.wide { 8 } else { 2 };
        let count = file.number(at, word).filter(|n| *n <= MAX_ENTRIES)?;
        Some(Self { file, entries: at.checked_add(word as u64)?, count })
    }

    /// Where it begins.
    pub const fn place(&self) -> usize {
        self.entries as usize - if self.file.wide { 8 } else { 2 }
    }

    const fn entry_bytes(&self) -> u64 {
        if self.file.wide { 20 } else { 12 }
    }

    fn next(&self) -> Option<u64> {
        let at = self.entries.checked_add(self.count * self.entry_bytes())?;
        self.file.number(at, if self.file.wide { 8 } else { 4 })
    }

    fn is_page(&self) -> bool {
        self.number(NEW_SUBFILE_TYPE).is_none_or(|kind| kind & NO_PAGE == 0)
    }

    /// The values of an entry, all of them there; `None` if there is no such entry or it leads out of the file.
    pub fn find(&self, tag: u16) -> Option<Numbers> {
        let file = &self.file;
        let entry = (0..self.count)
            .map(|i| self.entries + i * self.entry_bytes())
            .find(|at| file.number(*at, 2) == Some(u64::from(tag)))?;
        let kind = Kind::new(file.number(entry + 2, 2)?)?;
        let word = if file.wide { 8 } else { 4 };
        let count = file.number(entry + 4, word)?;
        let length = count.checked_mul(kind.bytes() as u64)?;
        let inside = entry + 4 + word as u64;
        let at = if length <= word as u64 { inside } else { file.number(inside, word)? };
        let end = at.checked_add(length)?;
        let range = usize::try_from(at).ok()?..usize::try_from(end).ok().filter(|end| *end <= file.bytes.len())?;
        Some(Numbers { kind, big_endian: file.big_endian, data: file.bytes.slice(range) })
    }

    /// Whether an entry is there and cannot be read: it leads out of the file, or is no number.
    pub fn is_broken(&self, tag: u16) -> bool {
        let entry = |i| self.file.number(self.entries + i * self.entry_bytes(), 2);
        self.find(tag).is_none() && (0..self.count).any(|i| entry(i) == Some(u64::from(tag)))
    }

    /// Whether the values of every entry are within the file, as far as their types are known.
    pub fn is_whole(&self) -> bool {
        let within = |at: u64| {
            let bytes = match self.file.number(at + 2, 2)? {
                1 | 2 | 6 | 7 => 1,
                3 | 8 => 2,
                4 | 9 | 11 | 13 => 4,
                5 | 10 | 12 | 16..=18 => 8,
                _ => return Some(true),
            };
            let word = if self.file.wide { 8 } else { 4 };
            let length = self.file.number(at + 4, word)?.checked_mul(bytes)?;
            let outside = self.file.number(at + 4 + word as u64, word)?.checked_add(length)?;
            Some(length <= word as u64 || outside <= self.file.bytes.len() as u64)
        };
        (0..self.count).all(|i| within(self.entries + i * self.entry_bytes()) == Some(true))
    }

    /// The first value of an entry.
    pub fn number(&self, tag: u16) -> Option<u64> {
        self.find(tag)?.get(0)
    }
}

/// Types of values that are numbers or bytes; ratios are read by their parts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Byte,
    Short,
    Long,
    Long8,
}

impl Kind {
    const fn new(number: u64) -> Option<Self> {
        Some(match number {
            1 | 2 | 7 => Self::Byte,
            3 => Self::Short,
            4 | 13 => Self::Long,
            16 | 18 => Self::Long8,
            _ => return None,
        })
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Short => 2,
            Self::Long => 4,
            Self::Long8 => 8,
        }
    }
}

/// The values of one entry.
#[derive(Clone)]
pub struct Numbers {
    kind: Kind,
    big_endian: bool,
    data: Bytes,
}

impl Numbers {
    pub fn len(&self) -> usize {
        self.data.len() / self.kind.bytes()
    }

    pub fn get(&self, i: usize) -> Option<u64> {
        number(&self.data, i.checked_mul(self.kind.bytes())?, self.kind.bytes(), self.big_endian)
    }

    pub fn iter(&self) -> impl Iterator<Item = u64> {
        (0..self.len()).map_while(|i| self.get(i))
    }

    /// The values as they lie in the file.
    pub fn into_bytes(self) -> Bytes {
        self.data
    }
}
