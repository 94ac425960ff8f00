//! Files of an image: a TIFF by hand, the others by encoders that have nothing to do with our decoders.

use std::borrow::Cow;
use std::io::Cursor;

use image::{ExtendedColorType, ImageFormat};

use super::sample::Sample;

/// Places of the colors of a palette.
const COLORS: u32 = 256;

/// What kind of file, and how it is laid out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Container {
    /// `key`: a color that no pixel has represents what is clear.
    Png {
        sixteen: bool,
        key: bool,
    },
    /// A PNG of a list of colors; `alpha`: each with its own.
    Palette {
        alpha: bool,
    },
    Jpeg {
        orientation: u8,
    },
    WebP,
    Bmp,
    Gif,
    /// `big`: high bytes first.
    Tiff {
        sixteen: bool,
        big: bool,
        orientation: u8,
    },
}

impl Container {
    /// How the image is stored, as Exif and TIFF count it.
    pub const fn orientation(self) -> u8 {
        match self {
            Self::Jpeg { orientation } | Self::Tiff { orientation, .. } => orientation,
            _ => 1,
        }
    }

    pub const fn is_deep(self) -> bool {
        matches!(self, Self::Png { sixteen: true, .. } | Self::Tiff { sixteen: true, .. })
    }

    /// Whether it can store how large it is on paper, as it is made here.
    pub const fn has_density(self) -> bool {
        matches!(self, Self::Png { .. } | Self::Palette { .. } | Self::Tiff { .. })
    }

    /// The channels that it has of so many.
    pub const fn channels(self, wanted: usize) -> usize {
        match self {
            Self::Png { key: false, .. } | Self::Tiff { .. } => wanted,
            // With the alpha that the key makes.
            Self::Png { .. } if wanted < 3 => 2,
            Self::Png { .. } | Self::Palette { alpha: true } => 4,
            Self::Jpeg { .. } if wanted < 3 => 1,
            // WebP has no gray.
            Self::WebP if wanted == 4 => 4,
            _ => 3,
        }
    }
}

/// One of a palette: smooth, so that a smooth image of them is smooth.
fn color(index: u8) -> [u8; 4] {
    [index, 255 - index, 60 + index / 2, 120 + index / 2]
}

impl Sample {
    /// The colors for which the first channel is.
    pub fn of_palette(&self, channels: usize) -> Self {
        let colors = self.levels.iter().step_by(self.channels).map(|level| color(level.round() as u8));
        let levels = colors.flat_map(|color| color.into_iter().take(channels).map(f64::from)).collect();
        Self { channels, levels, ..*self }
    }

    fn eight(&self) -> Vec<u8> {
        self.levels.iter().map(|level| level.round() as u8).collect()
    }

    /// Samples of 16 bits, high bytes first or last.
    fn sixteen(&self, big: bool) -> Vec<u8> {
        let samples = self.levels.iter().map(|level| (level * 257.0).round() as u16);
        samples.flat_map(|sample| if big { sample.to_be_bytes() } else { sample.to_le_bytes() }).collect()
    }

    /// As a file, of so many pixels an inch and with a profile where it can hold one.
    pub fn file(&self, container: Container, dots: Option<u32>, profile: Option<&[u8]>) -> Vec<u8> {
        let (width, height) = (self.width, self.height);
        match container {
            Container::Png { .. } | Container::Palette { .. } => self.png(container, dots, profile),
            Container::Tiff { sixteen, big, orientation } => self.tiff(sixteen, big, orientation, dots),
            Container::Gif => {
                let palette: Vec<u8> = (0..COLORS).flat_map(|i| color(i as u8).into_iter().take(3)).collect();
                let buffer = self.levels.iter().step_by(self.channels).map(|level| *level as u8).collect();
                let (width, height) = (width as u16, height as u16);
                let frame = gif::Frame { width, height, buffer: Cow::Owned(buffer), ..gif::Frame::default() };
                let mut file = Vec::new();
                let mut encoder = gif::Encoder::new(&mut file, width, height, &palette).expect("memory");
                encoder.write_frame(&frame).expect("memory");
                drop(encoder);
                file
            }
            Container::Jpeg { .. } | Container::WebP | Container::Bmp => {
                let color =
                    [ExtendedColorType::L8, ExtendedColorType::La8, ExtendedColorType::Rgb8, ExtendedColorType::Rgba8];
                let format = match container {
                    Container::Jpeg { .. } => ImageFormat::Jpeg,
                    Container::WebP => ImageFormat::WebP,
                    _ => ImageFormat::Bmp,
                };
                let (color, mut out) = (color[self.channels - 1], Cursor::new(Vec::new()));
                image::write_buffer_with_format(&mut out, &self.eight(), width, height, color, format).expect("memory");
                let file = out.into_inner();
                match container {
                    Container::Jpeg { orientation } => [&file[..2], &exif(orientation), &file[2..]].concat(),
                    _ => file,
                }
            }
        }
    }

    fn png(&self, container: Container, dots: Option<u32>, profile: Option<&[u8]>) -> Vec<u8> {
        let mut info = png::Info::with_size(self.width, self.height);
        info.bit_depth = if container.is_deep() { png::BitDepth::Sixteen } else { png::BitDepth::Eight };
        info.icc_profile = profile.map(Cow::Borrowed);
        info.pixel_dims = dots.map(|dots| {
            let meter = (f64::from(dots) / 0.0254).round() as u32;
            png::PixelDimensions { xppu: meter, yppu: meter, unit: png::Unit::Meter }
        });
        let all = if container.is_deep() { self.sixteen(true) } else { self.eight() };
        let pixel = all.len() / (self.width * self.height) as usize;
        // Of every pixel so many bytes.
        let first = |count| all.chunks_exact(pixel).flat_map(|pixel| &pixel[..count]).copied().collect::<Vec<_>>();
        let colors = if self.channels < 3 { 1 } else { 3 };
        let samples = match container {
            Container::Palette { alpha } => {
                info.color_type = png::ColorType::Indexed;
                let colors = || (0..COLORS).map(|i| color(i as u8));
                info.palette = Some(colors().flat_map(|[r, g, b, _]| [r, g, b]).collect());
                info.trns = alpha.then(|| colors().map(|[.., a]| a).collect());
                first(1)
            }
            Container::Png { key: true, .. } => {
                info.color_type = if colors == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb };
                // Black, which no wave reaches.
                info.trns = Some(vec![0; 2 * colors].into());
                first(pixel / self.channels * colors)
            }
            _ => {
                info.color_type = match self.channels {
                    1 => png::ColorType::Grayscale,
                    2 => png::ColorType::GrayscaleAlpha,
                    3 => png::ColorType::Rgb,
                    _ => png::ColorType::Rgba,
                };
                all
            }
        };
        let mut file = Vec::new();
        let mut writer = png::Encoder::with_info(&mut file, info).and_then(png::Encoder::write_header).expect("memory");
        writer.write_image_data(&samples).expect("as many samples as pixels");
        writer.finish().expect("memory");
        file
    }

    /// Strips of seven rows, and the directory after them (TIFF 6.0).
    fn tiff(&self, sixteen: bool, big: bool, orientation: u8, dots: Option<u32>) -> Vec<u8> {
        const ROWS: u32 = 7;
        let number = |value: u32, bytes: usize| {
            if big { value.to_be_bytes()[4 - bytes..].to_vec() } else { value.to_le_bytes()[..bytes].to_vec() }
        };
        let samples = if sixteen { self.sixteen(big) } else { self.eight() };
        let row = samples.len() as u32 / self.height;
        let strips = self.height.div_ceil(ROWS);
        let lengths = (0..strips).map(|i| row * ROWS.min(self.height - ROWS * i));
        let (channels, gray, alpha) = (self.channels, self.channels < 3, self.channels.is_multiple_of(2));
        let (short, long, ratio) = (3, 4, 5);
        let mut entries: Vec<(u32, u32, Vec<u32>)> = vec![
            (256, long, vec![self.width]),
            (257, long, vec![self.height]),
            (258, short, vec![if sixteen { 16 } else { 8 }; channels]),
            (259, short, vec![1]),
            (262, short, vec![if gray { 1 } else { 2 }]),
            (273, long, (0..strips).map(|i| 8 + i * ROWS * row).collect()),
            (274, short, vec![orientation.into()]),
            (277, short, vec![channels as u32]),
            (278, long, vec![ROWS]),
            (279, long, lengths.collect()),
        ];
        if let Some(dots) = dots {
            entries.extend([(282, ratio, vec![dots, 1]), (283, ratio, vec![dots, 1]), (296, short, vec![2])]);
        }
        // Alpha that the colors were not multiplied by.
        entries.extend(alpha.then(|| (338, short, vec![2])));
        let mut file = [if big { b"MM".to_vec() } else { b"II".to_vec() }, number(42, 2), vec![0; 4], samples].concat();
        let mut directory = number(entries.len() as u32, 2);
        for (tag, kind, values) in entries {
            let count = if kind == ratio { values.len() / 2 } else { values.len() };
            let mut value: Vec<u8> =
                values.iter().flat_map(|v| number(*v, if kind == short { 2 } else { 4 })).collect();
            if value.len() > 4 {
                let at = number(file.len() as u32, 4);
                file.extend(value);
                value = at;
            }
            value.resize(4, 0);
            directory.extend([number(tag, 2), number(kind, 2), number(count as u32, 4), value].concat());
        }
        let at = number(file.len() as u32, 4);
        file[4..8].copy_from_slice(&at);
        [file, directory, vec![0; 4]].concat()
    }
}

/// An APP1 segment that holds nothing but an orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let entry = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0];
    let tiff = [&b"MM\0*\0\0\0\x08\0\x01"[..], &entry, &[0; 4]].concat();
    [&[0xff, 0xe1, 0, (tiff.len() + 8) as u8], &b"Exif\0\0"[..], &tiff].concat()
}
