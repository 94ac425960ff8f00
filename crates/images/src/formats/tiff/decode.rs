//! TIFF to samples: strips and tiles, chunky and planar, 1 to 16 bits, palettes and fax pages.
//!
//! The `tiff` crate (0.11) reads no palettes, takes no note of the order of bits in a fax, and asserts what a file
//! should hold; so only the unpackers are taken from libraries, and chunks are put together here, row by row.

use std::io::Read;

use super::chunk;
use crate::color::CmykTransform;
use crate::color::cmyk;
use crate::formats::tiff::page::{Extra, Page, Photometric};
use crate::formats::{FullRange, damaged, unpremultiply};
use crate::raster::{Depth, Samples};
use crate::{CodecError, Interrupt, Probe};

pub fn decode(page: &Page, probe: &Probe, interrupt: &Interrupt) -> Result<Samples, CodecError> {
    if !page.is_whole() {
        return Err(damaged("TIFF"));
    }
    Ok(match page.depth() {
        Depth::Eight => {
            let mut samples = gather::<u8>(page, probe.cmyk_transform.as_ref(), interrupt)?;
            finish(page, &mut samples);
            Samples::U8(samples)
        }
        Depth::Sixteen => {
            let mut samples = gather::<u16>(page, None, interrupt)?;
            finish(page, &mut samples);
            Samples::U16(samples)
        }
    })
}

/// How samples are stored.
trait Stored: FullRange {
    /// The samples of a row.
    fn stored(row: &[u8], big_endian: bool) -> impl Iterator<Item = Self>;
    fn plus(self, other: Self) -> Self;
}

impl Stored for u8 {
    fn stored(row: &[u8], _: bool) -> impl Iterator<Item = Self> {
        row.iter().copied()
    }

    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}

impl Stored for u16 {
    fn stored(row: &[u8], big_endian: bool) -> impl Iterator<Item = Self> {
        let (pairs, _) = row.as_chunks::<2>();
        pairs.iter().map(move |pair| if big_endian { Self::from_be_bytes(*pair) } else { Self::from_le_bytes(*pair) })
    }

    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}

/// All chunks at their places. Inks have 8 bits.
fn gather<T: Stored>(
    page: &Page,
    cmyk_transform: Option<&CmykTransform>,
    interrupt: &Interrupt,
) -> Result<Vec<T>, CodecError> {
    let channels = page.channels().count();
    let width = page.size.width as usize;
    let mut samples = vec![T::default(); page.size.pixels() as usize * channels];
    let palette = page.palette();
    let mut row = vec![0; page.row_bytes()];
    let mut values = Vec::new();
    let (across, down) = (page.chunks_across(), page.chunks_down());
    for number in 0..across * down * page.planes() {
        let (plane, place) = (number / (across * down), number % (across * down));
        let x = place % across * page.chunk.width as usize;
        let y = place / across * page.chunk.height as usize;
        let columns = (page.chunk.width as usize).min(width - x);
        let rows = page.chunk.height.min(page.size.height - y as u32);
        let packed = page.chunk_bytes(number).ok_or_else(|| damaged("TIFF"))?;
        let broken = |error: std::io::Error| {
            tracing::debug!(%error, number, "a chunk of a tiff does not decode");
            damaged("TIFF")
        };
        let mut chunk = chunk::open(page, packed, rows, interrupt).map_err(broken)?;
        for line in 0..rows as usize {
            interrupt.check()?;
            chunk.read_exact(&mut row).map_err(broken)?;
            let out = &mut samples[((y + line) * width + x) * channels..][..columns * channels];
            let wanted = columns * page.samples_together();
            match (page.photometric, page.bits) {
                (Photometric::Palette, bits) => {
                    for (out, i) in out.as_chunks_mut::<3>().0.iter_mut().zip(packed_bits(&row, bits)) {
                        *out = palette[i as usize].map(|level| T::of(u32::from(level)));
                    }
                }
                (_, bits @ (1 | 2 | 4)) => {
                    let most = (1 << bits) - 1;
                    out.iter_mut().zip(packed_bits(&row, bits)).for_each(|(out, v)| *out = T::of(v * T::MAX / most));
                }
                _ => {
                    values.clear();
                    values.extend(T::stored(&row, page.big_endian()).take(wanted));
                    if page.predicted {
                        sum(&mut values, page.samples_together());
                    }
                    if page.photometric == Photometric::Cmyk {
                        let cmyk: Vec<u8> = values.iter().map(|ink| (*ink).into() as u8).collect();
                        let levels = cmyk::to_rgb(&cmyk, cmyk_transform);
                        out.iter_mut().zip(levels).for_each(|(out, level)| *out = T::of(u32::from(level)));
                    } else {
                        place_samples(page, &values, plane, out);
                    }
                }
            }
        }
    }
    Ok(samples)
}

/// Values of below 8 bits, the first in the high bits.
fn packed_bits(row: &[u8], bits: u32) -> impl Iterator<Item = u32> + '_ {
    let per_byte = 8 / bits;
    row.iter()
        .flat_map(move |byte| (0..per_byte).map(move |i| u32::from(*byte) >> (8 - bits * (i + 1)) & ((1 << bits) - 1)))
}

/// Each sample was stored as the difference to its neighbor on the left.
fn sum<T: Stored>(row: &mut [T], step: usize) {
    for i in step..row.len() {
        row[i] = row[i].plus(row[i - step]);
    }
}

fn place_samples<T: FullRange>(page: &Page, values: &[T], plane: usize, out: &mut [T]) {
    let channels = page.channels().count();
    if !page.planar {
        for (out, pixel) in out.chunks_exact_mut(channels).zip(values.chunks_exact(page.samples)) {
            out.copy_from_slice(&pixel[..channels]);
        }
    } else if plane < channels {
        out.iter_mut().skip(plane).step_by(channels).zip(values).for_each(|(out, value)| *out = *value);
    }
}

/// Gray that was stored from white to black, and colors that were multiplied by alpha.
fn finish<T: FullRange>(page: &Page, samples: &mut [T]) {
    let channels = page.channels().count();
    if page.photometric == Photometric::WhiteIsZero {
        samples.iter_mut().step_by(channels).for_each(|v| *v = T::of(T::MAX - (*v).into()));
    }
    if page.extra == Extra::Premultiplied {
        unpremultiply(samples, channels);
    }
}
