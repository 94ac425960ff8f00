//! What is done to a low-resolution image before it is upscaled, so that a figure shows what a model makes of soft,
//! noisy and compressed files: blur, then noise, then JPEG, as a camera would.
//!
//! JPEGs are made by `jpeg-encoder`, whose quantization tables are libjpeg's at the same quality (the tests of
//! `images::formats::jpeg::quality` hold it to that), as is the averaging of chroma. It rounds its cosine transform
//! otherwise: PSNR-Y through the service differs by at most 0.03 dB from that of files saved by Pillow (Set5 at x4,
//! bicubic and san-light, qualities 95, 75 and 30).

use std::f64::consts::TAU;
use std::fmt;

use clap::ValueEnum;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use images::raster::{Raster, Samples};
use images::resample::mirror;
use images::units::Size;

/// How often chroma is sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Chroma {
    /// Once for four pixels, as most files have it.
    #[default]
    #[value(name = "420")]
    Quarter,
    /// For every pixel.
    #[value(name = "444")]
    Full,
}

/// Flags that degrade the low-resolution images.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Degradation of the low-resolution images, in this order")]
pub struct Degradation {
    /// Gaussian blur of this standard deviation in their pixels
    #[arg(long, value_name = "SIGMA", value_parser = strength, conflicts_with = "compare")]
    pub blur: Option<f64>,
    /// Gaussian noise of this standard deviation in levels of 255, the same for the same image in every run
    #[arg(long, value_name = "LEVELS", value_parser = strength, conflicts_with = "compare")]
    pub noise: Option<f64>,
    /// Saved as a JPEG of this quality, 1 to 100
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u8).range(1..=100), conflicts_with = "compare")]
    pub jpeg: Option<u8>,
    /// Chroma subsampling of the JPEG, 4:2:0 or 4:4:4
    #[arg(long, value_enum, default_value_t, requires = "jpeg")]
    pub chroma: Chroma,
}

/// Above 0 and at most 100: of noise that is more than half the range, of blur wider than any test image's detail.
fn strength(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && *number <= 100.0);
    number.ok_or_else(|| "a number above 0 and at most 100 is needed".into())
}

impl fmt::Display for Degradation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chroma = match self.chroma {
            Chroma::Quarter => "4:2:0",
            Chroma::Full => "4:4:4",
        };
        let done = [
            self.blur.map(|sigma| format!("blur {sigma}")),
            self.noise.map(|levels| format!("noise {levels}")),
            self.jpeg.map(|quality| format!("JPEG quality {quality} {chroma}")),
        ];
        f.write_str(&done.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

impl Degradation {
    /// Whether anything is done.
    pub fn is_some(&self) -> bool {
        self.blur.is_some() || self.noise.is_some() || self.jpeg.is_some()
    }

    /// Blur and noise, of an 8-bit image; `seed` distinguishes images.
    pub(super) fn soften(&self, image: Raster, seed: u64) -> Raster {
        if self.blur.is_none() && self.noise.is_none() {
            return image;
        }
        let (size, channels) = (image.size(), image.channels());
        let Samples::U8(samples) = image.into_samples() else { unreachable!("test images have 8 bits") };
        let mut levels: Vec<f64> = samples.into_iter().map(f64::from).collect();
        if let Some(sigma) = self.blur {
            levels = blurred(&levels, size, channels.count(), sigma);
        }
        if let Some(deviation) = self.noise {
            let mut normal = Normal(seed);
            for level in &mut levels {
                *level += deviation * normal.draw();
            }
        }
        let samples = levels.into_iter().map(|level| (level + 0.5).clamp(0.0, 255.0) as u8).collect();
        Raster::new(size, channels, Samples::U8(samples))
    }

    /// The file, if JPEG is asked for.
    pub(super) fn file(&self, image: &Raster) -> Result<Option<Vec<u8>>, String> {
        let (Some(quality), Samples::U8(samples)) = (self.jpeg, image.samples()) else { return Ok(None) };
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, quality);
        encoder.set_sampling_factor(match self.chroma {
            Chroma::Quarter => SamplingFactor::R_4_2_0,
            Chroma::Full => SamplingFactor::R_4_4_4,
        });
        let side =
            |side: u32| u16::try_from(side).map_err(|_| format!("a JPEG has at most {} pixels a side", u16::MAX));
        let (width, height) = (side(image.size().width)?, side(image.size().height)?);
        encoder.encode(samples, width, height, ColorType::Rgb).map_err(|error| error.to_string())?;
        Ok(Some(file))
    }
}

/// Rows, then columns, mirrored at the border.
fn blurred(levels: &[f64], size: Size, channels: usize, sigma: f64) -> Vec<f64> {
    // Beyond four deviations a weight is below a tenth of a level.
    let reach = (4.0 * sigma).ceil() as i64;
    let weights: Vec<f64> = (-reach..=reach).map(|at| (-0.5 * (at as f64 / sigma).powi(2)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let (width, height) = (size.width as usize, size.height as usize);
    let pass = |levels: &[f64], place: &dyn Fn(usize, usize, i64) -> usize| {
        let mut out = Vec::with_capacity(levels.len());
        for y in 0..height {
            for x in 0..width {
                for channel in 0..channels {
                    let taps = (-reach..=reach).zip(&weights);
                    out.push(taps.map(|(tap, w)| w * levels[place(x, y, tap) * channels + channel]).sum::<f64>() / sum);
                }
            }
        }
        out
    };
    let rows = pass(levels, &|x, y, tap| y * width + mirror(x as i64 + tap, size.width));
    pass(&rows, &|x, y, tap| mirror(y as i64 + tap, size.height) * width + x)
}

/// Normal numbers by Box and Muller of `SplitMix64`, written out because figures must be repeatable: generators of
/// libraries change with their versions.
struct Normal(u64);

impl Normal {
    /// Uniform within 0, exclusive, and 1.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ mixed >> 31) >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    fn draw(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (TAU * self.uniform()).cos()
    }
}

#[cfg(test)]
mod tests {
    use images::raster::Channels;
    use images::{InputLimits, Interrupt, Loss, open};

    use super::*;

    fn flat(level: u8) -> Raster {
        let size = Size::new(60, 50);
        Raster::new(size, Channels::Rgb, Samples::U8(vec![level; 3 * size.pixels() as usize]))
    }

    fn samples(image: &Raster) -> Vec<f64> {
        match image.samples() {
            Samples::U8(samples) => samples.iter().map(|&sample| f64::from(sample)).collect(),
            Samples::U16(_) => unreachable!("8 bit in, 8 bit out"),
        }
    }

    #[test]
    fn nothing_asked_for_is_nothing_done() {
        let (none, image) = (Degradation::default(), flat(7));
        assert!(!none.is_some() && none.to_string().is_empty());
        assert!(none.soften(image.clone(), 1) == image);
        assert_eq!(none.file(&image), Ok(None));
    }

    #[test]
    fn what_is_done_is_named() {
        let all = Degradation { blur: Some(0.8), noise: Some(4.0), jpeg: Some(75), chroma: Chroma::Quarter };
        assert_eq!(all.to_string(), "blur 0.8, noise 4, JPEG quality 75 4:2:0");
        let full = Degradation { jpeg: Some(5), chroma: Chroma::Full, ..Degradation::default() };
        assert_eq!(full.to_string(), "JPEG quality 5 4:4:4");
    }

    #[test]
    fn noise_is_as_strong_as_asked_for_and_comes_again() {
        let noise =
            |levels, seed| Degradation { noise: Some(levels), ..Degradation::default() }.soften(flat(128), seed);
        assert!(noise(4.0, 1) == noise(4.0, 1));
        assert!(noise(4.0, 1) != noise(4.0, 2), "each image has its own");
        for levels in [2.0, 8.0] {
            let errors: Vec<f64> = samples(&noise(levels, 3)).iter().map(|sample| sample - 128.0).collect();
            let mean = errors.iter().sum::<f64>() / errors.len() as f64;
            let deviation = (errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64).sqrt();
            assert!(mean.abs() < 0.05 * levels && (deviation / levels - 1.0).abs() < 0.05, "{mean}, {deviation}");
        }
    }

    #[test]
    fn blur_spreads_a_point_by_its_deviation_and_keeps_its_sum() {
        let size = Size::new(41, 41);
        let mut levels = vec![0.0; 41 * 41];
        levels[20 * 41 + 20] = 1000.0;
        let out = blurred(&levels, size, 1, 1.5);
        let sum: f64 = out.iter().sum();
        let variance: f64 = out.iter().enumerate().map(|(at, level)| level * ((at % 41) as f64 - 20.0).powi(2)).sum();
        assert!((sum - 1000.0).abs() < 1e-6, "{sum}");
        assert!((variance / sum - 2.25).abs() < 0.01, "{}", variance / sum);
        let blur = Degradation { blur: Some(3.0), ..Degradation::default() };
        assert!(blur.soften(flat(93), 0) == flat(93), "flat stays flat, up to the border");
    }

    #[test]
    fn the_file_is_a_jpeg_of_the_quality_asked_for() {
        for (quality, chroma) in [(1, Chroma::Quarter), (75, Chroma::Quarter), (75, Chroma::Full), (100, Chroma::Full)]
        {
            let jpeg = Degradation { jpeg: Some(quality), chroma, ..Degradation::default() };
            let file = jpeg.file(&flat(50)).expect("it fits").expect("it is asked for");
            let limits = InputLimits { input_pixels: 1 << 20, output_pixels: 1 << 20 };
            let opened = open(file.clone().into(), &limits, None, &Interrupt::default()).expect("a JPEG");
            assert_eq!(opened.probe.loss, Loss::Jpeg { quality: Some(quality) });
            let frame = file.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("a frame header");
            let expected = if chroma == Chroma::Full { 0x11 } else { 0x22 };
            assert_eq!(file[frame + 11], expected, "sampling factors of luma");
        }
    }

    #[test]
    fn strengths_have_two_sides() {
        for good in ["0.1", "100"] {
            assert!(strength(good).is_ok(), "{good}");
        }
        for bad in ["0", "-1", "100.1", "nan", "inf", ""] {
            assert!(strength(bad).is_err(), "{bad}");
        }
    }
}
