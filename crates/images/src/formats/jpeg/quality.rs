//! The quality that a JPEG was saved with, estimated from its luma quantization table.
//!
//! libjpeg, and nearly every encoder after it, scales the table of T.81 Annex K by a quality from 1 to 100. The estimate
//! is the quality whose table is nearest: exact for those encoders, and for a table of another kind (cameras, Photoshop)
//! the quality that is as coarse. Steps are compared by their ratio, so that the low frequencies, which show most,
//! count as much as the high ones, whose steps are several times larger.

use super::{SOS, Segments, is_frame};

const DQT: u8 = 0xdb;

/// Table K.1 of T.81, row by row.
const LUMA: [u16; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
];

/// Where the coefficients of the zigzag order are in a block (T.81, figure A.6).
const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

type Table = [u16; 64];

/// The quality, 1 to 100. The file may be in parts: a TIFF keeps its tables apart from its pixels. `None` where no
/// luma table comes before the first scan.
pub fn estimate<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Option<u8> {
    let mut tables: [Option<Table>; 4] = [None; 4];
    // Luma is the first component; without a frame header its table is the first by convention.
    let mut luma = 0;
    for part in parts {
        for segment in Segments::new(part).take_while(|segment| segment.marker != SOS) {
            match (segment.marker, segment.data) {
                (DQT, data) => read_tables(data, &mut tables),
                (marker, [_, _, _, _, _, _, _, _, table, ..]) if is_frame(marker) => luma = usize::from(*table),
                _ => {}
            }
        }
    }
    tables.get(luma)?.as_ref().map(nearest)
}

/// The tables of one segment, each in zigzag order, in 8 or 16 bits; a later one of the same number replaces it.
fn read_tables(mut data: &[u8], tables: &mut [Option<Table>; 4]) {
    while let Some((&head, rest)) = data.split_first() {
        let bytes = if head >> 4 == 0 { 1 } else { 2 };
        let (Some(steps), Some(slot)) = (rest.get(..64 * bytes), tables.get_mut(usize::from(head & 15))) else {
            return;
        };
        let mut table = [0; 64];
        for (step, at) in steps.chunks_exact(bytes).zip(ZIGZAG) {
            table[at] = step.iter().fold(0, |step, byte| step << 8 | u16::from(*byte));
        }
        *slot = Some(table);
        data = &rest[64 * bytes..];
    }
}

fn nearest(table: &Table) -> u8 {
    let distance = |quality: u8| {
        let ratio = |(&step, of): (&u16, u16)| {
            let (step, of) = (f64::from(step.max(1)), f64::from(of));
            (step / of).max(of / step)
        };
        table.iter().zip(scaled(quality)).map(ratio).sum::<f64>()
    };
    (1..=100).min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap_or(100)
}

/// The luma table that libjpeg makes for a quality (`jpeg_quality_scaling`, `jpeg_add_quant_table`).
fn scaled(quality: u8) -> Table {
    let quality = u32::from(quality.clamp(1, 100));
    let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    LUMA.map(|step| ((u32::from(step) * percent + 50) / 100).clamp(1, 255) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment of one table.
    fn segment(number: u8, table: &Table, wide: bool) -> Vec<u8> {
        let steps = ZIGZAG.iter().flat_map(|&at| {
            let bytes = table[at].to_be_bytes();
            if wide { bytes.to_vec() } else { vec![bytes[1]] }
        });
        let data: Vec<u8> = std::iter::once(u8::from(wide) << 4 | number).chain(steps).collect();
        [&[0xff, DQT][..], &(data.len() as u16 + 2).to_be_bytes(), &data].concat()
    }

    fn file(segments: &[Vec<u8>]) -> Vec<u8> {
        [&[0xff, 0xd8][..], &segments.concat(), &[0xff, SOS, 0, 2]].concat()
    }

    fn of(segments: &[Vec<u8>]) -> Option<u8> {
        estimate([&file(segments)[..]])
    }

    #[test]
    fn every_quality_is_met_in_8_and_16_bits() {
        for quality in 1..=100 {
            for wide in [false, true] {
                assert_eq!(of(&[segment(0, &scaled(quality), wide)]), Some(quality), "16 bits: {wide}");
            }
        }
    }

    /// The encoders here are none of this file.
    #[test]
    fn the_tables_of_two_encoders_are_met() {
        let image = [90; 3 * 16 * 16];
        for quality in 1..=100 {
            let mut ours = Vec::new();
            let encoder = jpeg_encoder::Encoder::new(&mut ours, quality);
            encoder.encode(&image, 16, 16, jpeg_encoder::ColorType::Rgb).expect("memory");
            let mut others = Vec::new();
            let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut others, quality);
            encoder.encode(&image, 16, 16, image::ExtendedColorType::Rgb8).expect("memory");
            assert_eq!((estimate([&ours[..]]), estimate([&others[..]])), (Some(quality), Some(quality)));
        }
    }

    #[test]
    fn tables_of_another_kind_are_as_coarse_as_their_estimate() {
        assert_eq!(of(&[segment(0, &[1; 64], false)]), Some(100));
        assert_eq!(of(&[segment(0, &[0; 64], false)]), Some(100), "a step of zero is none");
        // 12-bit encoders scale past 255.
        let coarse = LUMA.map(|step| step * 50);
        assert_eq!(of(&[segment(0, &coarse, true)]), Some(1));
        // Flatter than Annex K, as cameras have it, and mostly of twos.
        let flat = of(&[segment(0, &[2; 64], false)]).expect("a table");
        assert!((96..100).contains(&flat), "{flat}");
        let flat = of(&[segment(0, &[16; 64], false)]).expect("a table");
        assert!((70..90).contains(&flat), "{flat}");
    }

    #[test]
    fn the_table_is_that_of_the_first_component_as_last_defined_before_the_scan() {
        let frame = vec![0xff, 0xc0, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 2];
        let (luma, chroma) = (segment(2, &scaled(80), false), segment(0, &scaled(30), false));
        assert_eq!(of(&[chroma.clone(), luma.clone(), frame.clone()]), Some(80));
        assert_eq!(of(&[luma.clone(), segment(2, &scaled(61), true), frame.clone()]), Some(61));
        assert_eq!(of(&[chroma, frame]), None, "it names a table that is not there");
        let after = [file(&[]), luma].concat();
        assert_eq!(estimate([&after[..]]), None, "what comes after the scan's header is not looked at");
    }

    #[test]
    fn what_is_broken_or_absent_is_no_quality() {
        assert_eq!(of(&[]), None);
        let whole = segment(0, &scaled(75), false);
        for length in 0..whole.len() {
            let cut = [&[0xff, 0xd8][..], &whole[..length]].concat();
            assert_eq!(estimate([&cut[..]]), None, "{length}");
        }
        assert_eq!(of(&[segment(9, &scaled(75), false)]), None, "there are four tables");
    }

    #[test]
    fn tables_may_come_in_a_part_of_their_own() {
        let tables = [&[0xff, 0xd8][..], &segment(0, &scaled(55), false), &[0xff, 0xd9]].concat();
        assert_eq!(estimate([&tables[..], &file(&[])]), Some(55));
        assert_eq!(estimate([&tables[..], &file(&[segment(0, &scaled(20), false)])]), Some(20), "the latest counts");
    }
}
