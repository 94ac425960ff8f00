//! An image as it is made up, and as others than our codec read it and resize it.

use std::io::{Cursor, Write};
use std::process::{Command, Stdio};

use image::DynamicImage;
use tiff::decoder::DecodingResult;

/// An image as it is made up: levels of 0 to 255 of each channel, alpha the last.
#[derive(Clone, Debug)]
pub struct Sample {
    pub width: u32,
    pub height: u32,
    pub channels: usize,
    pub levels: Vec<f64>,
}

impl Sample {
    /// An answer, as another than our codec reads it.
    pub fn read(file: &[u8], format: &str) -> (Self, u8) {
        if format != "tiff" {
            return Self::decoded(&image::load_from_memory(file).expect("an image"));
        }
        let mut decoder = tiff::decoder::Decoder::new(Cursor::new(file)).expect("a TIFF");
        let (width, height) = decoder.dimensions().expect("its size");
        let (levels, bits): (Vec<f64>, u8) = match decoder.read_image().expect("its samples") {
            DecodingResult::U8(v) => (v.into_iter().map(f64::from).collect(), 8),
            DecodingResult::U16(v) => (v.into_iter().map(|level| f64::from(level) / 257.0).collect(), 16),
            _ => panic!("neither 8 nor 16 bits"),
        };
        (Self { width, height, channels: levels.len() / (width * height) as usize, levels }, bits)
    }

    /// From samples of 8 or 16 bits.
    pub fn decoded(image: &DynamicImage) -> (Self, u8) {
        let (width, height, color) = (image.width(), image.height(), image.color());
        let bits = (color.bits_per_pixel() / u16::from(color.channel_count())) as u8;
        let levels = match image {
            DynamicImage::ImageLuma8(v) => v.iter().map(|level| f64::from(*level)).collect(),
            DynamicImage::ImageLumaA8(v) => v.iter().map(|level| f64::from(*level)).collect(),
            DynamicImage::ImageRgb8(v) => v.iter().map(|level| f64::from(*level)).collect(),
            DynamicImage::ImageRgba8(v) => v.iter().map(|level| f64::from(*level)).collect(),
            DynamicImage::ImageLuma16(v) => v.iter().map(|level| f64::from(*level) / 257.0).collect(),
            DynamicImage::ImageLumaA16(v) => v.iter().map(|level| f64::from(*level) / 257.0).collect(),
            DynamicImage::ImageRgb16(v) => v.iter().map(|level| f64::from(*level) / 257.0).collect(),
            DynamicImage::ImageRgba16(v) => v.iter().map(|level| f64::from(*level) / 257.0).collect(),
            other => panic!("an answer in {:?}", other.color()),
        };
        (Self { width, height, channels: usize::from(color.channel_count()), levels }, bits)
    }

    pub fn at(&self, x: u32, y: u32, channel: usize) -> f64 {
        self.levels[(y * self.width + x) as usize * self.channels + channel]
    }

    /// Upright, from how it is stored (EXIF 2.32, tag 0x0112).
    pub fn turned(&self, orientation: u8) -> Self {
        let (w, h) = (self.width, self.height);
        let (width, height) = if orientation >= 5 { (h, w) } else { (w, h) };
        let from = |x: u32, y: u32| match orientation {
            2 => (w - 1 - x, y),
            3 => (w - 1 - x, h - 1 - y),
            4 => (x, h - 1 - y),
            5 => (y, x),
            6 => (y, h - 1 - x),
            7 => (w - 1 - y, h - 1 - x),
            8 => (w - 1 - y, x),
            _ => (x, y),
        };
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| from(x, y)));
        let levels = pixels.flat_map(|(x, y)| (0..self.channels).map(move |c| self.at(x, y, c))).collect();
        Self { width, height, channels: self.channels, levels }
    }

    /// Catmull and Rom's cubic over the part that is shown, as wide as a step where that is more than a pixel.
    pub fn resized(&self, (width, height): (u32, u32), [left, top, across, down]: [f64; 4]) -> Self {
        let cubic = |x: f64| match x.abs() {
            x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            x if x < 2.0 => ((2.5 - 0.5 * x) * x - 4.0) * x + 2.0,
            _ => 0.0,
        };
        let taps = |i: u32, from: f64, shown: f64, count: u32, side: u32| -> Vec<(u32, f64)> {
            let step = shown / f64::from(count);
            let (center, wide) = (from + (f64::from(i) + 0.5) * step - 0.5, step.max(1.0));
            let folded = |at: i64| {
                let at = at.rem_euclid(2 * i64::from(side));
                at.min(2 * i64::from(side) - 1 - at) as u32
            };
            let all = (center - 2.0 * wide).floor() as i64..=(center + 2.0 * wide).ceil() as i64;
            let taps: Vec<_> = all.map(|at| (folded(at), cubic((at as f64 - center) / wide))).collect();
            let sum: f64 = taps.iter().map(|tap| tap.1).sum();
            taps.into_iter().map(|(at, weight)| (at, weight / sum)).collect()
        };
        let columns: Vec<_> = (0..width).map(|x| taps(x, left, across, width, self.width)).collect();
        let (count, line) = (self.channels, width as usize * self.channels);
        let mut between = Vec::with_capacity(self.height as usize * line);
        for y in 0..self.height {
            for column in &columns {
                between.extend((0..count).map(|c| column.iter().map(|(x, w)| w * self.at(*x, y, c)).sum::<f64>()));
            }
        }
        let mut levels = Vec::with_capacity(height as usize * line);
        for y in 0..height {
            let rows = taps(y, top, down, height, self.height);
            levels.extend(
                (0..line).map(|at| rows.iter().map(|(y, w)| w * between[*y as usize * line + at]).sum::<f64>()),
            );
        }
        Self { width, height, channels: count, levels }
    }

    /// Colors times their alpha, as they are seen; or taken out of it again.
    pub fn weighted(mut self, weight: impl Fn(f64, f64) -> f64) -> Self {
        let count = self.channels;
        for pixel in self.levels.chunks_exact_mut(count).filter(|_| count.is_multiple_of(2)) {
            let alpha = pixel[count - 1] / 255.0;
            pixel[..count - 1].iter_mut().for_each(|level| *level = weight(*level, alpha));
        }
        self
    }

    /// In these channels, over this color if its alpha goes.
    pub fn laid_out(&self, channels: usize, background: [u8; 3]) -> Self {
        let (alpha, kept) = (self.channels.is_multiple_of(2), channels.is_multiple_of(2));
        let colors = channels - usize::from(kept);
        let mut levels = Vec::new();
        for pixel in self.levels.chunks_exact(self.channels) {
            let share = if alpha && !kept { (pixel[self.channels - 1] / 255.0).clamp(0.0, 1.0) } else { 1.0 };
            let under = |c: usize| f64::from(background[c]) * (1.0 - share);
            let own = |c: usize| if self.channels < 3 { pixel[0] } else { pixel[c] };
            levels.extend((0..colors).map(|c| own(c) * share + under(c)));
            levels.extend(kept.then(|| pixel[self.channels - 1]));
        }
        Self { channels, levels, ..*self }
    }

    /// The largest and the mean difference.
    pub fn away(&self, other: &Self) -> (f64, f64) {
        let differences = self.levels.iter().zip(&other.levels).map(|(a, b)| (a - b.clamp(0.0, 255.0)).abs());
        let (most, sum) = differences.fold((0.0, 0.0), |(most, sum): (f64, f64), d| (most.max(d), sum + d));
        (most, sum / self.levels.len() as f64)
    }
}

/// What `convert` reads; `None` where it is not installed or does not know the format.
pub fn by_imagemagick(file: &[u8], channels: usize, bits: u8) -> Option<Vec<f64>> {
    let layout = ["gray", "graya", "rgb", "rgba"][channels - 1];
    let command = ["-", "-depth", &bits.to_string(), "-endian", "MSB", &format!("{layout}:-")].map(str::to_owned);
    let mut child = Command::new("convert")
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let (mut input, sent) = (child.stdin.take()?, file.to_vec());
    let writer = std::thread::spawn(move || input.write_all(&sent));
    let output = child.wait_with_output().ok()?;
    writer.join().ok()?.ok()?;
    let wide = |pair: &[u8]| f64::from(u16::from_be_bytes([pair[0], pair[1]])) / 257.0;
    let levels = if bits == 16 {
        output.stdout.chunks_exact(2).map(wide).collect()
    } else {
        output.stdout.iter().map(|level| f64::from(*level)).collect()
    };
    output.status.success().then_some(levels)
}

/// Pixels per inch across, by the container's own field or, in a WebP, by Exif; `None` if nothing has it.
pub fn density(file: &[u8], format: &str) -> Option<f64> {
    match format {
        "png" => {
            let dims = png::Decoder::new(Cursor::new(file)).read_info().expect("a PNG").info().pixel_dims?;
            Some(f64::from(dims.xppu) * 0.0254)
        }
        // Unit and number after SOI, APP0, length, `JFIF\0` and version.
        "jpeg" => (file[13] == 1).then(|| f64::from(u16::from_be_bytes([file[14], file[15]]))),
        _ => {
            let exif = exif::Reader::new().read_from_container(&mut Cursor::new(file)).ok()?;
            let field = |tag| exif.get_field(tag, exif::In::PRIMARY);
            match (field(exif::Tag::ResolutionUnit)?.value.get_uint(0), &field(exif::Tag::XResolution)?.value) {
                (Some(2), exif::Value::Rational(ratio)) => Some(ratio[0].to_f64()),
                _ => None,
            }
        }
    }
}
