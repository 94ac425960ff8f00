//! Frames of an animation drawn one over the other, as a viewer shows them.

use crate::formats::frames::{Area, Blend, Disposal, Drawn};
use crate::raster::Channels;
use crate::units::Size;

/// A level of 8 or 16 bits.
pub trait Level: Copy + Default + Into<u64> + TryFrom<u64> {
    const MAX: u64;
}

impl Level for u8 {
    const MAX: u64 = 255;
}

impl Level for u16 {
    const MAX: u64 = 65_535;
}

/// What has been drawn; at first nothing. `C` samples a pixel, the last of which is alpha.
pub struct Canvas<T, const C: usize> {
    size: Size,
    pixels: Vec<[T; C]>,
    /// What was in the area of the latest frame, to come back to once that was shown.
    below: Option<Vec<[T; C]>>,
}

impl<T: Level, const C: usize> Canvas<T, C> {
    pub fn new(size: Size) -> Self {
        Self { size, pixels: vec![[T::default(); C]; size.pixels() as usize], below: None }
    }

    /// Draws the pixels of a frame, all of its area; what sticks out of the canvas is cut off.
    pub fn draw(&mut self, frame: &Drawn, pixels: &[[T; C]]) {
        if frame.disposal == Disposal::Restore {
            // Its area alone: a frame of one pixel would cost a whole canvas.
            let mut below = Vec::new();
            self.rows(frame.area).for_each(|line| below.extend_from_slice(&self.pixels[line]));
            self.below = Some(below);
        }
        for (line, source) in self.rows(frame.area).zip(pixels.chunks_exact(frame.area.size.width.max(1) as usize)) {
            let row = &mut self.pixels[line];
            for (pixel, drawn) in row.iter_mut().zip(source) {
                *pixel = if frame.blend == Blend::Replace { *drawn } else { over(*drawn, *pixel) };
            }
        }
    }

    /// Does what a frame asked for, before the next one is drawn.
    pub fn dispose(&mut self, frame: &Drawn) {
        match frame.disposal {
            Disposal::Keep => {}
            Disposal::Clear => {
                for line in self.rows(frame.area) {
                    self.pixels[line].fill([T::default(); C]);
                }
            }
            Disposal::Restore => {
                if let Some(below) = self.below.take() {
                    let mut below = &below[..];
                    for line in self.rows(frame.area) {
                        let (row, rest) = below.split_at(line.len());
                        self.pixels[line].copy_from_slice(row);
                        below = rest;
                    }
                }
            }
        }
    }

    /// The places in `pixels` of each row of an area, within the canvas.
    fn rows(&self, area: Area) -> impl Iterator<Item = std::ops::Range<usize>> + use<T, C> {
        let (width, height) = (self.size.width, self.size.height);
        let x = area.x.min(width)..area.x.saturating_add(area.size.width).min(width);
        let y = area.y.min(height)..area.y.saturating_add(area.size.height).min(height);
        y.map(move |y| {
            let row = y as usize * width as usize;
            row + x.start as usize..row + x.end as usize
        })
    }

    /// The image in these channels; alpha is left out where they have none.
    pub fn into_samples(self, channels: Channels) -> Vec<T> {
        if channels.has_alpha() {
            self.pixels.into_flattened()
        } else {
            self.pixels.iter().flat_map(|pixel| &pixel[..C - 1]).copied().collect()
        }
    }
}

/// Pixels with alpha as their last sample, opaque where the frame has none.
pub fn with_alpha<T: Level, const C: usize>(samples: &[T], has_alpha: bool) -> Vec<[T; C]> {
    if has_alpha {
        return samples.as_chunks::<C>().0.to_vec();
    }
    let opaque = T::try_from(T::MAX).unwrap_or_default();
    let pixel = |colors: &[T]| std::array::from_fn(|i| colors.get(i).copied().unwrap_or(opaque));
    samples.chunks_exact(C - 1).map(pixel).collect()
}

/// One pixel over another, neither premultiplied (PNG third edition, 13.16), rounded.
fn over<T: Level, const C: usize>(drawn: [T; C], below: [T; C]) -> [T; C] {
    let alpha = drawn[C - 1].into();
    let beneath = below[C - 1].into();
    if alpha == T::MAX || beneath == 0 {
        return drawn;
    }
    if alpha == 0 {
        return below;
    }
    // In units of MAX².
    let (own, others) = (alpha * T::MAX, (T::MAX - alpha) * beneath);
    let total = own + others;
    let mut mixed = drawn;
    for (out, (drawn, below)) in mixed.iter_mut().zip(drawn.iter().zip(&below)) {
        let level = ((*drawn).into() * own + (*below).into() * others + total / 2) / total;
        *out = T::try_from(level).unwrap_or_default();
    }
    mixed[C - 1] = T::try_from((total + T::MAX / 2) / T::MAX).unwrap_or_default();
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(x: u32, y: u32, size: (u32, u32), blend: Blend, disposal: Disposal) -> Drawn {
        let area = Area { x, y, size: Size::new(size.0, size.1) };
        Drawn { area, transparent: false, blend, disposal }
    }

    fn kept(x: u32, y: u32, size: (u32, u32)) -> Drawn {
        drawn(x, y, size, Blend::Replace, Disposal::Keep)
    }

    fn letters(canvas: Canvas<u8, 2>) -> String {
        let samples = canvas.into_samples(Channels::GrayAlpha);
        samples.as_chunks::<2>().0.iter().map(|[v, a]| if *a == 0 { '.' } else { *v as char }).collect()
    }

    #[test]
    fn frames_are_kept_cleared_or_taken_back() {
        for (disposal, expected) in [(Disposal::Keep, "abbc"), (Disposal::Clear, "a..c"), (Disposal::Restore, "aaac")] {
            let mut canvas = Canvas::new(Size::new(4, 1));
            let first = kept(0, 0, (4, 1));
            canvas.draw(&first, &[[b'a', 255]; 4]);
            canvas.dispose(&first);
            let second = drawn(1, 0, (2, 1), Blend::Over, disposal);
            canvas.draw(&second, &[[b'b', 255]; 2]);
            canvas.dispose(&second);
            canvas.draw(&kept(3, 0, (1, 1)), &[[b'c', 255]]);
            assert_eq!(letters(canvas), expected, "{disposal:?}");
        }
    }

    /// Of a canvas of 16 megapixels it was all of it, for a frame of one pixel.
    #[test]
    fn only_the_area_of_a_frame_is_kept_to_come_back_to() {
        let mut canvas = Canvas::<u8, 2>::new(Size::new(4, 4));
        canvas.draw(&drawn(1, 3, (2, 2), Blend::Over, Disposal::Restore), &[[b'b', 255]; 4]);
        assert_eq!(canvas.below.map(|below| below.len()), Some(2), "what sticks out is not there");
    }

    #[test]
    fn what_sticks_out_is_cut_off() {
        let mut canvas = Canvas::new(Size::new(3, 2));
        let pixels: Vec<[u8; 2]> = b"abcdef".iter().map(|v| [*v, 255]).collect();
        canvas.draw(&kept(2, 1, (3, 2)), &pixels);
        canvas.draw(&kept(9, 9, (3, 2)), &pixels);
        canvas.draw(&kept(0, 0, (0, 5)), &[]);
        assert_eq!(letters(canvas), ".....a");
    }

    #[test]
    fn transparency_shows_through_unless_it_replaces() {
        for (blend, expected) in [(Blend::Over, "ab"), (Blend::Replace, ".b")] {
            let mut canvas = Canvas::new(Size::new(2, 1));
            canvas.draw(&kept(0, 0, (2, 1)), &[[b'a', 255]; 2]);
            canvas.draw(&drawn(0, 0, (2, 1), blend, Disposal::Keep), &[[b'x', 0], [b'b', 255]]);
            assert_eq!(letters(canvas), expected);
        }
    }

    #[test]
    fn half_transparent_pixels_mix_as_light_does() {
        assert_eq!(over([200_u8, 0, 100, 128], [0, 100, 100, 255]), [100, 50, 100, 255]);
        assert_eq!(over([200_u8, 128], [0, 128]), [134, 192], "alpha of both");
        assert_eq!(over([65_535_u16, 32_768], [0, 65_535]), [32_768, 65_535]);
        assert_eq!(over([9_u8, 77], [200, 0]), [9, 77], "over nothing");
    }
}
