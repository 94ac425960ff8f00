//! Where the tiles of an image lie: pure arithmetic on sizes, a function of image and model alone.
//!
//! The image is mirrored by one halo at its borders, and tiles are spread evenly
//! over what results, the first and last flush with it: a network pads with zeros, and what it says beside them is off,
//! visibly so in the corner of a flat image. Two neighbors overlap by at least twice the halo. In the middle of each
//! overlap they are cross-faded over `halo` pixels, so that what a tile says within half a halo of its inner border is
//! never used. A halo is at most a quarter of the side: then the even spread keeps the fades of one axis apart, and no
//! pixel is shared by three tiles of it.

use std::cmp::Reverse;
use std::ops::Range;

use images::units::{Size, TileShape};

/// A tile shape and the context that its borders need, in low-resolution pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct TileSpec {
    /// The square that the network sees.
    pub shape: TileShape,
    /// Half the least overlap of two neighbors, and the mirrored border; see [`TileSpec::is_sound`].
    pub halo: u32,
}

impl TileSpec {
    /// Whether the halo is even, at least 2, and at most a quarter of the side: what [`Grid`] asks for.
    pub const fn is_sound(self) -> bool {
        self.halo >= 2 && self.halo.is_multiple_of(2) && self.halo <= self.shape.side() / 4
    }

    /// Pixels along a side that are left without the halos.
    const fn step(self) -> u32 {
        self.shape.side() - 2 * self.halo
    }
}

/// The tiles of one image, row by row. `index = row * columns + column`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    spec: TileSpec,
    across: Axis,
    down: Axis,
}

/// A tile's place in the image, in low-resolution pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// First column of the tile, counted from the image's first: at least minus the halo.
    pub x: i64,
    /// First row, likewise.
    pub y: i64,
}

/// The tiles along one side of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    length: u32,
    side: u32,
    halo: u32,
    count: u32,
}

impl Axis {
    fn new(length: u32, spec: TileSpec) -> Self {
        Self { length, side: spec.shape.side(), halo: spec.halo, count: length.div_ceil(spec.step()) }
    }

    /// Number of tiles.
    pub const fn count(self) -> usize {
        self.count as usize
    }

    /// First pixel of tile `i`.
    pub fn start(self, i: usize) -> i64 {
        let travel = i64::from(self.length + 2 * self.halo) - i64::from(self.side);
        let moved = if self.count == 1 { 0 } else { i as i64 * travel / i64::from(self.count - 1) };
        moved - i64::from(self.halo)
    }

    /// The pixels over which tile `i` gives way to tile `i + 1`: `halo` of them, around the middle of the overlap.
    pub fn fade(self, i: usize) -> Range<u32> {
        let cut = (self.start(i) + self.start(i + 1) + i64::from(self.side)) / 2;
        let from = cut as u32 - self.halo / 2;
        from..from + self.halo
    }

    /// The pixels to which tile `i` contributes, fades included.
    pub fn used(self, i: usize) -> Range<u32> {
        let from = if i == 0 { 0 } else { self.fade(i - 1).start };
        let to = if i + 1 == self.count() { self.length } else { self.fade(i).end };
        from..to
    }

    /// The first pixel that tile `i` shares with the next; the image's end for the last tile.
    pub fn settled(self, i: usize) -> u32 {
        if i + 1 == self.count() { self.length } else { self.fade(i).start }
    }
}

impl Grid {
    /// The tiles of that one of `specs` which has the network compute the fewest pixels; of equals, the largest.
    ///
    /// # Panics
    /// If `specs` is empty or holds a spec that is not [sound](TileSpec::is_sound): the registry lets none in.
    pub fn new(image: Size, specs: &[TileSpec]) -> Self {
        assert!(
            specs.iter().all(|spec| spec.is_sound()),
            "a halo must be even and 2 to a quarter of the side: {specs:?}"
        );
        let grid =
            |&spec: &TileSpec| Self { spec, across: Axis::new(image.width, spec), down: Axis::new(image.height, spec) };
        let computed = |grid: &Self| {
            let side = u64::from(grid.spec.shape.side());
            (grid.len() as u64 * side * side, Reverse(side))
        };
        specs.iter().map(grid).min_by_key(computed).expect("a network has at least one tile shape")
    }

    /// The chosen tile.
    pub const fn spec(&self) -> TileSpec {
        self.spec
    }

    /// The image.
    pub const fn image(&self) -> Size {
        Size::new(self.across.length, self.down.length)
    }

    /// Tiles from left to right.
    pub const fn columns(&self) -> usize {
        self.across.count()
    }

    /// Tiles from top to bottom.
    pub const fn rows(&self) -> usize {
        self.down.count()
    }

    /// The horizontal axis.
    pub const fn across(&self) -> Axis {
        self.across
    }

    /// The vertical axis.
    pub const fn down(&self) -> Axis {
        self.down
    }

    /// Number of tiles.
    pub const fn len(&self) -> usize {
        self.columns() * self.rows()
    }

    /// Never true: the smallest image has one tile.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Where tile `index` lies.
    pub fn place(&self, index: usize) -> Place {
        Place { x: self.across.start(index % self.columns()), y: self.down.start(index / self.columns()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec(side: u32, halo: u32) -> TileSpec {
        TileSpec { shape: TileShape::square(side), halo }
    }

    prop_compose! {
        fn sound_spec()(halo in 1u32..12)(halo in Just(halo * 2), side in halo * 8..halo * 8 + 90) -> TileSpec {
            spec(side, halo)
        }
    }

    proptest! {
        #[test]
        fn tiles_cover_the_axis_and_keep_their_distance(spec in sound_spec(), length in 1u32..1500) {
            let axis = Axis::new(length, spec);
            let (side, halo, last) = (spec.shape.side(), spec.halo, axis.count() - 1);
            prop_assert_eq!(axis.start(0), -i64::from(halo));
            if last > 0 {
                let end = axis.start(last) + i64::from(side);
                prop_assert_eq!(end, i64::from(length + halo), "the last tile is flush with the mirrored border");
            }
            prop_assert!(axis.start(last) + i64::from(side) >= i64::from(length + halo), "context at the far border");
            prop_assert_eq!(axis.used(0).start, 0);
            prop_assert_eq!(axis.used(last).end, length);
            for i in 0..axis.count() {
                let used = axis.used(i);
                prop_assert!(i64::from(used.start) >= axis.start(i));
                prop_assert!(i64::from(used.end) <= axis.start(i) + i64::from(side));
            }
            for i in 0..last {
                let fade = axis.fade(i);
                prop_assert_eq!(fade.end - fade.start, halo);
                prop_assert_eq!(&fade, &(axis.used(i + 1).start..axis.used(i).end));
                prop_assert!(i64::from(fade.start) - axis.start(i + 1) >= i64::from(halo / 2), "left context");
                prop_assert!(axis.start(i) + i64::from(side) - i64::from(fade.end) >= i64::from(halo / 2), "right context");
                prop_assert!(axis.start(i) + i64::from(side) - axis.start(i + 1) >= i64::from(2 * halo), "overlap");
                if i + 1 < last {
                    prop_assert!(fade.end <= axis.fade(i + 1).start, "three tiles meet");
                }
            }
        }

        #[test]
        fn no_tile_is_wasted(spec in sound_spec(), length in 1u32..1500) {
            let axis = Axis::new(length, spec);
            let fewer = axis.count() as u32 - 1;
            prop_assert!(fewer * spec.step() < length, "{} tiles would do", fewer);
        }

        #[test]
        fn index_and_place_agree(spec in sound_spec(), width in 1u32..400, height in 1u32..400) {
            let grid = Grid::new(Size::new(width, height), &[spec]);
            for index in 0..grid.len() {
                let place = grid.place(index);
                prop_assert_eq!(place.x, grid.across().start(index % grid.columns()));
                prop_assert_eq!(place.y, grid.down().start(index / grid.columns()));
            }
        }
    }

    #[test]
    fn the_smallest_image_has_one_tile() {
        let grid = Grid::new(Size::new(1, 1), &[spec(64, 8)]);
        assert_eq!((grid.len(), grid.place(0)), (1, Place { x: -8, y: -8 }));
        assert!(!grid.is_empty());
    }

    #[test]
    fn a_second_tile_comes_where_the_first_leaves_no_halo() {
        let count = |length| Axis::new(length, spec(72, 4)).count();
        assert_eq!([64, 65, 128, 129].map(count), [1, 2, 2, 3]);
        let starts = |length| (0..count(length)).map(|i| Axis::new(length, spec(72, 4)).start(i)).collect::<Vec<_>>();
        assert_eq!((starts(64), starts(65), starts(128)), (vec![-4], vec![-4, -3], vec![-4, 60]));
    }

    #[test]
    fn the_spec_that_computes_least_is_chosen_and_of_equals_the_largest() {
        let specs = [spec(72, 4), spec(48, 4)];
        let chosen = |width, height| Grid::new(Size::new(width, height), &specs).spec().shape.side();
        // An image of 40 pixels fits between the halos of 48, one of 41 does not; 4 tiles of 48 undercut 4 of 72.
        assert_eq!([40, 41, 64, 65, 80, 81, 128].map(|side| chosen(side, side)), [48, 72, 72, 48, 48, 72, 72]);
        // 3 x 3 tiles of 48 are as many pixels as 2 x 2 of 72.
        assert_eq!((chosen(120, 120), 9 * 48 * 48, 4 * 72 * 72), (72, 20_736, 20_736));
        assert_eq!((chosen(1, 1), chosen(4000, 127)), (48, 72));
    }

    #[test]
    fn a_halo_is_sound_from_two_to_a_quarter_of_the_side() {
        assert!(spec(8, 2).is_sound() && spec(64, 16).is_sound());
        assert!(
            !spec(64, 0).is_sound() && !spec(64, 7).is_sound() && !spec(64, 18).is_sound() && !spec(7, 2).is_sound()
        );
    }

    #[test]
    #[should_panic(expected = "a quarter of the side")]
    fn an_unsound_spec_is_refused() {
        let _ = Grid::new(Size::new(100, 100), &[spec(32, 10)]);
    }
}
