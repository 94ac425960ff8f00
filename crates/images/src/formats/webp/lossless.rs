//! What entropy tables a lossless WebP stream asks for (RFC 9649, chapter 3), counted before a decoder builds them.
//!
//! The stream may ask for 65536 groups of five codes, each described in some 60 bits and looked up in 4 KiB: 1.3 GB for an
//! upload of 4 MB, whatever the size of the image. How many there are is in a small image of its own after the
//! transforms, which are small images too. Reading these takes far less time than the image itself, and needs no
//! pixels: copies and cache hits bring no number that a literal did not bring before.

use crate::Interrupt;
use crate::units::Size;

/// Why a stream is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It breaks off or contradicts itself.
    Broken,
    /// It asks for more memory than any encoder has use for.
    Tables,
}

/// What is left of an alphabet without the color cache: green and lengths, red, blue, alpha, distances.
const ALPHABETS: [usize; 5] = [256 + 24, 256, 256, 256, 40];
/// The order in which the lengths of the code for lengths are written.
const LENGTH_ORDER: [usize; 19] = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
/// A lookup of this many bits precedes a tree in the decoder.
const LOOKUP_BITS: usize = 10;

/// Reads a stream up to its last table. `bare` streams, those of alpha planes, begin after the header. The tables
/// together may take `budget` bytes. An interrupted stream is [`Refused::Broken`].
pub fn check(stream: &[u8], size: Size, bare: bool, budget: u64, interrupt: &Interrupt) -> Result<(), Refused> {
    let mut bits = Bits { stream, at: 0, interrupt };
    if !bare {
        bits.at = 8 + 14 + 14 + 1 + 3;
    }
    let width = transforms(&mut bits, size)?;
    let cache = color_cache(&mut bits)?;
    let mut groups = 1;
    if bits.number(1)? == 1 {
        let block = bits.number(3)? + 2;
        groups = image(&mut bits, shrunk(width, block), shrunk(size.height, block))? + 1;
    }
    let mut taken = 0;
    for _ in 0..groups {
        bits.check()?;
        for alphabet in alphabets(cache) {
            taken += Code::read(&mut bits, alphabet)?.table_bytes();
            if taken > budget {
                return Err(Refused::Tables);
            }
        }
    }
    Ok(())
}

/// Passes over the transforms and gives back the width of the image that is coded.
fn transforms(bits: &mut Bits, size: Size) -> Result<u32, Refused> {
    let mut width = size.width;
    let mut seen = [false; 4];
    while bits.number(1)? == 1 {
        let kind = bits.number(2)?;
        if std::mem::replace(&mut seen[kind as usize], true) {
            return Err(Refused::Broken);
        }
        match kind {
            0 | 1 => {
                let block = bits.number(3)? + 2;
                image(bits, shrunk(width, block), shrunk(size.height, block))?;
            }
            2 => {}
            _ => {
                let colors = bits.number(8)? + 1;
                image(bits, colors, 1)?;
                let packed = match colors {
                    1..=2 => 3,
                    3..=4 => 2,
                    5..=16 => 1,
                    _ => 0,
                };
                width = shrunk(width, packed);
            }
        }
    }
    Ok(width)
}

const fn shrunk(side: u32, bits: u32) -> u32 {
    side.div_ceil(1 << bits)
}

/// Size of the color cache, 0 for none.
fn color_cache(bits: &mut Bits) -> Result<usize, Refused> {
    if bits.number(1)? == 0 {
        return Ok(0);
    }
    match bits.number(4)? {
        n @ 1..=11 => Ok(1 << n),
        _ => Err(Refused::Broken),
    }
}

const fn alphabets(cache: usize) -> [usize; 5] {
    let mut alphabets = ALPHABETS;
    alphabets[0] += cache;
    alphabets
}

/// Passes over a small image of one group of codes. Gives back the largest number that red and green of a literal
/// make together.
fn image(bits: &mut Bits, width: u32, height: u32) -> Result<u32, Refused> {
    let cache = color_cache(bits)?;
    let mut codes = Vec::with_capacity(ALPHABETS.len());
    for alphabet in alphabets(cache) {
        codes.push(Code::read(bits, alphabet)?);
    }
    let [green, red, blue, alpha, distance] = &codes[..] else { return Err(Refused::Broken) };
    let mut left = u64::from(width) * u64::from(height);
    let mut largest = 0;
    while left > 0 {
        bits.check()?;
        let covered = match green.symbol(bits)? {
            level @ 0..=255 => {
                largest = largest.max(red.symbol(bits)? << 8 | level);
                blue.symbol(bits)?;
                alpha.symbol(bits)?;
                1
            }
            prefix @ 256..=279 => {
                let length = prefixed(bits, prefix - 256)?;
                let prefix = distance.symbol(bits)?;
                prefixed(bits, prefix)?;
                u64::from(length)
            }
            _ => 1,
        };
        left = left.saturating_sub(covered);
    }
    Ok(largest)
}

/// A length or distance: its prefix gives how many bits follow.
fn prefixed(bits: &mut Bits, prefix: u32) -> Result<u32, Refused> {
    if prefix < 4 {
        return Ok(prefix + 1);
    }
    let extra = (prefix - 2) >> 1;
    Ok(((2 + (prefix & 1)) << extra) + bits.number(extra)? + 1)
}

/// Bits from the low end of each byte.
struct Bits<'a> {
    stream: &'a [u8],
    at: usize,
    interrupt: &'a Interrupt,
}

impl Bits<'_> {
    /// Fails if the decode should end.
    fn check(&self) -> Result<(), Refused> {
        if self.interrupt.is_set() { Err(Refused::Broken) } else { Ok(()) }
    }

    fn number(&mut self, count: u32) -> Result<u32, Refused> {
        let mut number = 0;
        for i in 0..count {
            let byte = self.stream.get(self.at / 8).ok_or(Refused::Broken)?;
            number |= u32::from(byte >> (self.at % 8) & 1) << i;
            self.at += 1;
        }
        Ok(number)
    }
}

/// A canonical prefix code.
struct Code {
    /// Symbols by length, then by value.
    symbols: Vec<u16>,
    /// How many there are of each length; a code of one symbol has none, since it takes no bits.
    counts: [u16; 16],
}

impl Code {
    fn read(bits: &mut Bits, alphabet: usize) -> Result<Self, Refused> {
        if bits.number(1)? == 1 {
            return Self::read_simple(bits, alphabet);
        }
        let mut lengths = [0; LENGTH_ORDER.len()];
        let count = 4 + bits.number(4)? as usize;
        for place in &LENGTH_ORDER[..count] {
            lengths[*place] = bits.number(3)? as u8;
        }
        let code = Self::new(&lengths)?;
        let lengths = read_lengths(bits, &code, alphabet)?;
        Self::new(&lengths)
    }

    /// One or two symbols.
    fn read_simple(bits: &mut Bits, alphabet: usize) -> Result<Self, Refused> {
        let two = bits.number(1)? == 1;
        let wide = bits.number(1)?;
        let mut symbols = vec![bits.number(1 + 7 * wide)? as u16];
        let mut counts = [0; 16];
        if two {
            symbols.push(bits.number(8)? as u16);
            counts[1] = 2;
        }
        if symbols.iter().any(|s| usize::from(*s) >= alphabet) {
            return Err(Refused::Broken);
        }
        Ok(Self { symbols, counts })
    }

    /// From the length of each symbol's code, 0 for none. The codes must fill the space exactly.
    fn new(lengths: &[u8]) -> Result<Self, Refused> {
        let mut counts = [0_u16; 16];
        for length in lengths.iter().filter(|l| **l > 0) {
            counts[usize::from(*length)] += 1;
        }
        let of_length = |length: u8| (0_u16..).zip(lengths).filter(move |(_, l)| **l == length).map(|(s, _)| s);
        let symbols: Vec<_> = (1..=15).flat_map(of_length).collect();
        if symbols.len() == 1 {
            return Ok(Self { symbols, counts: [0; 16] });
        }
        let space: u32 = (1_u32..).zip(&counts[1..]).map(|(length, count)| u32::from(*count) << (15 - length)).sum();
        if space == 1 << 15 { Ok(Self { symbols, counts }) } else { Err(Refused::Broken) }
    }

    fn symbol(&self, bits: &mut Bits) -> Result<u32, Refused> {
        if let [symbol] = self.symbols[..] {
            return Ok(u32::from(symbol));
        }
        let (mut code, mut first, mut place) = (0, 0, 0);
        for count in self.counts[1..].iter().map(|c| u32::from(*c)) {
            code = code << 1 | bits.number(1)?;
            first <<= 1;
            if code < first + count {
                return Ok(u32::from(self.symbols[(place + code - first) as usize]));
            }
            first += count;
            place += count;
        }
        Err(Refused::Broken)
    }

    /// What image-webp 0.2 builds for it: a lookup by four bytes for each value of the longest code's bits, up to
    /// 2^10, and two nodes of 16 bytes for each longer code.
    fn table_bytes(&self) -> u64 {
        let own = size_of::<[usize; 7]>() as u64;
        let Some(longest) = self.counts.iter().rposition(|count| *count > 0) else { return own };
        let longer: u64 = self.counts[LOOKUP_BITS + 1..].iter().map(|count| u64::from(*count)).sum();
        own + (4 << longest.min(LOOKUP_BITS)) + 32 * longer
    }
}

/// The lengths of a code, themselves coded: 0 to 15 are themselves, 16 to 18 repeat.
fn read_lengths(bits: &mut Bits, code: &Code, alphabet: usize) -> Result<Vec<u8>, Refused> {
    let mut left = alphabet;
    if bits.number(1)? == 1 {
        let width = 2 + 2 * bits.number(3)?;
        left = 2 + bits.number(width)? as usize;
        if left > alphabet {
            return Err(Refused::Broken);
        }
    }
    let mut lengths = Vec::with_capacity(alphabet);
    let mut previous = 8;
    while lengths.len() < alphabet && left > 0 {
        left -= 1;
        let (length, times) = match code.symbol(bits)? {
            length @ 0..=15 => (length as u8, 1),
            16 => (previous, 3 + bits.number(2)?),
            17 => (0, 3 + bits.number(3)?),
            _ => (0, 11 + bits.number(7)?),
        };
        if length != 0 {
            previous = length;
        }
        lengths.resize(lengths.len() + times as usize, length);
        if lengths.len() > alphabet {
            return Err(Refused::Broken);
        }
    }
    Ok(lengths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stream: &[u8], size: Size, budget: u64) -> Result<(), Refused> {
        super::check(stream, size, true, budget, &Interrupt::default())
    }

    /// Writes what [`Bits`] reads.
    #[derive(Default)]
    struct Writer {
        bits: Vec<bool>,
    }

    impl Writer {
        fn number(&mut self, number: u32, count: u32) {
            self.bits.extend((0..count).map(|i| number >> i & 1 == 1));
        }

        /// A code of one symbol, which takes no bits.
        fn single(&mut self, symbol: u32) {
            self.number(0b101, 3);
            self.number(symbol, 8);
        }

        /// A code of 256 symbols of 8 bits, described by 12 lengths and no more: the cheapest large table.
        fn flat(&mut self) {
            self.number(0, 1);
            self.number(12 - 4, 4);
            // The eleventh of the order is the length 8; alone, it takes no bits.
            for place in 0..12 {
                self.number(u32::from(place == 11), 3);
            }
            self.number(0, 1);
        }

        fn bytes(&self) -> Vec<u8> {
            let byte = |bits: &[bool]| bits.iter().enumerate().map(|(i, bit)| u8::from(*bit) << i).sum();
            self.bits.chunks(8).map(byte).collect()
        }
    }

    /// A bare stream of one pixel's width that asks for so many groups of codes.
    fn stream(groups: u32) -> Vec<u8> {
        let mut w = Writer::default();
        w.number(0, 1); // no transform
        w.number(0, 1); // no cache
        w.number(1, 1); // groups:
        w.number(0, 3); // blocks of 4
        w.number(0, 1); // no cache
        let last = groups - 1;
        for level in [last & 255, last >> 8, 0, 0, 0] {
            w.single(level);
        }
        for _ in 0..groups {
            w.single(7);
            for _ in 0..3 {
                w.flat();
            }
            w.single(0);
        }
        w.bytes()
    }

    #[test]
    fn tables_are_counted_before_they_are_built() {
        let size = Size::new(4, 4);
        let group = 3 * (1024 + 56) + 2 * 56;
        for groups in [1, 2, 300] {
            let stream = stream(groups);
            let taken = u64::from(groups) * group;
            assert_eq!(check(&stream, size, taken), Ok(()));
            assert_eq!(check(&stream, size, taken - 1), Err(Refused::Tables));
            assert_eq!(check(&stream[..stream.len() - 1], size, u64::MAX), Err(Refused::Broken));
        }
    }

    #[test]
    fn the_worst_case_is_refused() {
        let worst = stream(65_536);
        assert!(worst.len() < 2 << 20);
        let budget = super::super::lossless_tables(16, worst.len());
        assert_eq!(check(&worst, Size::new(4, 4), budget), Err(Refused::Tables));
    }

    /// Reading the tables of 25 MB takes half a second.
    #[test]
    fn every_table_asks_whether_to_go_on() {
        let middle = Interrupt::after(100);
        assert_eq!(super::check(&stream(300), Size::new(4, 4), true, u64::MAX, &middle), Err(Refused::Broken));
        assert!(middle.is_set());
    }

    #[test]
    fn codes_fill_their_space() {
        assert!(Code::new(&[1, 2, 2]).is_ok());
        assert!(Code::new(&[1, 2]).is_err());
        assert!(Code::new(&[1, 1, 1]).is_err());
        assert!(Code::new(&[0, 0]).is_err());
        let single = Code::new(&[0, 0, 5]).expect("one symbol");
        assert_eq!(single.symbol(&mut Bits { stream: &[], at: 0, interrupt: &Interrupt::default() }), Ok(2));
    }
}
