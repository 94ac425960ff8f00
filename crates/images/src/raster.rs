//! The pixel type that moves between codec and tiling: rows of interleaved samples, 8 or 16 bit, 1 to 4 channels.
//!
//! A whole decoded image is one [`Raster`], and so is a band of output rows on its way to the encoder.

use crate::units::Size;

/// What the samples of one pixel mean, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channels {
    /// Luminance.
    Gray,
    /// Luminance, alpha (not premultiplied).
    GrayAlpha,
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue, alpha (not premultiplied).
    Rgba,
}

impl Channels {
    /// Samples per pixel, alpha included.
    pub const fn count(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::GrayAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }

    /// Samples per pixel without alpha: 1 or 3.
    pub const fn colors(self) -> usize {
        match self {
            Self::Gray | Self::GrayAlpha => 1,
            Self::Rgb | Self::Rgba => 3,
        }
    }

    /// Whether the last sample of a pixel is alpha.
    pub const fn has_alpha(self) -> bool {
        matches!(self, Self::GrayAlpha | Self::Rgba)
    }
}

/// Interleaved samples, row after row without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Samples {
    /// 0..=255.
    U8(Vec<u8>),
    /// 0..=65535, native byte order.
    U16(Vec<u16>),
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::U16(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Bits per sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Depth {
    /// 8 bits, 0..=255.
    Eight,
    /// 16 bits, 0..=65535.
    Sixteen,
}

impl Depth {
    /// Bytes per sample.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Eight => 1,
            Self::Sixteen => 2,
        }
    }
}

/// An image, or a band of its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raster {
    size: Size,
    channels: Channels,
    samples: Samples,
}

impl Raster {
    /// # Panics
    /// If the number of samples is not width × height × channels: a codec that miscounts must not go on.
    pub fn new(size: Size, channels: Channels, samples: Samples) -> Self {
        assert_eq!(
            samples.len() as u64,
            size.pixels() * channels.count() as u64,
            "a raster of {size} with {channels:?} needs exactly its samples"
        );
        Self { size, channels, samples }
    }

    /// Width and height.
    pub const fn size(&self) -> Size {
        self.size
    }

    /// The part of `size` whose first column is `x` and first row `y`.
    ///
    /// # Panics
    /// If it is not inside.
    #[must_use]
    pub fn cut(self, x: u32, y: u32, size: Size) -> Self {
        if size == self.size {
            return self;
        }
        let step = self.channels.count();
        let (line, from, kept) = (self.size.width as usize * step, x as usize * step, size.width as usize * step);
        let samples = match &self.samples {
            Samples::U8(v) => Samples::U8(cut(v, line, y as usize, size.height as usize, from, kept)),
            Samples::U16(v) => Samples::U16(cut(v, line, y as usize, size.height as usize, from, kept)),
        };
        Self::new(size, self.channels, samples)
    }

    /// What the samples mean.
    pub const fn channels(&self) -> Channels {
        self.channels
    }

    /// The samples themselves.
    pub const fn samples(&self) -> &Samples {
        &self.samples
    }

    /// The samples, taken out.
    pub fn into_samples(self) -> Samples {
        self.samples
    }

    /// Bits per sample.
    pub const fn depth(&self) -> Depth {
        match self.samples {
            Samples::U8(_) => Depth::Eight,
            Samples::U16(_) => Depth::Sixteen,
        }
    }

    /// Memory that the samples take.
    pub fn bytes(&self) -> u64 {
        self.samples.len() as u64 * self.depth().bytes() as u64
    }

    /// One sample in 8-bit levels, 0.0..=255.0, whatever the depth (a 16-bit sample is divided by 257).
    ///
    /// # Panics
    /// Outside the image.
    #[inline]
    pub fn level(&self, x: u32, y: u32, channel: usize) -> f32 {
        let at = (y as usize * self.size.width as usize + x as usize) * self.channels.count() + channel;
        match &self.samples {
            Samples::U8(v) => f32::from(v[at]),
            Samples::U16(v) => f32::from(v[at]) / 257.0,
        }
    }
}

fn cut<T: Copy>(samples: &[T], line: usize, first: usize, rows: usize, from: usize, kept: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(rows * kept);
    for row in samples.chunks_exact(line).skip(first).take(rows) {
        out.extend_from_slice(&row[from..from + kept]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_in_8_bits_whatever_the_depth() {
        let eight = Raster::new(Size::new(1, 2), Channels::GrayAlpha, Samples::U8(vec![0, 1, 128, 255]));
        let sixteen = Raster::new(Size::new(1, 2), Channels::GrayAlpha, Samples::U16(vec![0, 257, 32896, 65535]));
        for (y, channel, level) in [(0, 0, 0.0), (0, 1, 1.0), (1, 0, 128.0), (1, 1, 255.0_f32)] {
            assert!((eight.level(0, y, channel) - level).abs() < 1e-6);
            assert!((sixteen.level(0, y, channel) - level).abs() < 1e-4);
        }
        assert_eq!((eight.bytes(), sixteen.bytes()), (4, 8));
    }

    #[test]
    #[should_panic(expected = "needs exactly its samples")]
    fn a_miscount_does_not_go_on() {
        Raster::new(Size::new(2, 2), Channels::Rgb, Samples::U8(vec![0; 11]));
    }

    #[test]
    fn a_cut_is_the_part_that_was_named() {
        let whole = || Raster::new(Size::new(4, 3), Channels::GrayAlpha, Samples::U8((0..24).collect()));
        let part = whole().cut(1, 1, Size::new(2, 2));
        assert_eq!(part.samples(), &Samples::U8(vec![10, 11, 12, 13, 18, 19, 20, 21]));
        assert_eq!(whole().cut(0, 0, Size::new(4, 3)), whole());
    }

    #[test]
    #[should_panic(expected = "needs exactly its samples")]
    fn a_cut_beyond_the_border_does_not_go_on() {
        let _ = Raster::new(Size::new(4, 3), Channels::Gray, Samples::U8(vec![0; 12])).cut(0, 2, Size::new(4, 2));
    }
}
