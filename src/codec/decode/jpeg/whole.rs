//! Whether a JPEG is all there: follows its entropy-coded data from block to block without making pixels.
//!
//! Decoders, zune-jpeg's strict mode among them, fill what is missing with gray as soon as they meet an end-of-image
//! marker, be it in the middle of the picture. Following the codes costs a fraction of decoding and leaves no doubt:
//! every block of every scan was there, and every restart marker came in turn. Successive approximation (T.81, annex
//! G) needs to know which coefficients are not zero: one bit each.

use super::MAX_SCANS;
use super::bits::{Bits, Broken, Table};
use crate::codec::container::jpeg::{DHT, DRI, EOI, Frame, SOS, Segments, is_frame};

/// Goes through the file to its first end-of-image marker.
pub fn check(file: &[u8]) -> Result<(), Broken> {
    let mut tables = Tables::default();
    let mut frame = None;
    let mut scans = 0;
    let mut segments = Segments::new(file);
    while let Some(segment) = segments.next() {
        match segment.marker {
            marker if is_frame(marker) && frame.is_none() => {
                let read = Frame::read(&segment).map_err(|_| Broken)?;
                frame = Some(Progress::new(read));
            }
            DHT => tables.define(segment.data)?,
            // Between the scans of a sequential frame the decoder would lose count.
            DRI if scans > 0 && frame.as_ref().is_some_and(|f| !f.frame.progressive) => return Err(Broken),
            DRI => tables.restart_interval = u32::from(u16::from_be_bytes(*segment.data.first_chunk().ok_or(Broken)?)),
            SOS => {
                scans += 1;
                if scans > MAX_SCANS {
                    return Err(Broken);
                }
                let mut bits = Bits::new(segments.rest());
                frame.as_mut().ok_or(Broken)?.follow(segment.data, &tables, &mut bits)?;
                segments.resume(bits.rest());
            }
            EOI => return if frame.is_some_and(|f| f.is_covered()) { Ok(()) } else { Err(Broken) },
            _ => {}
        }
    }
    Err(Broken)
}

#[derive(Default)]
struct Tables {
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
    /// In MCUs; 0 for none.
    restart_interval: u32,
}

impl Tables {
    fn define(&mut self, mut data: &[u8]) -> Result<(), Broken> {
        while let [class_and_place, rest @ ..] = data {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(Broken)?;
            let total = counts.iter().map(|c| usize::from(*c)).sum();
            let (symbols, rest) = rest.split_at_checked(total).ok_or(Broken)?;
            let class = if class_and_place >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *class.get_mut(usize::from(class_and_place & 15)).ok_or(Broken)? = Some(Table::new(counts, symbols)?);
            data = rest;
        }
        Ok(())
    }
}

/// A frame and how much of it has come.
struct Progress {
    frame: Frame,
    planes: Vec<Plane>,
}

/// The blocks of one component.
struct Plane {
    /// Whether a scan brought its DC coefficients.
    covered: bool,
    /// Blocks in a row, whole MCUs.
    stride: usize,
    /// Which coefficients of each block are not zero, in zigzag order. Progressive frames only.
    nonzero: Vec<u64>,
}

impl Progress {
    fn new(frame: Frame) -> Self {
        let planes = frame
            .components
            .iter()
            .map(|component| {
                let stride = frame.mcus().0 * component.horizontal;
                let blocks = if frame.progressive { stride * frame.mcus().1 * component.vertical } else { 0 };
                Plane { covered: false, stride: stride as usize, nonzero: vec![0; blocks as usize] }
            })
            .collect();
        Self { frame, planes }
    }

    fn is_covered(&self) -> bool {
        self.planes.iter().all(|plane| plane.covered)
    }

    /// One scan: its header, then its data.
    fn follow(&mut self, header: &[u8], tables: &Tables, bits: &mut Bits) -> Result<(), Broken> {
        let (count, rest) = header.split_first().ok_or(Broken)?;
        let (selectors, rest) = rest.split_at_checked(2 * usize::from(*count)).ok_or(Broken)?;
        let [first, last, approximation] = *rest.first_chunk().ok_or(Broken)?;
        let mut members = Vec::with_capacity(4);
        for selector in selectors.as_chunks::<2>().0 {
            let component = self.frame.components.iter().position(|c| c.id == selector[0]).ok_or(Broken)?;
            members.push(Member {
                component,
                dc: tables.dc.get(usize::from(selector[1] >> 4)).and_then(Option::as_ref),
                ac: tables.ac.get(usize::from(selector[1] & 15)).and_then(Option::as_ref),
            });
        }
        let step = Step::new(self.frame.progressive, first, last, approximation, members.len())?;
        if step.brings_dc() {
            for member in &members {
                self.planes[member.component].covered = true;
            }
        }
        let mut restarts = Restarts::new(tables.restart_interval);
        let mut run = 0;
        if let [member] = &members[..] {
            let component = &self.frame.components[member.component];
            let (columns, rows) = self.frame.blocks(component);
            let plane = &mut self.planes[member.component];
            for row in 0..rows as usize {
                for column in 0..columns as usize {
                    restarts.before_mcu(bits, &mut run)?;
                    let nonzero = plane.nonzero.get_mut(row * plane.stride + column);
                    step.block(bits, member, nonzero, &mut run)?;
                }
            }
        } else {
            let (columns, rows) = self.frame.mcus();
            for _ in 0..columns * rows {
                restarts.before_mcu(bits, &mut run)?;
                for member in &members {
                    let component = &self.frame.components[member.component];
                    for _ in 0..component.horizontal * component.vertical {
                        step.block(bits, member, None, &mut run)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// One component of a scan and its codes.
struct Member<'a> {
    component: usize,
    dc: Option<&'a Table>,
    ac: Option<&'a Table>,
}

/// Counts MCUs to the next restart marker.
struct Restarts {
    interval: u32,
    left: u32,
    number: u8,
}

impl Restarts {
    const fn new(interval: u32) -> Self {
        Self { interval, left: interval, number: 0 }
    }

    fn before_mcu(&mut self, bits: &mut Bits, run: &mut u32) -> Result<(), Broken> {
        if self.interval == 0 {
            return Ok(());
        }
        if self.left == 0 {
            bits.restart(self.number)?;
            self.number = self.number.wrapping_add(1);
            self.left = self.interval;
            *run = 0;
        }
        self.left -= 1;
        Ok(())
    }
}

/// What a scan brings of each block.
#[derive(Clone, Copy)]
enum Step {
    /// All coefficients.
    Sequential,
    /// The DC coefficient's first bits.
    DcFirst,
    /// One more bit of it.
    DcMore,
    /// The first bits of a band of AC coefficients.
    AcFirst { first: u8, last: u8 },
    /// One more bit of them.
    AcMore { first: u8, last: u8 },
}

impl Step {
    fn new(progressive: bool, first: u8, last: u8, approximation: u8, members: usize) -> Result<Self, Broken> {
        let more = approximation >> 4 != 0;
        match (progressive, first, more) {
            _ if members == 0 => Err(Broken),
            (false, ..) => Ok(Self::Sequential),
            (true, 0, false) if last == 0 => Ok(Self::DcFirst),
            (true, 0, true) if last == 0 => Ok(Self::DcMore),
            (true, 1..=63, _) if last < first || last > 63 || members != 1 => Err(Broken),
            (true, 1..=63, false) => Ok(Self::AcFirst { first, last }),
            (true, 1..=63, true) => Ok(Self::AcMore { first, last }),
            _ => Err(Broken),
        }
    }

    const fn brings_dc(self) -> bool {
        matches!(self, Self::Sequential | Self::DcFirst)
    }

    /// One block. `run` is the number of blocks that still have nothing in this band.
    fn block(self, bits: &mut Bits, member: &Member, nonzero: Option<&mut u64>, run: &mut u32) -> Result<(), Broken> {
        match self {
            Self::Sequential => {
                difference(bits, member.dc.ok_or(Broken)?)?;
                sequential_ac(bits, member.ac.ok_or(Broken)?)
            }
            Self::DcFirst => difference(bits, member.dc.ok_or(Broken)?),
            Self::DcMore => bits.skip(1),
            Self::AcFirst { first, last } => {
                ac_first(bits, member.ac.ok_or(Broken)?, nonzero.ok_or(Broken)?, run, first, last)
            }
            Self::AcMore { first, last } => {
                ac_more(bits, member.ac.ok_or(Broken)?, nonzero.ok_or(Broken)?, run, first, last)
            }
        }
    }
}

/// F.2.2.1: the DC coefficient, as a difference of so many bits.
fn difference(bits: &mut Bits, table: &Table) -> Result<(), Broken> {
    match bits.symbol(table)? {
        size @ 0..=15 => bits.skip(u32::from(size)),
        _ => Err(Broken),
    }
}

/// F.2.2.2: runs of zeros, each before a coefficient of so many bits.
fn sequential_ac(bits: &mut Bits, table: &Table) -> Result<(), Broken> {
    let mut k = 1;
    while k < 64 {
        let symbol = bits.symbol(table)?;
        match (symbol >> 4, symbol & 15) {
            (15, 0) => k += 16,
            (_, 0) => return Ok(()),
            (zeros, size) => {
                k += u32::from(zeros) + 1;
                bits.skip(u32::from(size))?;
            }
        }
    }
    if k == 64 { Ok(()) } else { Err(Broken) }
}

/// How many blocks end here, this one included: G.1.2.2.
fn end_of_bands(bits: &mut Bits, size: u8) -> Result<u32, Broken> {
    Ok((1 << size) + bits.number(u32::from(size))?)
}

/// G.1.2.2.
fn ac_first(
    bits: &mut Bits,
    table: &Table,
    nonzero: &mut u64,
    run: &mut u32,
    first: u8,
    last: u8,
) -> Result<(), Broken> {
    if *run > 0 {
        *run -= 1;
        return Ok(());
    }
    let mut k = first;
    while k <= last {
        let symbol = bits.symbol(table)?;
        match (symbol >> 4, symbol & 15) {
            (15, 0) => k += 16,
            (size, 0) => {
                *run = end_of_bands(bits, size)? - 1;
                return Ok(());
            }
            (zeros, size) => {
                k += zeros;
                if k > last {
                    return Err(Broken);
                }
                *nonzero |= 1 << k;
                bits.skip(u32::from(size))?;
                k += 1;
            }
        }
    }
    if k == last + 1 { Ok(()) } else { Err(Broken) }
}

/// G.1.2.3: a bit for each coefficient that is not zero yet, and new ones between them.
fn ac_more(
    bits: &mut Bits,
    table: &Table,
    nonzero: &mut u64,
    run: &mut u32,
    first: u8,
    last: u8,
) -> Result<(), Broken> {
    let mut k = first;
    while *run == 0 && k <= last {
        let symbol = bits.symbol(table)?;
        let (mut zeros, size) = (symbol >> 4, symbol & 15);
        let new = match (zeros, size) {
            (15, 0) => false,
            (size, 0) => {
                *run = end_of_bands(bits, size)?;
                break;
            }
            _ => {
                bits.skip(1)?;
                true
            }
        };
        while k <= last {
            if *nonzero >> k & 1 == 1 {
                bits.skip(1)?;
            } else if zeros == 0 {
                break;
            } else {
                zeros -= 1;
            }
            k += 1;
        }
        if new {
            if k > last {
                return Err(Broken);
            }
            *nonzero |= 1 << k;
        }
        k += 1;
    }
    if *run > 0 {
        while k <= last {
            if *nonzero >> k & 1 == 1 {
                bits.skip(1)?;
            }
            k += 1;
        }
        *run -= 1;
    }
    Ok(())
}
