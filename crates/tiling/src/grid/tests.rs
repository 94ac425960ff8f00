use proptest::prelude::*;

use super::*;

/// As `san-light` has them.
const BOUNDS: TileBounds = TileBounds { step: 12, min_side: 48, max_side: 180, max_area: 12_960, halo: 4 };

fn spec(side: u32, halo: u32) -> TileSpec {
    TileSpec { shape: TileShape::square(side), halo }
}

fn axis(length: u32, side: u32, halo: u32) -> Axis {
    Axis::new(length, side, halo)
}

prop_compose! {
    /// A side and a halo that is sound for it.
    fn sound()(halo in 1u32..12)(halo in Just(halo * 2), side in halo * 8..halo * 8 + 90) -> (u32, u32) {
        (side, halo)
    }
}

prop_compose! {
    fn sound_bounds()(step in 1u32..8, shortest in 1u32..8, more in 0u32..12, halo in 1u32..6, area in 0u32..20_000) -> TileBounds {
        let step = 4 * step;
        let halo = 2 * halo;
        let min_side = (step * shortest).max((4 * halo).next_multiple_of(step));
        TileBounds { step, min_side, max_side: min_side + step * more, max_area: min_side * min_side + area, halo }
    }
}

proptest! {
    #[test]
    fn tiles_cover_the_axis_and_keep_their_distance((side, halo) in sound(), length in 1u32..1500) {
        let axis = axis(length, side, halo);
        let last = axis.count() - 1;
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
    fn no_tile_is_wasted((side, halo) in sound(), length in 1u32..1500) {
        let fewer = axis(length, side, halo).count() as u32 - 1;
        prop_assert!(fewer * (side - 2 * halo) < length, "{} tiles would do", fewer);
    }

    #[test]
    fn index_and_place_agree(bounds in sound_bounds(), width in 1u32..400, height in 1u32..400) {
        let grid = Grid::new(Size::new(width, height), &bounds);
        for index in 0..grid.len() {
            let place = grid.place(index);
            prop_assert_eq!(place.x, grid.across().start(index % grid.columns()));
            prop_assert_eq!(place.y, grid.down().start(index / grid.columns()));
        }
    }

    #[test]
    fn no_grid_within_the_bounds_computes_less(bounds in sound_bounds(), width in 1u32..900, height in 1u32..900) {
        let image = Size::new(width, height);
        let grid = Grid::new(image, &bounds);
        prop_assert!(bounds.allows(grid.spec().shape) && grid.spec().halo == bounds.halo);
        prop_assert_eq!(grid.image(), image);
        for shape in bounds.sides().flat_map(|width| bounds.sides().map(move |height| TileShape::new(width, height))) {
            if bounds.allows(shape) {
                let other = Grid::of(image, TileSpec { shape, halo: bounds.halo });
                prop_assert!(grid.computed_pixels() <= other.computed_pixels(), "{} computes less", shape);
                if other.computed_pixels() == grid.computed_pixels() {
                    prop_assert!(grid.len() <= other.len(), "{} has fewer tiles", shape);
                }
            }
        }
    }

    #[test]
    fn an_image_on_its_side_computes_as_much(bounds in sound_bounds(), width in 1u32..900, height in 1u32..900) {
        let (wide, tall) = (Grid::new(Size::new(width, height), &bounds), Grid::new(Size::new(height, width), &bounds));
        prop_assert_eq!((wide.computed_pixels(), wide.len()), (tall.computed_pixels(), tall.len()));
    }

    #[test]
    fn never_more_than_the_squares_of_before(width in 1u32..3000, height in 1u32..3000) {
        let image = Size::new(width, height);
        prop_assert!(Grid::new(image, &BOUNDS).computed_pixels() <= squares(image));
    }
}

/// Pixels computed with tiles of the one of five sides that computes least: what was served before rectangles.
fn squares(image: Size) -> u64 {
    let sides = [108, 96, 84, 72, 48];
    sides.map(|side| Grid::of(image, spec(side, 4)).computed_pixels()).into_iter().min().expect("five")
}

/// Pixels computed for one of the image, the mean over 400 images with sides in `range`.
fn overhead(range: Range<u32>, computed: impl Fn(Size) -> u64) -> f64 {
    let mut state = 7_u32;
    let mut side = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        range.start + ((u64::from(state) * u64::from(range.end - range.start)) >> 32) as u32
    };
    let images: Vec<Size> = (0..400).map(|_| Size::new(side(), side())).collect();
    images.iter().map(|image| computed(*image) as f64 / image.pixels() as f64).sum::<f64>() / images.len() as f64
}

/// The table of benches/README.md; `cargo test -p tiling table -- --nocapture` prints it.
#[test]
fn the_table_of_pixels_computed_for_one_of_the_image() {
    let areas = [72 * 72, 96 * 96, 108 * 108, BOUNDS.max_area, 120 * 120, 160 * 160, 216 * 216];
    for (range, limit) in [(32..129, 1.48), (128..513, 1.28), (512..2001, 1.22)] {
        let before = overhead(range.clone(), squares);
        print!("{range:?}: squares {before:.2}");
        for max_area in areas {
            let bounds = TileBounds { max_side: max_area / 48 / 12 * 12, max_area, ..BOUNDS };
            print!(", {max_area} {:.2}", overhead(range.clone(), |image| Grid::new(image, &bounds).computed_pixels()));
        }
        let served = overhead(range, |image| Grid::new(image, &BOUNDS).computed_pixels());
        println!("; served {served:.3}");
        assert!(served < limit && served < 0.97 * before, "{served} and {before}");
    }
}

#[test]
fn the_smallest_image_has_one_tile() {
    let grid = Grid::of(Size::new(1, 1), spec(64, 8));
    assert_eq!((grid.len(), grid.place(0)), (1, Place { x: -8, y: -8 }));
    assert!(!grid.is_empty());
}

#[test]
fn a_second_tile_comes_where_the_first_leaves_no_halo() {
    let count = |length| axis(length, 72, 4).count();
    assert_eq!([64, 65, 128, 129].map(count), [1, 2, 2, 3]);
    let starts = |length| (0..count(length)).map(|i| axis(length, 72, 4).start(i)).collect::<Vec<_>>();
    assert_eq!((starts(64), starts(65), starts(128)), (vec![-4], vec![-4, -3], vec![-4, 60]));
}

#[test]
fn the_tile_fits_the_image() {
    let chosen = |width, height| {
        let grid = Grid::new(Size::new(width, height), &BOUNDS);
        (grid.spec().shape.to_string(), grid.columns(), grid.rows())
    };
    for (image, tile, columns, rows) in [
        ((1, 1), "48x48", 1, 1),
        ((40, 40), "48x48", 1, 1),
        ((41, 40), "60x48", 1, 1),
        ((64, 64), "72x72", 1, 1),
        ((96, 96), "108x108", 1, 1),
        ((100, 112), "108x120", 1, 1),
        ((128, 192), "144x72", 1, 3),
        ((240, 160), "72x168", 4, 1),
        // One pixel more than fits between the halos of the longest side.
        ((172, 40), "180x48", 1, 1),
        ((173, 40), "96x48", 2, 1),
        ((800, 600), "108x108", 8, 6),
        ((2000, 2000), "120x108", 18, 20),
    ] {
        assert_eq!(chosen(image.0, image.1), (tile.to_owned(), columns, rows), "{image:?}");
    }
}

#[test]
fn a_halo_is_sound_from_two_to_a_quarter_of_the_shorter_side() {
    let wide = |width, height, halo| TileSpec { shape: TileShape::new(width, height), halo }.is_sound();
    assert!(spec(8, 2).is_sound() && spec(64, 16).is_sound() && wide(64, 32, 8) && wide(32, 64, 8));
    assert!(!spec(64, 0).is_sound() && !spec(64, 7).is_sound() && !spec(64, 18).is_sound() && !spec(7, 2).is_sound());
    assert!(!wide(64, 32, 10) && !wide(32, 64, 10));
}

#[test]
#[should_panic(expected = "a quarter of the shorter side")]
fn an_unsound_spec_is_refused() {
    let _ = Grid::of(Size::new(100, 100), spec(32, 10));
}

#[test]
#[should_panic(expected = "halo = 14 must be even")]
fn unsound_bounds_are_refused() {
    let _ = Grid::new(Size::new(100, 100), &TileBounds { halo: 14, ..BOUNDS });
}
