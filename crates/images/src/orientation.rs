//! The EXIF orientation (EXIF 2.32, tag 0x0112), applied to pixels once.

use crate::raster::{Raster, Samples};
use crate::units::Size;
use crate::{CodecError, Interrupt};

/// How stored pixels must be turned to be upright; the discriminants are those of EXIF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orientation {
    /// As stored.
    #[default]
    Upright = 1,
    /// Mirror left to right.
    MirrorHorizontal = 2,
    /// Turn by half a turn.
    Rotate180 = 3,
    /// Mirror top to bottom.
    MirrorVertical = 4,
    /// Mirror at the main diagonal.
    Transpose = 5,
    /// Turn clockwise by a quarter.
    Rotate90 = 6,
    /// Mirror at the other diagonal.
    Transverse = 7,
    /// Turn counter-clockwise by a quarter.
    Rotate270 = 8,
}

impl Orientation {
    /// By the number that EXIF and TIFF give it.
    pub fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Upright,
            2 => Self::MirrorHorizontal,
            3 => Self::Rotate180,
            4 => Self::MirrorVertical,
            5 => Self::Transpose,
            6 => Self::Rotate90,
            7 => Self::Transverse,
            8 => Self::Rotate270,
            _ => return None,
        })
    }

    /// Whether width and height change places.
    pub const fn swaps_sides(self) -> bool {
        matches!(self, Self::Transpose | Self::Rotate90 | Self::Transverse | Self::Rotate270)
    }

    /// The size of a stored image once it is upright.
    pub const fn upright(self, stored: Size) -> Size {
        if self.swaps_sides() { Size::new(stored.height, stored.width) } else { stored }
    }

    /// Turns a stored image upright; in place unless the sides change places.
    pub fn apply(self, stored: Raster, interrupt: &Interrupt) -> Result<Raster, CodecError> {
        if self == Self::Upright {
            return Ok(stored);
        }
        let size = stored.size();
        let channels = stored.channels();
        let samples = match (stored.into_samples(), channels.count()) {
            (Samples::U8(v), 1) => Samples::U8(self.turn::<u8, 1>(v, size, interrupt)?),
            (Samples::U8(v), 2) => Samples::U8(self.turn::<u8, 2>(v, size, interrupt)?),
            (Samples::U8(v), 3) => Samples::U8(self.turn::<u8, 3>(v, size, interrupt)?),
            (Samples::U8(v), _) => Samples::U8(self.turn::<u8, 4>(v, size, interrupt)?),
            (Samples::U16(v), 1) => Samples::U16(self.turn::<u16, 1>(v, size, interrupt)?),
            (Samples::U16(v), 2) => Samples::U16(self.turn::<u16, 2>(v, size, interrupt)?),
            (Samples::U16(v), 3) => Samples::U16(self.turn::<u16, 3>(v, size, interrupt)?),
            (Samples::U16(v), _) => Samples::U16(self.turn::<u16, 4>(v, size, interrupt)?),
        };
        Ok(Raster::new(self.upright(size), channels, samples))
    }

    fn turn<T: Copy + Default, const C: usize>(
        self,
        mut samples: Vec<T>,
        size: Size,
        interrupt: &Interrupt,
    ) -> Result<Vec<T>, CodecError> {
        let (pixels, rest) = samples.as_chunks_mut::<C>();
        debug_assert!(rest.is_empty(), "a raster holds whole pixels");
        let width = size.width as usize;
        match self {
            Self::Upright => {}
            Self::MirrorHorizontal => pixels.chunks_exact_mut(width).for_each(<[_]>::reverse),
            Self::Rotate180 => pixels.reverse(),
            Self::MirrorVertical => {
                let height = size.height as usize;
                for y in 0..height / 2 {
                    let (top, bottom) = pixels.split_at_mut((height - 1 - y) * width);
                    top[y * width..][..width].swap_with_slice(&mut bottom[..width]);
                }
            }
            Self::Transpose | Self::Rotate90 | Self::Transverse | Self::Rotate270 => {
                let mut out = vec![T::default(); pixels.len() * C];
                self.transposed(pixels, out.as_chunks_mut::<C>().0, size, interrupt)?;
                return Ok(out);
            }
        }
        Ok(samples)
    }

    /// Writes row after row of the upright image, in blocks of columns, so that the stored rows that a block reads
    /// stay in the cache.
    fn transposed<T: Copy, const C: usize>(
        self,
        stored: &[[T; C]],
        upright: &mut [[T; C]],
        size: Size,
        interrupt: &Interrupt,
    ) -> Result<(), CodecError> {
        const BLOCK: usize = 64;
        let (width, height) = (size.width as usize, size.height as usize);
        let mirror_x = matches!(self, Self::Rotate90 | Self::Transverse);
        let mirror_y = matches!(self, Self::Rotate270 | Self::Transverse);
        for block in (0..height).step_by(BLOCK) {
            interrupt.check()?;
            for (y, row) in upright.chunks_exact_mut(height).enumerate() {
                let column = if mirror_y { width - 1 - y } else { y };
                for (x, pixel) in row.iter_mut().enumerate().skip(block).take(BLOCK) {
                    let line = if mirror_x { height - 1 - x } else { x };
                    *pixel = stored[line * width + column];
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::Channels;

    fn upright(orientation: Orientation, stored: Raster) -> Raster {
        orientation.apply(stored, &Interrupt::default()).expect("not interrupted")
    }

    const ALL: [Orientation; 8] = [
        Orientation::Upright,
        Orientation::MirrorHorizontal,
        Orientation::Rotate180,
        Orientation::MirrorVertical,
        Orientation::Transpose,
        Orientation::Rotate90,
        Orientation::Transverse,
        Orientation::Rotate270,
    ];

    /// Two rows of three pixels; what each orientation makes of them, by the images in the EXIF standard.
    #[test]
    fn three_by_two() {
        let expect: [(u32, &[u8]); 8] = [
            (3, b"abcdef"),
            (3, b"cbafed"),
            (3, b"fedcba"),
            (3, b"defabc"),
            (2, b"adbecf"),
            (2, b"daebfc"),
            (2, b"fcebda"),
            (2, b"cfbead"),
        ];
        for (orientation, (width, letters)) in ALL.into_iter().zip(expect) {
            let stored = Raster::new(Size::new(3, 2), Channels::Gray, Samples::U8(b"abcdef".to_vec()));
            let upright = upright(orientation, stored);
            assert_eq!(upright.size(), Size::new(width, 6 / width), "{orientation:?}");
            assert_eq!(upright.samples(), &Samples::U8(letters.to_vec()), "{orientation:?}");
        }
    }

    #[test]
    fn a_turn_ends_with_its_request() {
        let ended = Interrupt::default();
        ended.set();
        let stored = Raster::new(Size::new(1, 2), Channels::Gray, Samples::U8(vec![1, 2]));
        assert_eq!(Orientation::Rotate90.apply(stored, &ended), Err(CodecError::Interrupted));
    }

    #[test]
    fn pixels_stay_whole_in_every_layout() {
        let size = Size::new(70, 131);
        for channels in [Channels::Gray, Channels::GrayAlpha, Channels::Rgb, Channels::Rgba] {
            let n = size.pixels() as usize * channels.count();
            let samples = Samples::U16((0..n).map(|i| i as u16).collect());
            let stored = Raster::new(size, channels, samples);
            let there = upright(Orientation::Rotate90, stored.clone());
            let first = there.level(0, 0, channels.count() - 1);
            assert!((first - stored.level(0, 130, channels.count() - 1)).abs() < f32::EPSILON);
            assert_eq!(upright(Orientation::Rotate270, there), stored);
            for own_inverse in [1, 2, 3, 4, 6] {
                let orientation = ALL[own_inverse];
                assert_eq!(upright(orientation, upright(orientation, stored.clone())), stored, "{orientation:?}");
            }
        }
    }
}
