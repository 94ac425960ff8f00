//! Rows of a PNG filtered and packed by themselves, so that strips can be packed side by side and laid one after the
//! other: as pigz does it, each but the last ends at a whole byte.
//!
//! The stream of `png` packs on one core, at 601 MiB/s where this has 523 on one and 828 on two (benches/README.md). That is lost
//! in a request whose network runs on a CPU; one without a network, or with one on a card, waits for its encoder.

use fdeflate::Compressor;

/// Some rows, and what they hang on.
pub struct Strip {
    /// Bytes of a pixel, and of a row.
    pixel: usize,
    row: usize,
    /// The row above; zero above the first.
    above: Vec<u8>,
    /// The rows.
    pub rows: Vec<u8>,
    first: bool,
    /// Whether nothing follows.
    pub last: bool,
}

impl Strip {
    /// The strip at the top, still without rows.
    pub fn first(pixel: usize, row: usize) -> Self {
        Self { pixel, row, above: vec![0; row], rows: Vec::new(), first: true, last: false }
    }

    /// The one below this, still without rows.
    pub fn next(&self) -> Self {
        let above = self.rows[self.rows.len() - self.row..].to_vec();
        Self { above, rows: Vec::with_capacity(self.rows.len()), first: false, ..*self }
    }
}

/// A strip on its way into the file.
pub struct Packed {
    /// Blocks of deflate, before the first strip the header of zlib.
    pub deflate: Vec<u8>,
    /// Checksum of what is packed, and its length.
    pub adler: u32,
    pub length: usize,
    pub last: bool,
}

/// Filters and packs. Paeth on every row and fdeflate's one pass; measured in one run on a photograph of 2344x1564
/// upscaled x4 (RGB, one core of a busy 2-core machine; MB/s of pixels, file size in % of them):
///
/// | deflate \ filter | Up | Sub | Avg | Paeth | chosen by row |
/// |---|---|---|---|---|---|
/// | fdeflate | 221, 49.5 | 264, 49.1 | 270, 44.9 | 273, 38.0 | 236, 38.0 |
/// | level 1 | 73, 40.5 | 63, 48.3 | 68, 42.5 | 67, 41.0 | 65, 41.0 |
/// | level 2 | 75, 33.1 | 67, 41.3 | 87, 35.1 | 76, 36.1 | 72, 36.1 |
///
/// Level 6 gave 32.3 % at 10 MB/s: less than the networks put out. Rendered text is where fdeflate, which knows no
/// matches, loses: 27.8 % against 11.9 % at level 1.
pub fn pack(strip: Strip) -> Packed {
    let filtered = filtered(&strip);
    let (first, last, length) = (strip.first, strip.last, filtered.len());
    drop(strip);
    let mut stream = fdeflated(&filtered);
    let adler = stream.split_off(stream.len() - 4);
    let adler = adler.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    let mut deflate = if stream.len() > length + length / 1000 + 16 {
        [stream[..2].to_vec(), stored(&filtered, last)].concat()
    } else {
        if !last {
            open_ended(&mut stream);
        }
        stream
    };
    if !first {
        deflate.drain(..2);
    }
    Packed { deflate, adler, length, last }
}

fn fdeflated(data: &[u8]) -> Vec<u8> {
    let out = Vec::with_capacity(data.len() / 2 + 64);
    let packed = Compressor::new(out).and_then(|mut packer| packer.write_data(data).and_then(|()| packer.finish()));
    packed.expect("a Vec takes everything")
}

/// Makes the one block of a zlib stream without its checksum one of several, and ends it at a whole byte with an empty
/// stored block. The block's last bit is the last one that is set: the code for its end is 1111 1111 0001.
fn open_ended(stream: &mut Vec<u8>) {
    const LAST_BLOCK: u8 = 1;
    stream[2] &= !LAST_BLOCK;
    let unused = stream.last().map_or(0, |byte| byte.leading_zeros());
    // Three bits say that a stored block follows; then to the next byte.
    if unused < 3 {
        stream.push(0);
    }
    stream.extend_from_slice(&[0, 0, 0xff, 0xff]);
}

/// Blocks that hold the bytes as they are: noise would grow by half under fdeflate.
fn stored(data: &[u8], last: bool) -> Vec<u8> {
    const MOST: usize = u16::MAX as usize;
    let mut out = Vec::with_capacity(data.len() + 5 * data.len().div_ceil(MOST));
    let mut blocks = data.chunks(MOST).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        out.push(u8::from(last && blocks.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out
}

/// Every row by the Paeth filter (PNG third edition, 9.4), the number of the filter before it.
fn filtered(strip: &Strip) -> Vec<u8> {
    const PAETH: u8 = 4;
    let Strip { pixel, row, .. } = *strip;
    let mut out = Vec::with_capacity(strip.rows.len() + strip.rows.len() / row);
    let mut above = &strip.above[..];
    for current in strip.rows.chunks_exact(row) {
        out.push(PAETH);
        // Left of the first pixel is nothing; what is above foretells it.
        out.extend(current.iter().zip(above).take(pixel).map(|(now, above)| now.wrapping_sub(*above)));
        let left = current.iter().zip(above);
        out.extend(
            current[pixel..]
                .iter()
                .zip(&above[pixel..])
                .zip(left)
                .map(|((now, above), (left, corner))| now.wrapping_sub(foretold(*left, *above, *corner))),
        );
        above = current;
    }
    out
}

/// Whichever of the neighbors is nearest to left + above - corner.
fn foretold(left: u8, above: u8, corner: u8) -> u8 {
    let (a, b, c) = (i16::from(left), i16::from(above), i16::from(corner));
    let (to_left, to_above, to_corner) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    let of_two = if to_above <= to_corner { above } else { corner };
    if to_left <= to_above && to_left <= to_corner { left } else { of_two }
}

/// Adler-32 (RFC 1950) of parts laid one after the other.
pub struct Adler(u32);

impl Default for Adler {
    fn default() -> Self {
        Self(1)
    }
}

impl Adler {
    const MODULUS: u64 = 65_521;

    /// Of so many more bytes with this sum of their own.
    pub fn append(&mut self, part: u32, length: usize) {
        let split = |sum: u32| (u64::from(sum & 0xffff), u64::from(sum >> 16));
        let ((low, high), (part_low, part_high)) = (split(self.0), split(part));
        let length = length as u64 % Self::MODULUS;
        // Each later byte counts all that came before it, which begins at 1 in the part's own sum.
        let less_one = low + Self::MODULUS - 1;
        let high = (high + part_high + length * less_one) % Self::MODULUS;
        self.0 = ((high << 16) | ((less_one + part_low) % Self::MODULUS)) as u32;
    }

    pub const fn sum(&self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::ZlibDecoder;
    use proptest::prelude::*;

    use super::*;

    /// Packs these strips of rows, joins them and inflates the whole by another library.
    fn there_and_back(pixel: usize, row: usize, strips: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
        let (mut stream, mut expected, mut adler) = (Vec::new(), Vec::new(), Adler::default());
        let mut strip = Strip::first(pixel, row);
        for (i, rows) in strips.iter().enumerate() {
            strip.rows = rows.clone();
            strip.last = i + 1 == strips.len();
            let next = strip.next();
            expected.extend(filtered(&strip));
            let packed = pack(std::mem::replace(&mut strip, next));
            adler.append(packed.adler, packed.length);
            stream.extend(packed.deflate);
        }
        stream.extend(adler.sum().to_be_bytes());
        let mut inflated = Vec::new();
        ZlibDecoder::new(&stream[..]).read_to_end(&mut inflated).expect("zlib, with its checksum");
        (inflated, expected)
    }

    proptest! {
        /// Whatever the last bits of a strip are; smooth, noisy and flat.
        #[test]
        fn strips_make_one_stream(
            (pixel, row) in prop::sample::select(vec![(1, 1), (3, 9), (4, 40), (8, 64)]),
            heights in prop::collection::vec((1..6_usize, 0..3_u8, any::<u8>()), 1..6),
        ) {
            let strips: Vec<Vec<u8>> = heights
                .iter()
                .map(|(height, kind, seed)| {
                    let byte = |i: usize| match kind {
                        0 => *seed,
                        1 => (i / 7) as u8 ^ seed,
                        _ => ((i as u32 + u32::from(*seed)).wrapping_mul(2_654_435_761) >> 13) as u8,
                    };
                    (0..height * row).map(byte).collect()
                })
                .collect();
            let (inflated, expected) = there_and_back(pixel, row, &strips);
            prop_assert!(inflated == expected);
        }
    }

    #[test]
    fn noise_grows_by_next_to_nothing() {
        let noise: Vec<u8> = (0..200_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        let mut strip = Strip::first(1, 1000);
        strip.rows = noise.clone();
        let packed = pack(strip);
        assert!(packed.deflate.len() < 200_000 + 300, "{}", packed.deflate.len());
        let (inflated, expected) = there_and_back(1, 1000, &[noise.clone(), vec![9; 5000], noise]);
        assert!(inflated == expected);
    }

    #[test]
    fn sums_of_parts_are_the_sum_of_the_whole() {
        let sum = |data: &[u8]| {
            let (mut low, mut high) = (1_u32, 0_u32);
            for byte in data {
                low = (low + u32::from(*byte)) % 65_521;
                high = (high + low) % 65_521;
            }
            high << 16 | low
        };
        let data = vec![255; 70_000];
        for cut in [0, 1, 65_521, 69_999, 70_000] {
            let mut adler = Adler::default();
            for part in [&data[..cut], &data[cut..]] {
                adler.append(sum(part), part.len());
            }
            assert_eq!(adler.sum(), sum(&data), "{cut}");
        }
    }
}
