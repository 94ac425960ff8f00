//! PSNR (dB) and SSIM on the luma of BT.601, as the super-resolution papers compute them: on Y in 16..=235, not
//! rounded, with a border of as many pixels as the scale left out.

use images::raster::Raster;
use images::units::{Scale, Size};

/// How near an image is to its original.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Quality {
    /// Peak signal-to-noise ratio in dB; infinite for equal images.
    pub psnr: f64,
    /// Structural similarity (Wang et al., IEEE Trans. Image Processing 13(4), 2004), 1 for equal images.
    pub ssim: f64,
}

/// Why two images cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// One is not the upscaled image of the other's low-resolution image.
    #[error("the image is {actual}, but its original is {expected}; crop the original to a multiple of the scale")]
    Size {
        /// The original's size.
        expected: Size,
        /// The image's.
        actual: Size,
    },
    /// Nothing is left inside the border for SSIM's 11 x 11 window.
    #[error("{size} is too small to be compared: {least} pixels a side are needed")]
    TooSmall {
        /// The images' size.
        size: Size,
        /// What a side must have.
        least: u32,
    },
}

/// SSIM's window: 11 samples of a Gaussian with σ = 1.5.
const WINDOW: usize = 11;

/// Luma of an image, row after row.
struct Luma {
    width: usize,
    height: usize,
    samples: Vec<f64>,
}

impl Luma {
    /// Y of everything but `border` pixels on each side.
    fn inside(image: &Raster, border: u32) -> Self {
        let Size { width, height } = image.size();
        let (green, blue) = if image.channels().colors() == 3 { (1, 2) } else { (0, 0) };
        let y = |x, y| {
            let level = |channel| f64::from(image.level(x, y, channel));
            16.0 + (65.481 * level(0) + 128.553 * level(green) + 24.966 * level(blue)) / 255.0
        };
        let samples = (border..height - border).flat_map(|row| (border..width - border).map(move |x| y(x, row)));
        Self {
            width: (width - 2 * border) as usize,
            height: (height - 2 * border) as usize,
            samples: samples.collect(),
        }
    }

    fn product(&self, other: &Self) -> Self {
        let samples = self.samples.iter().zip(&other.samples).map(|(a, b)| a * b).collect();
        Self { samples, ..*self }
    }

    /// Weighted means over the window, where it lies inside.
    fn blurred(&self) -> Vec<f64> {
        let window = gaussian();
        let (width, height) = (self.width + 1 - WINDOW, self.height + 1 - WINDOW);
        let mut out = Vec::with_capacity(width * height);
        let mut sums = vec![0.0; self.width];
        for y in 0..height {
            sums.fill(0.0);
            for (row, weight) in self.samples[y * self.width..].chunks_exact(self.width).zip(window) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
            }
            out.extend(sums.windows(WINDOW).map(|values| values.iter().zip(window).map(|(v, w)| v * w).sum::<f64>()));
        }
        out
    }
}

fn gaussian() -> [f64; WINDOW] {
    let bell: [f64; WINDOW] = std::array::from_fn(|i| (-(i as f64 - 5.0).powi(2) / (2.0 * 1.5 * 1.5)).exp());
    let sum: f64 = bell.iter().sum();
    bell.map(|weight| weight / sum)
}

/// PSNR and SSIM on Y of an upscaled image against its original of the same size; `scale` pixels of border are left
/// out. Alpha is not looked at.
pub fn compare(original: &Raster, image: &Raster, scale: Scale) -> Result<Quality, CompareError> {
    let (size, border) = (original.size(), scale.factor());
    if image.size() != size {
        return Err(CompareError::Size { expected: size, actual: image.size() });
    }
    let least = 2 * border + WINDOW as u32;
    if size.width.min(size.height) < least {
        return Err(CompareError::TooSmall { size, least });
    }
    let (a, b) = (Luma::inside(original, border), Luma::inside(image, border));
    Ok(Quality { psnr: psnr(&a, &b), ssim: ssim(&a, &b) })
}

fn psnr(a: &Luma, b: &Luma) -> f64 {
    let squares: f64 = a.samples.iter().zip(&b.samples).map(|(a, b)| (a - b).powi(2)).sum();
    10.0 * (255.0_f64.powi(2) * a.samples.len() as f64 / squares).log10()
}

fn ssim(a: &Luma, b: &Luma) -> f64 {
    let (c1, c2) = ((0.01 * 255.0_f64).powi(2), (0.03 * 255.0_f64).powi(2));
    let (mean_a, mean_b) = (a.blurred(), b.blurred());
    let (square_a, square_b, cross) = (a.product(a).blurred(), b.product(b).blurred(), a.product(b).blurred());
    let total: f64 = (0..mean_a.len())
        .map(|i| {
            let (ma, mb) = (mean_a[i], mean_b[i]);
            let (va, vb, vab) = (square_a[i] - ma * ma, square_b[i] - mb * mb, cross[i] - ma * mb);
            ((2.0 * ma * mb + c1) * (2.0 * vab + c2)) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
        })
        .sum();
    total / mean_a.len() as f64
}

#[cfg(test)]
mod tests {
    use images::raster::{Channels, Samples};

    use super::*;
    use crate::quality::resize::cropped;
    use crate::quality::testing::{data, open};

    fn scale(factor: u8) -> Scale {
        Scale::new(factor).expect("a scale")
    }

    fn pattern(width: u32, height: u32, sample: impl Fn(u32, u32, u32) -> u32) -> Raster {
        let mut samples = Vec::new();
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            samples.extend((0..3).map(|c| sample(x, y, c) as u8));
        }
        Raster::new(Size::new(width, height), Channels::Rgb, Samples::U8(samples))
    }

    /// Expected values by an independent implementation in Python that reproduces published figures.
    #[test]
    fn the_oracle_agrees_on_a_small_pattern() {
        let plain = |x, y, c| (3 * x * y + 40 * c + x) % 256;
        let (a, b) = (pattern(24, 20, plain), pattern(24, 20, |x, y, c| plain(x, y, c) ^ ((x * 5 + y * 3 + c) % 8)));
        let quality = compare(&a, &b, scale(3)).expect("comparable");
        assert!((quality.psnr - 39.586_382_322_211_41).abs() < 1e-9, "{quality:?}");
        assert!((quality.ssim - 0.998_248_286_088_810_9).abs() < 1e-9, "{quality:?}");
    }

    #[test]
    fn the_published_figures_of_rcan_are_reproduced() {
        let Some(golden) = data("golden/rcan-set5") else { return };
        let Some(set) = data("test/Set5/HR") else { return };
        for (by, psnr, ssim) in [(2, 38.27, 0.9614), (3, 34.74, 0.9299), (4, 32.63, 0.9002)] {
            let (mut mean, mut count) = ((0.0, 0.0), 0.0);
            for name in ["baby", "bird", "butterfly", "head", "woman"] {
                let original = cropped(&open(&set.join(format!("{name}.png"))), scale(by)).expect("big enough");
                let image = open(&golden.join(format!("X{by}/{name}_RCAN_x{by}.png")));
                let quality = compare(&original, &image, scale(by)).expect("comparable");
                mean = (mean.0 + quality.psnr, mean.1 + quality.ssim);
                count += 1.0;
            }
            // As printed in the paper: to the last digit given.
            assert!((mean.0 / count - psnr).abs() <= 0.005, "x{by}: {} is not {psnr}", mean.0 / count);
            assert!((mean.1 / count - ssim).abs() <= 0.000_05, "x{by}: {} is not {ssim}", mean.1 / count);
        }
    }

    #[test]
    fn equal_images_are_perfect_and_gray_counts_as_gray_rgb() {
        let rgb = pattern(20, 20, |x, y, _| x * 7 + y * 5);
        let quality = compare(&rgb, &rgb, scale(2)).expect("comparable");
        assert!(quality.psnr.is_infinite() && quality.psnr > 0.0);
        assert!((quality.ssim - 1.0).abs() < 1e-12);
        let gray = (0..20).flat_map(|y| (0..20).map(move |x| x * 7 + y * 5)).collect();
        let gray = Raster::new(Size::new(20, 20), Channels::Gray, Samples::U8(gray));
        assert!(compare(&rgb, &gray, scale(2)).expect("comparable").psnr.is_infinite());
    }

    #[test]
    fn sizes_must_agree_and_leave_room_for_the_window() {
        let image = |side| pattern(side, side, |x, y, c| x + y + c);
        let differing = compare(&image(20), &image(21), scale(2));
        assert_eq!(differing, Err(CompareError::Size { expected: Size::new(20, 20), actual: Size::new(21, 21) }));
        assert_eq!(
            compare(&image(14), &image(14), scale(2)),
            Err(CompareError::TooSmall { size: Size::new(14, 14), least: 15 })
        );
        assert!(compare(&image(15), &image(15), scale(2)).is_ok());
    }
}
