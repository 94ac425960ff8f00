//! Profiles of every kind: read, judged, converted with, and held against little CMS and the standards.

use moxcms::{ColorProfile, ToneReprCurve};
use proptest::prelude::*;

use super::profile::{MAX_BYTES, Unfit};
use super::*;
use crate::raster::Channels;
use crate::testing::{by_tables, made, padded};

fn judge(profile: &[u8]) -> Result<Profile, Unfit> {
    Profile::judge(profile, Channels::Rgb)
}

fn shaper(profile: &ColorProfile, channels: Channels) -> std::sync::Arc<Shaper> {
    match Profile::judge(&made(profile), channels).expect("a good profile").space {
        Space::Shaper(shaper) => shaper,
        other => panic!("{other:?}"),
    }
}

#[test]
fn profiles_are_reported_apart_by_what_they_mean() {
    for (profile, expected) in [
        (ColorProfile::new_srgb(), true),
        (ColorProfile::new_display_p3(), false),
        (ColorProfile::new_adobe_rgb(), false),
        (ColorProfile::new_pro_photo_rgb(), false),
        (ColorProfile::new_bt2020(), false),
    ] {
        let judged = judge(&made(&profile)).expect("a good profile");
        assert_eq!(judged.space == Space::Srgb, expected, "{:?}", profile.description);
        assert_eq!(judged.bytes[..], made(&profile)[..], "unchanged");
    }
    let theirs = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/images/srgb.icc"));
    assert_eq!(judge(theirs).expect("by little CMS").space, Space::Srgb);
    assert_eq!(judge(&by_tables()).expect("by tables").space, Space::NotInvertible);
    let gray = |gamma| Profile::judge(&made(&ColorProfile::new_gray_with_gamma(gamma)), Channels::GrayAlpha);
    assert!(matches!(gray(1.8).expect("a good profile").space, Space::Shaper(_)));
}

#[test]
fn a_profile_without_a_way_back_is_kept_and_not_converted_with() {
    let mut profile = ColorProfile::new_srgb();
    profile.red_trc = Some(ToneReprCurve::Lut(vec![65_535, 0]));
    assert_eq!(judge(&made(&profile)).expect("a negative").space, Space::NotInvertible);
    let mut flat = ColorProfile::new_srgb();
    flat.green_colorant = flat.red_colorant;
    assert_eq!(judge(&made(&flat)).expect("no inverse").space, Space::NotInvertible);
}

#[test]
fn padding_after_it_is_cut_off() {
    let profile = made(&ColorProfile::new_display_p3());
    let followed = [&profile[..], &[0; 3]].concat();
    assert_eq!(judge(&followed).expect("a good profile").bytes[..], profile[..]);
}

#[test]
fn what_does_not_hold_together_is_broken_and_what_is_of_other_channels_does_not_fit() {
    let good = made(&ColorProfile::new_display_p3());
    let unfit = |profile: &[u8], channels| Profile::judge(profile, channels).expect_err("unfit");
    assert_eq!(unfit(&good, Channels::Gray), Unfit::Mismatch);
    assert_eq!(unfit(&made(&ColorProfile::new_gray_with_gamma(2.2)), Channels::Rgb), Unfit::Mismatch);
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        unfit(&changed, Channels::Rgba)
    };
    assert_eq!(with(16, b"CMYK"), Unfit::Mismatch);
    assert_eq!(with(12, b"link"), Unfit::Mismatch);
    for (at, bytes, what) in [
        (0, &131_u32.to_be_bytes()[..], "shorter than its header"),
        (8, &[9], "version"),
        (36, b"x", "signature"),
        (128, &[0xff], "tag count"),
        (136, &[0xff], "tag offset"),
        (140, &[0xff], "tag length"),
        (128, &[0; 4], "no tags"),
    ] {
        assert_eq!(with(at, bytes), Unfit::Broken, "{what}");
    }
    for cut in [0, 3, 131, good.len() - 1] {
        assert_eq!(unfit(&good[..cut], Channels::Rgb), Unfit::Broken, "cut at {cut}");
    }
}

#[test]
fn a_broken_tag_that_makes_no_color_is_no_reason_to_lose_them() {
    let mut profile = made(&ColorProfile::new_display_p3());
    let entry = (132..).step_by(12).find(|at| profile[*at..].starts_with(b"chad")).expect("it is adapted to D50");
    let at = u32::from_be_bytes(profile[entry + 4..entry + 8].try_into().expect("four bytes")) as usize;
    profile[at..at + 4].copy_from_slice(b"oops");
    assert!(ColorProfile::new_from_slice(&profile).is_err(), "the library alone would not take it");
    assert!(matches!(judge(&profile).expect("its colors are whole").space, Space::Shaper(_)));
}

#[test]
fn size_has_a_bound() {
    let profile = made(&ColorProfile::new_display_p3());
    assert!(judge(&padded(profile.clone(), MAX_BYTES)).is_ok());
    assert_eq!(judge(&padded(profile, MAX_BYTES + 1)), Err(Unfit::Broken));
}

#[test]
fn high_dynamic_range_is_reported_by_the_cicp_tag() {
    assert_eq!(judge(&made(&ColorProfile::new_bt2020_pq())), Err(Unfit::HighDynamicRange("PQ")));
    assert_eq!(judge(&made(&ColorProfile::new_bt2020_hlg())), Err(Unfit::HighDynamicRange("HLG")));
    assert_eq!(judge(&made(&ColorProfile::new_display_p3_pq())), Err(Unfit::HighDynamicRange("PQ")));
}

/// Published points: the primaries of each space in sRGB by its own definition.
#[test]
fn colors_beyond_srgb_have_their_published_values() {
    for (profile, green) in [
        (ColorProfile::new_display_p3(), [-130.5, 259.7, -79.2]),
        (ColorProfile::new_adobe_rgb(), [-169.4, 255.0, -58.5]),
    ] {
        let mut planes = [0.0, 255.0, 0.0];
        shaper(&profile, Channels::Rgb).to_srgb(&mut planes);
        assert!(planes.iter().zip(green).all(|(a, b): (&f32, f32)| (a - b).abs() < 1.0), "{planes:?}");
    }
    // Gray has no primaries: a half of gamma 1.8 is 0.2872 of light, which sRGB writes as 146.0.
    let mut plane = [127.5];
    shaper(&ColorProfile::new_gray_with_gamma(1.8), Channels::Gray).to_srgb(&mut plane);
    assert!((plane[0] - 146.0).abs() < 0.5, "{plane:?}");
}

#[test]
fn by_tables_there_is_a_way_to_srgb() {
    let profile = judge(&by_tables()).expect("by tables");
    let way = profile.forward_transform().expect("a way to sRGB");
    // Black and white stay, and white is the lightest.
    let mut planes = [0.0, 255.0, 0.0, 255.0, 0.0, 255.0];
    way.convert(&mut planes);
    assert!(planes.iter().step_by(2).all(|level| *level < 2.0), "{planes:?}");
    assert!(planes.iter().skip(1).step_by(2).all(|level| *level > 200.0), "{planes:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every color of a wide space comes back from sRGB, far below a step of 8 bits. Near black half a step is allowed:
    /// a pure gamma curve is flat there, so the least error of linear light becomes a large one.
    #[test]
    fn there_and_back(color in prop::array::uniform3(any::<u16>()), which in 0..5_usize) {
        let profile = [
            ColorProfile::new_display_p3(), ColorProfile::new_adobe_rgb(), ColorProfile::new_pro_photo_rgb(),
            ColorProfile::new_bt2020(), ColorProfile::new_dci_p3(),
        ][which].clone();
        let given = color.map(|sample| f32::from(sample) / 257.0);
        let mut planes = given;
        let shaper = shaper(&profile, Channels::Rgb);
        shaper.to_srgb(&mut planes);
        shaper.from_srgb(&mut planes);
        for (back, given) in planes.into_iter().zip(given) {
            let allowed = if given < 1.0 { 0.5 } else { 0.1 };
            prop_assert!((back - given).abs() < allowed, "{given} became {back}");
        }
    }

    /// No bytes make it panic, whatever is changed in a good profile.
    #[test]
    fn nonsense_is_judged(
        which in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        channels in prop::sample::select(vec![Channels::Gray, Channels::Rgba]),
    ) {
        let mut profile = match which {
            0 => made(&ColorProfile::new_adobe_rgb()),
            1 => made(&ColorProfile::new_gray_with_gamma(2.2)),
            2 => by_tables(),
            _ => include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/images/srgb.icc")).to_vec(),
        };
        for (at, byte) in changes {
            let at = at.index(profile.len());
            profile[at] = byte;
        }
        if let Ok(judged) = Profile::judge(&profile, channels) && let Some(way) = judged.forward_transform() {
            way.convert(&mut [1.0, 2.0, 3.0]);
        }
    }
}
