//! The directories of a TIFF, a BigTIFF or an Exif block, in either byte order, read without trusting a length.

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

/// One entry: where it is, its tag, the type of its values by its number in the standard, and how many there are.
#[derive(Clone, Copy)]
pub struct Entry {
    pub at: u64,
    pub tag: u16,
    pub kind: u16,
    pub count: u64,
}

/// Bytes of one value of a type.
const fn unit(kind: u16) -> Option<u64> {
    Some(match kind {
        1 | 2 | 6 | 7 | 129 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => return None,
    })
}

/// One directory: the entries of one page, or of a part of Exif.
#[derive(Clone)]
pub struct Directory {
    file: File,
    /// Of the first entry.
    entries: u64,
    count: u64,
}

impl Directory {
    /// The first one of an Exif block, which is no BigTIFF.
    pub fn of_block(block: Bytes) -> Option<Self> {
        let file = File::new(block).ok().filter(|file| !file.wide)?;
        let first = file.number(4, 4)?;
        Self::at(file, first)
    }

    fn at(file: File, at: u64) -> Option<Self> {
        let word = if file.wide { 8 } else { 2 };
        let count = file.number(at, word).filter(|n| *n <= MAX_ENTRIES)?;
        Some(Self { file, entries: at.checked_add(word as u64)?, count })
    }

    pub const fn big_endian(&self) -> bool {
        self.file.big_endian
    }

    /// Bytes of a place or a count.
    const fn word(&self) -> usize {
        if self.file.wide { 8 } else { 4 }
    }

    const fn entry_bytes(&self) -> u64 {
        if self.file.wide { 20 } else { 12 }
    }

    /// Where the place of the next directory is.
    pub fn end(&self) -> Option<u64> {
        self.entries.checked_add(self.count * self.entry_bytes())
    }

    /// Where the next directory is; 0 if there is none.
    pub fn next(&self) -> Option<u64> {
        self.file.number(self.end()?, self.word())
    }

    fn is_page(&self) -> bool {
        self.number(NEW_SUBFILE_TYPE).is_none_or(|kind| kind & NO_PAGE == 0)
    }

    /// The entries, as far as they are there.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        (0..self.count).map_while(|i| {
            let at = self.entries.checked_add(i * self.entry_bytes())?;
            let short = |at| self.file.number(at, 2).map(|number| number as u16);
            Some(Entry { at, tag: short(at)?, kind: short(at + 2)?, count: self.file.number(at + 4, self.word())? })
        })
    }

    pub fn entry(&self, tag: u16) -> Option<Entry> {
        self.entries().find(|entry| entry.tag == tag)
    }

    /// Where the values of an entry are, and how many bytes they take.
    pub fn place_of(&self, entry: Entry) -> Option<(u64, u64)> {
        let word = self.word();
        let length = entry.count.checked_mul(unit(entry.kind)?)?;
        let inside = entry.at + 4 + word as u64;
        Some((if length <= word as u64 { inside } else { self.file.number(inside, word)? }, length))
    }

    /// The bytes of an entry, all of them there.
    pub fn value(&self, entry: Entry) -> Option<Bytes> {
        let (at, length) = self.place_of(entry)?;
        let end = usize::try_from(at.checked_add(length)?).ok().filter(|end| *end <= self.file.bytes.len())?;
        Some(self.file.bytes.slice(usize::try_from(at).ok()?..end))
    }

    /// The values of an entry, all of them there; `None` if there is no such entry or it leads out of the file.
    pub fn find(&self, tag: u16) -> Option<Numbers> {
        let entry = self.entry(tag)?;
        let (kind, data) = (Kind::new(entry.kind)?, self.value(entry)?);
        Some(Numbers { kind, big_endian: self.file.big_endian, data })
    }

    /// A ratio of two numbers.
    pub fn ratio(&self, tag: u16) -> Option<f64> {
        let data = self.value(self.entry(tag).filter(|entry| entry.kind == 5)?)?;
        let parts = Numbers { kind: Kind::Long, big_endian: self.file.big_endian, data };
        Some(parts.get(0)? as f64 / parts.get(1)? as f64)
    }

    /// The directory that an entry leads to.
    pub fn below(&self, tag: u16) -> Option<Self> {
        Self::at(self.file.clone(), self.number(tag)?)
    }

    /// Whether an entry is there and cannot be read: it leads out of the file, or is no number.
    pub fn is_broken(&self, tag: u16) -> bool {
        self.entry(tag).is_some() && self.find(tag).is_none()
    }

    /// Whether the values of every entry are within the file, as far as their types are known.
    pub fn is_whole(&self) -> bool {
        let known = || self.entries().filter(|entry| unit(entry.kind).is_some());
        self.entries().count() as u64 == self.count && known().all(|entry| self.value(entry).is_some())
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
    const fn new(number: u16) -> Option<Self> {
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
