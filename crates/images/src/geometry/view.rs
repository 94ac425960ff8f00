//! What the answer shows of the upload, and how large: exact, read from the header.

use std::fmt;
use std::ops::Range;

use super::{Fit, Resize};
use crate::resample::reduce::Line;
use crate::units::{Scale, Size};

/// Pixels of the upload that are kept on each side of what a cut shows, so that networks see beyond it.
const CONTEXT: u32 = 16;

/// One side: `whole` pixels are what the upload's side becomes, and `first..first + output` of them are the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    source: u32,
    whole: u32,
    first: u32,
    output: u32,
}

/// The answer in terms of the upload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    across: Axis,
    down: Axis,
    growth: (f64, f64),
}

/// The part of an upload that is worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub x: u32,
    /// First row.
    pub y: u32,
    /// Its size.
    pub size: Size,
}

/// A size that cannot be asked for of this image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{parameter} {asked} is more than {} times the image's {side} pixels; ask for at most {most}", Scale::MAX)]
pub struct GeometryError {
    /// `width` or `height`.
    pub parameter: Side,
    /// What was asked for.
    pub asked: u32,
    /// The upload's.
    pub side: u32,
    /// What is available.
    pub most: u32,
}

/// One of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Across.
    Width,
    /// Down.
    Height,
}

impl Side {
    /// As the parameter is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Width => "width",
            Self::Height => "height",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `side · to / from`, rounded half up, at least 1.
fn in_proportion(side: u32, to: u32, from: u32) -> u32 {
    let (side, to, from) = (u128::from(side), u128::from(to), u128::from(from));
    u32::try_from((2 * side * to + from) / (2 * from)).unwrap_or(u32::MAX).max(1)
}

impl Resize {
    /// The answer for an upload of this size, upright.
    pub fn view(self, source: Size) -> Result<View, GeometryError> {
        let Size { width, height } = source;
        let times = |to: u32, from: u32| f64::from(to) / f64::from(from);
        // Whole size, and how many times larger things are: one number, before the other side is rounded.
        let by_width = |to| {
            within(Side::Width, to, width).map(|to| (Size::new(to, in_proportion(height, to, width)), times(to, width)))
        };
        let by_height = |to| {
            within(Side::Height, to, height)
                .map(|to| (Size::new(in_proportion(width, to, height), to), times(to, height)))
        };
        let even = |(whole, times): (Size, f64)| (whole, whole, (times, times));
        let (whole, output, growth) = match self {
            Self::By(factor) => even((Size::new(factor.of(width), factor.of(height)), factor.number())),
            Self::To { width: Some(w), height: Some(h), fit } => {
                // Whether the width needs the larger magnification of the two.
                let wide = u64::from(w) * u64::from(height) >= u64::from(h) * u64::from(width);
                match fit {
                    Fit::Fill => {
                        let whole = Size::new(within(Side::Width, w, width)?, within(Side::Height, h, height)?);
                        (whole, whole, (times(w, width), times(h, height)))
                    }
                    Fit::Cover => {
                        let (whole, times) = if wide { by_width(w)? } else { by_height(h)? };
                        (whole, Size::new(w, h), (times, times))
                    }
                    Fit::Inside => even(if wide { by_height(h)? } else { by_width(w)? }),
                }
            }
            Self::To { width: Some(w), .. } => even(by_width(w)?),
            Self::To { height: Some(h), .. } => even(by_height(h)?),
            Self::To { .. } => even((source, 1.0)),
        };
        let across = Axis::new(width, whole.width, output.width);
        let down = Axis::new(height, whole.height, output.height);
        Ok(View { across, down, growth })
    }
}

/// Refuses what is more than eight times a side. The other side follows it, so that it is within as well.
fn within(parameter: Side, asked: u32, side: u32) -> Result<u32, GeometryError> {
    let most = side.saturating_mul(u32::from(Scale::MAX));
    if asked <= most { Ok(asked) } else { Err(GeometryError { parameter, asked, side, most }) }
}

impl Axis {
    fn new(source: u32, whole: u32, output: u32) -> Self {
        Self { source, whole, first: (whole - output) / 2, output }
    }

    /// The pixels of the upload that the answer depends on, with some around them.
    fn window(self) -> Range<u32> {
        if self.output == self.whole {
            return 0..self.source;
        }
        let step = f64::from(self.source) / f64::from(self.whole);
        // A kernel that reduces reaches two of its steps.
        let margin = CONTEXT.saturating_add((2.0 * step).ceil() as u32);
        let from = (f64::from(self.first) * step).floor() as u32;
        let to = (f64::from(self.first + self.output) * step).ceil() as u32;
        from.saturating_sub(margin)..to.saturating_add(margin).min(self.source)
    }

    fn line(self, times: u32) -> Line {
        let window = self.window();
        let step = (f64::from(self.source) * f64::from(times)) / f64::from(self.whole);
        let shift = f64::from(self.first) * step - f64::from(window.start) * f64::from(times);
        Line::new((window.end - window.start) * times, self.output, step, shift)
    }
}

impl View {
    /// Size of the answer.
    pub const fn output(&self) -> Size {
        Size::new(self.across.output, self.down.output)
    }

    /// How many times larger things are in the answer, across and down: the same number unless a shape was asked for.
    pub const fn growth(&self) -> (f64, f64) {
        self.growth
    }

    /// The least whole number of times that the upload must be upscaled for the answer to be made from it.
    pub fn times(&self) -> u32 {
        let times = |axis: Axis| axis.whole.div_ceil(axis.source);
        times(self.across).max(times(self.down))
    }

    /// What is worked on; the whole upload unless the answer is cut.
    pub fn window(&self) -> Window {
        let (across, down) = (self.across.window(), self.down.window());
        let size = Size::new(across.end - across.start, down.end - down.start);
        Window { x: across.start, y: down.start, size }
    }

    /// From the window upscaled `times` to the answer, across and down; `None` where they are the same. At least
    /// [`View::times`].
    pub fn reduction(&self, times: u32) -> Option<(Line, Line)> {
        let lines = (self.across.line(times), self.down.line(times));
        (!lines.0.is_identity() || !lines.1.is_identity()).then_some(lines)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn to(width: Option<u32>, height: Option<u32>, fit: Fit) -> Resize {
        Resize::To { width, height, fit }
    }

    fn output(resize: Resize, width: u32, height: u32) -> (u32, u32) {
        let size = resize.view(Size::new(width, height)).expect("in reach").output();
        (size.width, size.height)
    }

    #[test]
    fn one_side_keeps_the_shape_and_is_rounded_once() {
        assert_eq!(output(to(Some(301), None, Fit::Inside), 100, 33), (301, 99));
        assert_eq!(output(to(None, Some(99), Fit::Inside), 100, 33), (300, 99));
        assert_eq!(output(to(None, Some(100), Fit::Inside), 333, 100), (333, 100));
        // 15 · 33 / 10 = 49.5
        assert_eq!(output(to(Some(33), None, Fit::Inside), 10, 15), (33, 50));
        assert_eq!(output(to(Some(10), None, Fit::Inside), 1000, 3), (10, 1), "no side vanishes");
    }

    #[test]
    fn a_box_is_held_covered_or_filled() {
        for (fit, wide, tall) in [
            (Fit::Inside, (500, 250), (250, 500)),
            (Fit::Cover, (500, 500), (500, 500)),
            (Fit::Fill, (500, 500), (500, 500)),
        ] {
            assert_eq!(output(to(Some(500), Some(500), fit), 200, 100), wide, "{fit}");
            assert_eq!(output(to(Some(500), Some(500), fit), 100, 200), tall, "{fit}");
        }
    }

    #[test]
    fn a_cover_is_cut_in_the_middle() {
        // 200 x 100 covers 300 x 300 at three times: 600 x 300, of which 150..450 are kept, which is 50..150 of 200.
        let view = to(Some(300), Some(300), Fit::Cover).view(Size::new(200, 100)).expect("in reach");
        assert_eq!((view.across.first, view.down.first, view.times()), (150, 0, 3));
        let window = view.window();
        assert_eq!((window.x, window.y, window.size), (50 - 17, 0, Size::new(100 + 2 * 17, 100)));
        let (across, down) = view.reduction(3).expect("cut");
        assert_eq!(across, Line::new(3 * 134, 300, 1.0, 51.0));
        assert!(down.is_identity());
    }

    #[test]
    fn things_grow_by_one_number_unless_a_shape_was_asked_for() {
        let growth = |resize: Resize| resize.view(Size::new(200, 33)).expect("in reach").growth();
        let factor = |text: &str| Resize::By(text.parse().expect("a factor"));
        // 33 become 50, 17 and 66, which is not quite as many times.
        assert_eq!(growth(factor("1.5")), (1.5, 1.5));
        assert_eq!(growth(to(Some(100), None, Fit::Inside)), (0.5, 0.5));
        assert_eq!(growth(to(None, Some(66), Fit::Inside)), (2.0, 2.0));
        assert_eq!(growth(to(Some(300), Some(200), Fit::Inside)), (1.5, 1.5));
        assert_eq!(growth(to(Some(300), Some(66), Fit::Cover)), (2.0, 2.0));
        assert_eq!(growth(to(Some(300), Some(66), Fit::Fill)), (1.5, 2.0));
        assert_eq!(growth(to(None, None, Fit::Inside)), (1.0, 1.0));
    }

    #[test]
    fn eight_times_is_the_most_of_each_side() {
        let far = |resize: Resize| resize.view(Size::new(100, 50)).map(|view| view.times());
        assert_eq!(far(to(Some(800), None, Fit::Inside)), Ok(8));
        let error = far(to(Some(801), None, Fit::Inside)).expect_err("too far");
        assert_eq!(error.to_string(), "width 801 is more than 8 times the image's 100 pixels; ask for at most 800");
        assert_eq!(far(to(Some(100), Some(401), Fit::Fill)).map_err(|error| error.parameter), Err(Side::Height));
        assert_eq!(far(to(Some(800), Some(10_000), Fit::Inside)), Ok(8), "only what it becomes counts");
        assert_eq!(
            far(to(Some(1), Some(401), Fit::Cover)).map_err(|error| error.asked),
            Err(401),
            "what was asked for"
        );
        assert!(far(to(Some(u32::MAX), None, Fit::Inside)).is_err());
    }

    #[test]
    fn what_a_network_gives_is_not_touched_where_it_is_the_answer() {
        let size = Size::new(333, 77);
        for times in 1..=8 {
            let scale = Scale::new(times).expect("a scale");
            let view = Resize::By(scale.into()).view(size).expect("in reach");
            assert_eq!((view.times(), view.reduction(times.into())), (u32::from(times), None));
            assert_eq!(view.window(), Window { x: 0, y: 0, size });
            if times > 1 {
                assert!(view.reduction(2 * u32::from(times)).is_some());
            }
        }
    }

    fn resizes() -> impl Strategy<Value = Resize> {
        let side = || prop::option::of(1u32..2000);
        let fit = prop::sample::select(vec![Fit::Inside, Fit::Cover, Fit::Fill]);
        prop_oneof![
            (10u32..=80).prop_map(|tenths| {
                Resize::By(format!("{}.{}", tenths / 10, tenths % 10).parse().expect("a factor"))
            }),
            (side(), side(), fit).prop_map(|(width, height, fit)| Resize::To { width, height, fit }),
        ]
    }

    proptest! {
        #[test]
        fn a_frame_is_what_was_asked_for_and_in_reach(resize in resizes(), width in 1u32..400, height in 1u32..400) {
            let source = Size::new(width, height);
            let Ok(view) = resize.view(source) else { return Ok(()) };
            let Size { width: w, height: h } = view.output();
            prop_assert!(w >= 1 && h >= 1 && (1..=8).contains(&view.times()));
            match resize {
                Resize::By(factor) => prop_assert_eq!((w, h), (factor.of(width), factor.of(height))),
                Resize::To { width: Some(x), height: Some(y), fit: Fit::Inside } => {
                    prop_assert!(w <= x && h <= y && (w == x || h == y));
                }
                Resize::To { width: x, height: y, .. } => {
                    prop_assert!(x.is_none_or(|x| x == w) && y.is_none_or(|y| y == h));
                }
            }
            // The window lies in the upload and holds all that the answer shows.
            let window = view.window();
            prop_assert!(window.x + window.size.width <= width && window.y + window.size.height <= height);
            for times in view.times()..=view.times() + 2 {
                if let Some((across, down)) = view.reduction(times) {
                    prop_assert!(across.step() >= 1.0 && down.step() >= 1.0);
                    for (line, length) in [(across, window.size.width), (down, window.size.height)] {
                        prop_assert!(line.center(0) >= -0.5);
                        prop_assert!(line.center(line.output() - 1) <= f64::from(length * times) - 0.5);
                    }
                }
            }
        }
    }
}
