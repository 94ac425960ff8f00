//! Bits and Huffman symbols of a JPEG's entropy-coded data (T.81, annexes C and F.2.2).

/// The data contradicts itself or is not all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// Reads bits up to the next marker, and no further.
pub struct Bits<'a> {
    rest: &'a [u8],
    /// Bits not yet taken, from the top.
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub const fn new(rest: &'a [u8]) -> Self {
        Self { rest, held: 0, count: 0 }
    }

    /// Tops up to more than 48 bits, unless a marker or the end comes first.
    fn fill(&mut self) {
        while self.count <= 56 {
            let (byte, length) = match self.rest {
                [0xff, 0, ..] => (0xff, 2),
                [0xff, ..] | [] => return,
                [byte, ..] => (*byte, 1),
            };
            self.held |= u64::from(byte) << (56 - self.count);
            self.count += 8;
            self.rest = &self.rest[length..];
        }
    }

    fn take(&mut self, n: u32) -> Result<(), Broken> {
        if n > self.count {
            return Err(Broken);
        }
        self.held <<= n;
        self.count -= n;
        Ok(())
    }

    /// Passes over up to 16 bits.
    pub fn skip(&mut self, n: u32) -> Result<(), Broken> {
        if n > self.count {
            self.fill();
        }
        self.take(n)
    }

    /// The next `n` bits as a number, `n` from 0 to 16.
    pub fn number(&mut self, n: u32) -> Result<u32, Broken> {
        if n > self.count {
            self.fill();
        }
        let number = if n == 0 { 0 } else { (self.held >> (64 - n)) as u32 };
        self.take(n)?;
        Ok(number)
    }

    pub fn symbol(&mut self, table: &Table) -> Result<u8, Broken> {
        if self.count < 16 {
            self.fill();
        }
        let (symbol, length) = table.look_up((self.held >> 48) as u16).ok_or(Broken)?;
        self.take(length)?;
        Ok(symbol)
    }

    /// Passes over the padding and the restart marker `number`, which must come next.
    pub fn restart(&mut self, number: u8) -> Result<(), Broken> {
        self.fill();
        if self.count >= 8 {
            return Err(Broken);
        }
        while let [0xff, 0xff, ..] = self.rest {
            self.rest = &self.rest[1..];
        }
        match self.rest {
            [0xff, marker, rest @ ..] if *marker == 0xd0 + number % 8 => {
                *self = Self::new(rest);
                Ok(())
            }
            _ => Err(Broken),
        }
    }

    /// What has not been looked at.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

const FAST: u32 = 9;

/// A canonical Huffman code.
pub struct Table {
    /// For the next [`FAST`] bits: length and symbol of a code that fits in them, or zero.
    fast: [(u8, u8); 1 << FAST],
    /// For each length: the first code beyond those of the length, shifted to 16 bits, and what to add to a code to
    /// have its place in `symbols`.
    longer: [(u32, i32); 17],
    symbols: Vec<u8>,
}

impl Table {
    /// From the number of codes of each length 1 to 16, and their symbols in order.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self, Broken> {
        let mut table = Self { fast: [(0, 0); 1 << FAST], longer: [(0, 0); 17], symbols: symbols.to_vec() };
        let mut code = 0_u32;
        let mut place = 0_usize;
        for (length, count) in (1_u32..).zip(counts) {
            table.longer[length as usize].1 = place as i32 - code as i32;
            for _ in 0..*count {
                let symbol = *symbols.get(place).ok_or(Broken)?;
                if code >> length != 0 {
                    return Err(Broken);
                }
                if length <= FAST {
                    let first = (code << (FAST - length)) as usize;
                    table.fast[first..first + (1 << (FAST - length))].fill((length as u8, symbol));
                }
                code += 1;
                place += 1;
            }
            table.longer[length as usize].0 = code << (16 - length);
            code <<= 1;
        }
        Ok(table)
    }

    /// The symbol whose code `next` begins with, and the code's length.
    fn look_up(&self, next: u16) -> Option<(u8, u32)> {
        let (length, symbol) = self.fast[usize::from(next >> (16 - FAST))];
        if length != 0 {
            return Some((symbol, u32::from(length)));
        }
        let next = u32::from(next);
        let length = (FAST + 1..=16).find(|length| next < self.longer[*length as usize].0)?;
        let place = (next >> (16 - length)) as i32 + self.longer[length as usize].1;
        Some((*self.symbols.get(usize::try_from(place).ok()?)?, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_stop_at_a_marker_and_know_stuffing() {
        let mut bits = Bits::new(&[0b1010_0000, 0xff, 0, 0x12, 0xff, 0xd9]);
        assert_eq!(bits.number(3), Ok(0b101));
        assert_eq!(bits.skip(5), Ok(()));
        assert_eq!(bits.number(16), Ok(0xff12));
        assert_eq!(bits.number(0), Ok(0));
        assert_eq!(bits.number(1), Err(Broken));
        assert_eq!(bits.rest(), [0xff, 0xd9]);
    }

    #[test]
    fn restarts_come_in_turn_after_less_than_a_byte() {
        let data = [0b1011_1111, 0xff, 0xff, 0xd3, 0x80];
        let mut bits = Bits::new(&data);
        assert_eq!(bits.restart(3), Err(Broken), "a whole byte is left");
        assert_eq!(bits.skip(1), Ok(()));
        assert_eq!(bits.restart(4), Err(Broken), "the wrong number");
        assert_eq!(bits.restart(11), Ok(()));
        assert_eq!(bits.number(1), Ok(1));
    }

    #[test]
    fn codes_are_canonical() {
        // Lengths 1, 2, 10, 16: codes 0, 10, 1100000000, 1100000001000000.
        let mut counts = [0; 16];
        for length in [1, 2, 10, 16] {
            counts[length - 1] = 1;
        }
        let table = Table::new(&counts, b"abcd").expect("a code");
        for (next, expected) in [
            (0x7fff, Some((b'a', 1))),
            (0xbfff, Some((b'b', 2))),
            (0xc000, Some((b'c', 10))),
            (0xc03f, Some((b'c', 10))),
            (0xc040, Some((b'd', 16))),
            (0xc041, None),
            (0xffff, None),
        ] {
            assert_eq!(table.look_up(next), expected, "{next:04x}");
        }
    }

    #[test]
    fn a_code_with_too_many_codes_is_broken() {
        let mut counts = [0; 16];
        counts[0] = 2;
        assert!(Table::new(&counts, b"ab").is_ok());
        assert!(Table::new(&counts, b"a").is_err(), "a symbol is missing");
        counts[1] = 1;
        assert!(Table::new(&counts, b"abc").is_err());
    }
}
