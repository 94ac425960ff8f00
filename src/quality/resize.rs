//! MATLAB's `imresize(image, 1/k)`: bicubic, antialiased, to the bit. The literature's low-resolution images are
//! made by it, and figures measured on any others cannot be compared.
//!
//! What must be kept to agree to the bit: the kernel is widened by k, its weights are normalized, borders are
//! mirrored, rows are resized first, and the image between the two passes is rounded to 8 bits.

use images::raster::{Raster, Samples};
use images::resample::bicubic::keys;
use images::resample::mirror;
use images::units::{Scale, Size};

/// The samples that one output sample is the weighted sum of.
struct Taps(Vec<(usize, f64)>);

impl Taps {
    /// For each of the `length / by` samples that a line of `length` shrinks to.
    fn of_line(length: u32, by: Scale) -> Vec<Self> {
        let shrink = 1.0 / f64::from(by.factor());
        let width = 4.0 / shrink;
        let reach = width.ceil() as i64 + 2;
        let taps = |i: u32| {
            // MATLAB counts from one.
            let center = f64::from(i + 1) / shrink + 0.5 * (1.0 - 1.0 / shrink);
            let first = (center - width / 2.0).floor();
            let weighted = (0..reach)
                .map(|tap| (first as i64 + tap, shrink * keys(shrink * (center - first - tap as f64))))
                .filter(|&(_, weight)| weight != 0.0);
            let sum: f64 = weighted.clone().map(|(_, weight)| weight).sum();
            Self(weighted.map(|(at, weight)| (mirror(at - 1, length), weight / sum)).collect())
        };
        (0..length.div_ceil(by.factor())).map(taps).collect()
    }
}

fn rounded(level: f64) -> u8 {
    (level + 0.5).floor().clamp(0.0, 255.0) as u8
}

/// The image at one `by`-th of its size (rounded up), as MATLAB makes it. `None` for 16-bit images, which the
/// literature does not have.
pub fn shrink(image: &Raster, by: Scale) -> Option<Raster> {
    let Samples::U8(samples) = image.samples() else { return None };
    let Size { width, height } = image.size();
    let step = image.channels().count();
    let line = width as usize * step;

    let mut sums = vec![0.0; line];
    let mut between = Vec::new();
    for taps in Taps::of_line(height, by) {
        sums.fill(0.0);
        for (y, weight) in taps.0 {
            for (sum, &sample) in sums.iter_mut().zip(&samples[y * line..][..line]) {
                *sum += weight * f64::from(sample);
            }
        }
        between.extend(sums.iter().map(|&sum| rounded(sum)));
    }

    let columns = Taps::of_line(width, by);
    let mut out = Vec::with_capacity(between.len().div_ceil(by.factor() as usize));
    for row in between.chunks_exact(line) {
        for taps in &columns {
            for channel in 0..step {
                let sum: f64 = taps.0.iter().map(|&(x, weight)| weight * f64::from(row[x * step + channel])).sum();
                out.push(rounded(sum));
            }
        }
    }
    let size = Size::new(width.div_ceil(by.factor()), height.div_ceil(by.factor()));
    Some(Raster::new(size, image.channels(), Samples::U8(out)))
}

/// The image without what is left over at the bottom and the right when it is shrunk by `by`, as papers crop HR
/// images. `None` if nothing would be left.
pub fn cropped(image: &Raster, by: Scale) -> Option<Raster> {
    let Size { width, height } = image.size();
    let size = Size::new(width / by.factor() * by.factor(), height / by.factor() * by.factor());
    if size.pixels() == 0 {
        return None;
    }
    let step = image.channels().count();
    let (line, kept) = (width as usize * step, size.width as usize * step);
    let samples = match image.samples() {
        Samples::U8(v) => Samples::U8(crop(v, line, kept, size.height)),
        Samples::U16(v) => Samples::U16(crop(v, line, kept, size.height)),
    };
    Some(Raster::new(size, image.channels(), samples))
}

fn crop<T: Copy>(samples: &[T], line: usize, kept: usize, rows: u32) -> Vec<T> {
    samples.chunks_exact(line).take(rows as usize).flat_map(|row| &row[..kept]).copied().collect()
}

#[cfg(test)]
mod tests {
    use images::raster::Channels;
    use images::resample::reduce::{Line, Reducer};

    use super::*;
    use crate::quality::testing::{data, open};

    fn scale(factor: u8) -> Scale {
        Scale::new(factor).expect("a scale")
    }

    /// An image whose sample at x, y is (37x + 91y + xy) mod 256.
    fn pattern(width: u32, height: u32) -> Raster {
        let samples = (0..height).flat_map(|y| (0..width).map(move |x| ((37 * x + 91 * y + x * y) % 256) as u8));
        Raster::new(Size::new(width, height), Channels::Gray, Samples::U8(samples.collect()))
    }

    /// Expected values by `imresize` of an independent implementation in Python that was checked against MATLAB's files.
    #[test]
    fn the_oracle_agrees_on_a_small_pattern() {
        let shrunk = |by| match shrink(&pattern(12, 12), scale(by)).expect("8 bit").samples() {
            Samples::U8(v) => v.clone(),
            Samples::U16(_) => unreachable!("8 bit in, 8 bit out"),
        };
        assert_eq!(shrunk(2), ORACLE_X2);
        assert_eq!(shrunk(3), ORACLE_X3);
        assert_eq!(shrunk(4), ORACLE_X4);
    }

    #[test]
    fn the_published_low_resolution_files_are_met_to_the_bit() {
        for set in ["Set5", "Set14"] {
            let Some(dir) = data(&format!("test/{set}")) else { return };
            for by in 2..=4 {
                let mut compared = 0;
                for file in std::fs::read_dir(dir.join("HR")).expect("HR is there") {
                    let path = file.expect("a file").path();
                    let stem = path.file_stem().and_then(|s| s.to_str()).expect("a name");
                    let expected = open(&dir.join(format!("LR_bicubic/X{by}/{stem}x{by}.png")));
                    let cropped = cropped(&open(&path), scale(by)).expect("big enough");
                    assert!(shrink(&cropped, scale(by)).expect("8 bit") == expected, "{set} {stem} x{by}");
                    compared += 1;
                }
                assert!(compared >= 5, "{set} has its images");
            }
        }
    }

    #[test]
    fn flat_stays_flat_at_every_size() {
        for (width, height) in [(1, 1), (2, 7), (5, 3)] {
            let flat =
                Raster::new(Size::new(width, height), Channels::Gray, Samples::U8(vec![93; (width * height) as usize]));
            let shrunk = shrink(&flat, scale(4)).expect("8 bit");
            assert_eq!(shrunk.size(), Size::new(width.div_ceil(4), height.div_ceil(4)));
            assert!((0..shrunk.size().width).all(|x| (shrunk.level(x, 0, 0) - 93.0).abs() < 0.5));
        }
    }

    /// Ours that reduces by any step does not round between its two passes: one level of difference at most.
    #[test]
    fn the_reduction_of_answers_agrees_at_whole_steps() {
        let (width, height) = (61, 47);
        let samples: Vec<u8> = (0..width * height)
            .map(|i| (120.0 + 60.0 * (f64::from(i % width) / 5.0).sin() + f64::from(i / width)) as u8)
            .collect();
        let plane: Vec<f32> = samples.iter().map(|&sample| f32::from(sample)).collect();
        let image = Raster::new(Size::new(width, height), Channels::Gray, Samples::U8(samples));
        for by in 2..=5 {
            let shrunk = shrink(&image, scale(by)).expect("8 bit");
            let line = |length, output| Line::new(length, output, f64::from(by), 0.0);
            let mut reducer = Reducer::new(1, line(width, shrunk.size().width), line(height, shrunk.size().height));
            let ours = reducer.reduce(&plane);
            let Samples::U8(expected) = shrunk.samples() else { unreachable!("8 bit in, 8 bit out") };
            assert_eq!(ours.len(), expected.len());
            for (ours, &theirs) in ours.iter().zip(expected) {
                assert!((ours.clamp(0.0, 255.0) - f32::from(theirs)).abs() <= 1.01, "x{by}: {ours} and {theirs}");
            }
        }
    }

    #[test]
    fn cropping_keeps_the_top_left_multiple() {
        let cropped = |width, height| cropped(&pattern(width, height), scale(3));
        assert_eq!(cropped(7, 6).map(|r| r.size()), Some(Size::new(6, 6)));
        assert_eq!(cropped(7, 6).map(|r| r.level(5, 5, 0)), Some(pattern(7, 6).level(5, 5, 0)));
        assert_eq!(cropped(2, 9), None);
    }

    #[test]
    fn sixteen_bit_is_declined() {
        assert_eq!(shrink(&Raster::new(Size::new(1, 1), Channels::Gray, Samples::U16(vec![9])), scale(2)), None);
    }

    const ORACLE_X2: [u8; 36] = [
        68, 127, 154, 106, 96, 168, 114, 105, 126, 108, 132, 128, 140, 134, 116, 136, 122, 111, 119, 107, 140, 132,
        112, 154, 110, 120, 131, 121, 126, 139, 147, 115, 138, 99, 104, 181,
    ];
    const ORACLE_X3: [u8; 16] = [91, 139, 107, 143, 127, 121, 125, 119, 116, 126, 128, 135, 130, 129, 104, 153];
    const ORACLE_X4: [u8; 9] = [107, 123, 130, 123, 128, 127, 126, 118, 139];
}
