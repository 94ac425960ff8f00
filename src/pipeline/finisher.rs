//! From blended levels to the samples of the answer: gray, alpha, background, colors, rounding, clamping.

use std::ops::Range;
use std::sync::Arc;

use images::raster::{Channels, Depth, Raster, Samples};
use images::resample::bicubic::Kernel;
use images::units::Size;
use tiling::Band;

use super::alpha::Alpha;
use super::downscaler::Downscaler;
use super::fidelity::{Background, OutputPlan};

/// Makes rows of the answer out of bands.
#[derive(Debug)]
pub(super) struct RowFinisher {
    /// Pixels of a row as it comes.
    width: u32,
    /// Whether the image is gray.
    gray: bool,
    alpha: Alpha,
    output_plan: OutputPlan,
    /// The image, from which alpha and the colors beyond sRGB are upscaled.
    beside: Option<(Arc<Raster>, Kernel)>,
    downscaler: Option<Downscaler>,
}

impl RowFinisher {
    /// For bands of this image, upscaled `times`; rows will be as in `output_plan`, and as large as `downscaler` makes them.
    pub(super) fn new(
        image: Arc<Raster>,
        alpha: Alpha,
        times: u32,
        downscaler: Option<Downscaler>,
        output_plan: OutputPlan,
    ) -> Self {
        let (width, gray) = (image.size().width * times, image.channels().colors() == 1);
        Self { width, gray, alpha, output_plan, beside: Some((image, Kernel::by(times))), downscaler }
    }

    /// For what one network gives to the next: colors alone, `width` of them in a row, in 16 bits.
    pub(super) fn between(channels: Channels, width: u32) -> Self {
        let (gray, output_plan) = (channels == Channels::Gray, OutputPlan::between(channels));
        Self { width, gray, alpha: Alpha::None, output_plan, beside: None, downscaler: None }
    }

    /// The rows that are finished by one band, rounded half up; `None` if it takes more for the next.
    pub(super) fn rows(&mut self, mut band: Band) -> Option<Raster> {
        if self.downscaler.is_some() {
            // What is reduced is the image that the network made, not what it overshot.
            band.planes.iter_mut().for_each(|level| *level = level.clamp(0.0, 255.0));
        }
        let mut alpha = Vec::new();
        if let Some((image, kernel)) = &self.beside {
            self.output_plan.transform.add_out_of_gamut(image, kernel, &mut band);
            if self.alpha == Alpha::Plane {
                alpha = alpha_rows(image, kernel, band.y..band.y + band.rows);
            }
        }
        let Band { mut rows, mut planes, .. } = band;
        if self.gray {
            luma(&mut planes);
        }
        let mut width = self.width;
        if let Some(downscaler) = &mut self.downscaler {
            (planes, alpha) = downscaler.reduce(planes, &alpha)?;
            width = downscaler.width();
            rows = (planes.len() / if self.gray { 1 } else { 3 }) as u32 / width;
        }
        if let Alpha::Uniform(level) = self.alpha {
            alpha = vec![level; width as usize * rows as usize];
        }
        Some(self.rounded(planes, &alpha, Size::new(width, rows)))
    }

    fn rounded(&self, mut planes: Vec<f32>, alpha: &[f32], size: Size) -> Raster {
        let OutputPlan { channels, depth, transform, background, .. } = &self.output_plan;
        if let Some(background) = background {
            lay_over(&mut planes, alpha, *background, channels.colors());
        }
        transform.to_output(&mut planes);
        let samples = match depth {
            Depth::Eight => {
                Samples::U8(interleaved(*channels, &planes, alpha, |level| (level + 0.5).clamp(0.0, 255.0) as u8))
            }
            Depth::Sixteen => Samples::U16(interleaved(*channels, &planes, alpha, |level| {
                (level * 257.0 + 0.5).clamp(0.0, 65_535.0) as u16
            })),
        };
        Raster::new(size, *channels, samples)
    }
}

fn alpha_rows(image: &Raster, kernel: &Kernel, rows: Range<u32>) -> Vec<f32> {
    let size = image.size();
    let (width, channel) = (size.width as usize, image.channels().count() - 1);
    let needed = kernel.depends_on(&rows, size.height);
    let level = |y| (0..size.width).map(move |x| (x, y));
    let plane: Vec<f32> = needed.clone().flat_map(level).map(|(x, y)| image.level(x, y, channel)).collect();
    let mut out = vec![0.0; rows.len() * width * kernel.factor() as usize];
    let row = |y: u32| &plane[(y - needed.start) as usize * width..][..width];
    kernel.upscale(size, row, rows, &mut out);
    out
}

/// Three planes to one of gray. The image went through the network three times over; its three answers are weighted
/// as BT.601 weighs the primaries, so that luma is kept, and by differences, so that equal planes stay exact.
fn luma(planes: &mut Vec<f32>) {
    let plane = planes.len() / 3;
    let (red, rest) = planes.split_at_mut(plane);
    let (green, blue) = rest.split_at(plane);
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        *r = g + 0.299 * (*r - g) + 0.114 * (b - g);
    }
    planes.truncate(plane);
}

/// Lays the image over a background, in sRGB, as browsers lay it over a page. Gray becomes three planes where the
/// result has `colors` of them. What is opaque and what is clear stays exact.
fn lay_over(planes: &mut Vec<f32>, alpha: &[f32], background: Background, colors: usize) {
    let plane = alpha.len();
    while planes.len() < colors * plane {
        planes.extend_from_within(..plane);
    }
    for (plane, under) in planes.chunks_exact_mut(plane).zip(background.0) {
        for (level, alpha) in plane.iter_mut().zip(alpha) {
            let share = (alpha / 255.0).clamp(0.0, 1.0);
            *level = *level * share + f32::from(under) * (1.0 - share);
        }
    }
}

/// Interleaves planes, one of gray or three of color, and alpha where the channels have it.
fn interleaved<T: Copy + Default>(
    channels: Channels,
    planes: &[f32],
    alpha: &[f32],
    sample: impl Fn(f32) -> T,
) -> Vec<T> {
    let plane = planes.len() / channels.colors();
    let mut out = vec![T::default(); plane * channels.count()];
    let (first, rest) = planes.split_at(plane);
    let (green, blue) = rest.split_at(rest.len() / 2);
    let colors = first.iter().zip(green).zip(blue);
    match channels {
        Channels::Gray => out.iter_mut().zip(first).for_each(|(out, &level)| *out = sample(level)),
        Channels::GrayAlpha => {
            for ((out, &level), &alpha) in out.as_chunks_mut::<2>().0.iter_mut().zip(first).zip(alpha) {
                *out = [sample(level), sample(alpha)];
            }
        }
        Channels::Rgb => {
            for (out, ((&r, &g), &b)) in out.as_chunks_mut::<3>().0.iter_mut().zip(colors) {
                *out = [sample(r), sample(g), sample(b)];
            }
        }
        Channels::Rgba => {
            for ((out, ((&r, &g), &b)), &alpha) in out.as_chunks_mut::<4>().0.iter_mut().zip(colors).zip(alpha) {
                *out = [sample(r), sample(g), sample(b), sample(alpha)];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(image: Raster, alpha: Alpha, times: u32, depth: Depth) -> RowFinisher {
        let output_plan = OutputPlan::plain(image.channels(), depth);
        RowFinisher::new(Arc::new(image), alpha, times, None, output_plan)
    }

    fn one(levels: [f32; 3]) -> Band {
        Band { y: 0, rows: 1, planes: levels.to_vec() }
    }

    fn pixel(channels: Channels, levels: [f32; 3], depth: Depth) -> Samples {
        let image = Raster::new(Size::new(1, 1), channels, Samples::U8(vec![0; channels.count()]));
        finish(image, Alpha::None, 1, depth).rows(one(levels)).expect("at once").into_samples()
    }

    #[test]
    fn levels_are_rounded_half_up_and_clamped() {
        assert_eq!(pixel(Channels::Rgb, [-3.0, 0.49, 0.5], Depth::Eight), Samples::U8(vec![0, 0, 1]));
        assert_eq!(pixel(Channels::Rgb, [254.5, 255.4, 900.0], Depth::Eight), Samples::U8(vec![255, 255, 255]));
        assert_eq!(pixel(Channels::Rgb, [-1.0, 1.0, 256.0], Depth::Sixteen), Samples::U16(vec![0, 257, 65_535]));
    }

    #[test]
    fn gray_keeps_luma_and_equal_planes_are_exact() {
        assert_eq!(pixel(Channels::Gray, [80.5, 80.5, 80.5], Depth::Eight), Samples::U8(vec![81]));
        // 0.299 * 100 + 0.587 * 110 + 0.114 * 90 = 104.73
        assert_eq!(pixel(Channels::Gray, [100.0, 110.0, 90.0], Depth::Eight), Samples::U8(vec![105]));
    }

    #[test]
    fn uniform_alpha_stays_to_the_bit() {
        for alpha in [0, 1, 32_768, 65_535_u16] {
            let image = Raster::new(Size::new(1, 1), Channels::GrayAlpha, Samples::U16(vec![5, alpha]));
            let level = image.level(0, 0, 1);
            let rows = finish(image, Alpha::Uniform(level), 1, Depth::Sixteen).rows(one([7.0; 3]));
            assert_eq!(rows.expect("at once").samples(), &Samples::U16(vec![7 * 257, alpha]));
        }
    }

    #[test]
    fn the_alpha_plane_is_upscaled_by_bands_and_its_flat_parts_stay_exact() {
        // Left half clear, right half opaque, 12 x 9.
        let samples = (0..9).flat_map(|_| (0..12).flat_map(|x| [50, 60, 70, if x < 6 { 0 } else { 255 }])).collect();
        let image = Raster::new(Size::new(12, 9), Channels::Rgba, Samples::U8(samples));
        let mut finisher = finish(image, Alpha::Plane, 3, Depth::Eight);
        let mut rows = |y: u32, rows: u32| {
            let band = Band { y, rows, planes: vec![128.0; 3 * 36 * rows as usize] };
            match finisher.rows(band).expect("at once").into_samples() {
                Samples::U8(v) => v,
                Samples::U16(_) => unreachable!("8 bit was asked for"),
            }
        };
        let whole = rows(0, 27);
        let parts = [rows(0, 1), rows(1, 4), rows(5, 15), rows(20, 7)].concat();
        assert!(whole == parts, "bands do not show");
        let alpha: Vec<u8> = whole.iter().skip(3).step_by(4).copied().take(36).collect();
        assert!(alpha[..12].iter().all(|&a| a == 0) && alpha[24..].iter().all(|&a| a == 255));
        assert!(alpha[17] > 0 && alpha[17] < 128 && alpha[18] > 128 && alpha[18] < 255, "{alpha:?}");
    }
}
