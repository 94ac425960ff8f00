//! A PNG maker for tests: any color type and depth, interlaced or not, any chunk, right or wrong.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::testing::chunk;

/// One image to be written; samples are numbers below 2^bits, palette indices included.
pub struct Png {
    pub width: u32,
    pub height: u32,
    pub bits: u8,
    /// 0 gray, 2 RGB, 3 palette, 4 gray with alpha, 6 RGBA.
    pub color: u8,
    pub interlaced: bool,
    pub samples: Vec<u16>,
    /// Chunks between `IHDR` and `IDAT`.
    pub before: Vec<(&'static [u8; 4], Vec<u8>)>,
}

pub const fn samples_per_pixel(color: u8) -> usize {
    match color {
        2 => 3,
        4 => 2,
        6 => 4,
        _ => 1,
    }
}

/// First column, first row, column step, row step of the seven passes of Adam7.
const PASSES: [(usize, usize, usize, usize); 7] =
    [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];

impl Png {
    pub fn gray(width: u32, height: u32) -> Self {
        let samples = (0..width * height).map(|i| (i * 31 % 256) as u16).collect();
        Self { width, height, bits: 8, color: 0, interlaced: false, samples, before: Vec::new() }
    }

    pub fn file(&self) -> Vec<u8> {
        let mut file = signature_and_header(self.width, self.height, self.bits, self.color, self.interlaced);
        for (kind, data) in &self.before {
            file.extend(chunk(**kind, data));
        }
        // In two chunks, as large files have many.
        let stream = deflate(&self.filtered());
        let (one, two) = stream.split_at(stream.len() / 2);
        file.extend(chunk(*b"IDAT", one));
        file.extend(chunk(*b"IDAT", two));
        file.extend(chunk(*b"IEND", b""));
        file
    }

    /// Rows of all passes, each after its filter byte (none).
    pub fn filtered(&self) -> Vec<u8> {
        let passes = if self.interlaced { &PASSES[..] } else { &[(0, 0, 1, 1)] };
        let mut rows = Vec::new();
        for &(x0, y0, dx, dy) in passes {
            for y in (y0..self.height as usize).step_by(dy) {
                let columns: Vec<_> = (x0..self.width as usize).step_by(dx).collect();
                if !columns.is_empty() {
                    rows.push(0);
                    rows.extend(self.packed(y, &columns));
                }
            }
        }
        rows
    }

    fn packed(&self, y: usize, columns: &[usize]) -> Vec<u8> {
        let per_pixel = samples_per_pixel(self.color);
        let samples = columns.iter().flat_map(|x| {
            let at = (y * self.width as usize + x) * per_pixel;
            &self.samples[at..at + per_pixel]
        });
        if self.bits == 16 {
            return samples.flat_map(|s| s.to_be_bytes()).collect();
        }
        let mut bytes = vec![0; (columns.len() * per_pixel * usize::from(self.bits)).div_ceil(8)];
        for (i, sample) in samples.enumerate() {
            let bit = i * usize::from(self.bits);
            bytes[bit / 8] |= (*sample as u8) << (8 - usize::from(self.bits) - bit % 8);
        }
        bytes
    }
}

pub fn signature_and_header(width: u32, height: u32, bits: u8, color: u8, interlaced: bool) -> Vec<u8> {
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([bits, color, 0, 0, u8::from(interlaced)]);
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(*b"IHDR", &header)].concat()
}

pub fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

/// `iCCP` as writers write it.
pub fn profile_chunk(profile: &[u8]) -> Vec<u8> {
    [&b"profile\0\0"[..], &deflate(profile)].concat()
}
