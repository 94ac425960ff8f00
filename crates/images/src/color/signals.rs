//! Colors that are described by numbers instead of a profile: PNG's `cICP`, `sRGB`, `gAMA` and `cHRM` (third edition,
//! 11.3.2), in the order in which the standard has them count, a profile standing behind `cICP` and before the rest.
//!
//! Where they declare anything but sRGB, a profile is made of them, and everything that holds for profiles holds: every
//! format can carry it. `gAMA` and `cHRM` within a twentieth of sRGB's are taken for it, as libpng does: writers round.

use std::sync::{Arc, LazyLock};

use moxcms::{
    Chromaticity, CicpColorPrimaries, CicpProfile, ColorPrimaries, ColorProfile, DataColorSpace, LocalizableString,
    MatrixCoefficients, ProfileText, ToneReprCurve, TransferCharacteristics,
};

use super::profile::hdr_transfer;

/// The file gamma and the chromaticities of sRGB, in the units of PNG: 1/100000.
const GAMMA: u32 = 45_455;
const CHROMATICITIES: [u32; 8] = [31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000];

/// The curve of sRGB as ICC's parametric curve of type 3.
const SRGB: [f32; 5] = [2.4, 1.0 / 1.055, 0.055 / 1.055, 1.0 / 12.92, 0.04045];

/// The first of January 2026, as a header has it.
const DATE: [u8; 12] = [0x07, 0xea, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0];

/// What the chunks of one file say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signals {
    /// Primaries, transfer function, matrix and range, by their numbers in ITU-T H.273.
    pub cicp: Option<[u8; 4]>,
    /// Whether there is an `sRGB`.
    pub srgb: bool,
    /// In 1/100000.
    pub gamma: Option<u32>,
    /// White, red, green and blue, x and y each, in 1/100000.
    pub chromaticities: Option<[u32; 8]>,
}

/// What they come to.
#[derive(Clone, Debug, PartialEq)]
pub enum Signaled {
    /// Nothing is described.
    Nothing,
    /// sRGB.
    Srgb,
    /// An equivalent profile.
    Profile(Vec<u8>),
    /// High dynamic range, in this transfer function.
    HighDynamicRange(&'static str),
    /// Numbers that mean nothing here.
    Unreadable,
}

impl Signals {
    /// What `cICP` declares, which counts before a profile.
    pub fn strong(&self, gray: bool) -> Signaled {
        let Some([primaries, transfer, matrix, range]) = self.cicp else { return Signaled::Nothing };
        if let Some(name) = hdr_transfer(transfer) {
            return Signaled::HighDynamicRange(name);
        }
        let (Ok(color_primaries), Ok(transfer_characteristics)) =
            (CicpColorPrimaries::try_from(primaries), TransferCharacteristics::try_from(transfer))
        else {
            return Signaled::Unreadable;
        };
        // PNG is always RGB; a narrow range is for video.
        if (matrix, range) != (0, 1) {
            return Signaled::Unreadable;
        }
        if matches!(
            (color_primaries, transfer_characteristics),
            (CicpColorPrimaries::Bt709, TransferCharacteristics::Srgb)
        ) {
            return Signaled::Srgb;
        }
        let mut profile = blank(gray);
        // Left as it is where the numbers mean nothing.
        profile.red_trc = None;
        let matrix_coefficients = MatrixCoefficients::Identity;
        profile.update_rgb_colorimetry_from_cicp(CicpProfile {
            color_primaries,
            transfer_characteristics,
            matrix_coefficients,
            full_range: true,
        });
        let Some(curve) = profile.red_trc.take() else { return Signaled::Unreadable };
        finished(profile, gray, curve, "PNG cICP")
    }

    /// What the other chunks declare, which count where there is neither `cICP` nor a profile.
    pub fn weak(&self, gray: bool) -> Signaled {
        if self.srgb {
            return Signaled::Srgb;
        }
        let gamma = self.gamma.filter(|gamma| !near(*gamma, GAMMA));
        let chromaticities =
            self.chromaticities.filter(|declared| !declared.iter().zip(CHROMATICITIES).all(|(a, b)| near(*a, b)));
        let curve = match gamma {
            None => ToneReprCurve::Parametric(SRGB.to_vec()),
            // Beyond these it is a slip of the pen.
            Some(gamma @ 10_000..=1_000_000) => ToneReprCurve::Parametric(vec![100_000.0 / gamma as f32]),
            Some(_) => return Signaled::Unreadable,
        };
        match (gamma, chromaticities) {
            (None, None) if self.gamma.is_none() && self.chromaticities.is_none() => Signaled::Nothing,
            (None, None) => Signaled::Srgb,
            // The primaries of gray do not matter.
            (None, Some(_)) if gray => Signaled::Srgb,
            (_, chromaticities) => {
                let mut profile = blank(gray);
                let [wx, wy, rx, ry, gx, gy, bx, by] = chromaticities.unwrap_or(CHROMATICITIES).map(|v| v as f32 / 1e5);
                // A y of zero is divided by.
                if [wy, ry, gy, by].contains(&0.0) {
                    return Signaled::Unreadable;
                }
                let [red, green, blue] = [(rx, ry), (gx, gy), (bx, by)].map(|(x, y)| Chromaticity { x, y });
                let white = Chromaticity { x: wx, y: wy };
                profile.update_rgb_colorimetry(white.to_xyyb(), ColorPrimaries { red, green, blue });
                finished(profile, gray, curve, "PNG gAMA and cHRM")
            }
        }
    }
}

fn near(declared: u32, standard: u32) -> bool {
    u64::from(declared.abs_diff(standard)) * 20 <= u64::from(standard)
}

/// The profile of sRGB, for colors or for gray, as it is written where sRGB is asked for.
pub fn srgb(gray: bool) -> Arc<[u8]> {
    static BOTH: LazyLock<[Arc<[u8]>; 2]> = LazyLock::new(|| {
        [false, true].map(|gray| {
            let curve = ToneReprCurve::Parametric(SRGB.to_vec());
            match finished(blank(gray), gray, curve, if gray { "sRGB gray" } else { "sRGB" }) {
                Signaled::Profile(bytes) => bytes.into(),
                other => unreachable!("sRGB has finite colorants, and yet it is {other:?}"),
            }
        })
    });
    Arc::clone(&BOTH[usize::from(gray)])
}

/// sRGB, but for its curves and its name.
fn blank(gray: bool) -> ColorProfile {
    let mut profile = if gray { ColorProfile::new_gray_with_gamma(1.0) } else { ColorProfile::new_srgb() };
    profile.cicp = None;
    profile
}

fn finished(mut profile: ColorProfile, gray: bool, curve: ToneReprCurve, name: &str) -> Signaled {
    profile.cicp = None;
    if gray {
        profile.color_space = DataColorSpace::Gray;
        (profile.red_trc, profile.green_trc, profile.blue_trc) = (None, None, None);
        let none = ColorProfile::default();
        (profile.red_colorant, profile.green_colorant, profile.blue_colorant) =
            (none.red_colorant, none.green_colorant, none.blue_colorant);
        profile.gray_trc = Some(curve);
    } else {
        (profile.red_trc, profile.green_trc, profile.blue_trc) =
            (Some(curve.clone()), Some(curve.clone()), Some(curve));
    }
    let declared = |text: &str| {
        Some(ProfileText::Localizable(vec![LocalizableString::new("en".into(), "US".into(), text.into())]))
    };
    profile.description = declared(name);
    profile.copyright = declared("Public Domain");
    // Points on one line have no matrix.
    let finite = profile.colorant_matrix().v.iter().flatten().all(|v| v.is_finite());
    let Some(mut bytes) = profile.encode().ok().filter(|_| finite) else { return Signaled::Unreadable };
    // The library dates it now; the same request has the same bytes on every day.
    bytes[24..36].copy_from_slice(&DATE);
    Signaled::Profile(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::{Profile, Space};
    use crate::raster::Channels;

    /// Where the green of the made profile lies in sRGB.
    fn green(signaled: Signaled) -> [f32; 3] {
        let Signaled::Profile(bytes) = signaled else { panic!("{signaled:?}") };
        let mut planes = [0.0, 255.0, 0.0];
        match Profile::judge(&bytes, Channels::Rgb).expect("its own profile is good").space {
            Space::Shaper(shaper) => shaper.to_srgb(&mut planes),
            other => panic!("{other:?}"),
        }
        planes
    }

    fn near(levels: [f32; 3], expected: [f32; 3]) -> bool {
        levels.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1.0)
    }

    const P3_GREEN: [f32; 3] = [-130.5, 259.7, -79.2];

    #[test]
    fn cicp_is_srgb_or_a_profile_or_refused_or_nothing() {
        let strong = |cicp| Signals { cicp, ..Signals::default() }.strong(false);
        assert_eq!(strong(None), Signaled::Nothing);
        assert_eq!(strong(Some([1, 13, 0, 1])), Signaled::Srgb);
        assert_eq!(strong(Some([9, 16, 0, 1])), Signaled::HighDynamicRange("PQ"));
        assert_eq!(strong(Some([9, 18, 0, 1])), Signaled::HighDynamicRange("HLG"));
        for (unreadable, what) in [
            ([1, 13, 1, 1], "a matrix"),
            ([1, 13, 0, 0], "a narrow range"),
            ([3, 13, 0, 1], "reserved primaries"),
            ([2, 2, 0, 1], "nothing specified"),
            ([1, 99, 0, 1], "no transfer function"),
        ] {
            assert_eq!(strong(Some(unreadable)), Signaled::Unreadable, "{what}");
        }
        let levels = green(strong(Some([12, 13, 0, 1])));
        assert!(near(levels, P3_GREEN), "{levels:?}");
    }

    #[test]
    fn gamma_and_primaries_make_a_profile_unless_they_are_those_of_srgb() {
        let weak = |gamma, chromaticities| Signals { gamma, chromaticities, ..Signals::default() }.weak(false);
        assert_eq!(weak(None, None), Signaled::Nothing);
        assert_eq!(weak(Some(45_455), None), Signaled::Srgb);
        assert_eq!(weak(Some(45_455), Some(CHROMATICITIES)), Signaled::Srgb);
        assert_eq!(weak(Some(45_455 * 21 / 20), None), Signaled::Srgb, "a twentieth off");
        assert!(matches!(weak(Some(45_455 * 21 / 20 + 2), None), Signaled::Profile(_)), "more");
        for gamma in [0, 9_999, 1_000_001, u32::MAX] {
            assert_eq!(weak(Some(gamma), None), Signaled::Unreadable, "{gamma}");
        }
        let p3 = [31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000];
        let levels = green(weak(Some(45_455), Some(p3)));
        assert!(near(levels, P3_GREEN), "{levels:?}");
        let mut flat = CHROMATICITIES;
        flat[5] = 0;
        assert_eq!(weak(None, Some(flat)), Signaled::Unreadable);
        let all = Signals { srgb: true, gamma: Some(100_000), chromaticities: Some(p3), cicp: None };
        assert_eq!(all.weak(false), Signaled::Srgb, "sRGB counts first");
    }

    #[test]
    fn gray_has_a_gamma_and_no_primaries() {
        let p3 = [31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000];
        let gray = |gamma| Signals { gamma, chromaticities: Some(p3), ..Signals::default() }.weak(true);
        assert_eq!(gray(None), Signaled::Srgb);
        let Signaled::Profile(bytes) = gray(Some(100_000)) else { panic!("linear light") };
        let mut plane = [55.0];
        match Profile::judge(&bytes, Channels::Gray).expect("its own profile is good").space {
            Space::Shaper(shaper) => shaper.to_srgb(&mut plane),
            other => panic!("{other:?}"),
        }
        assert!((plane[0] - 128.0).abs() < 0.5, "{plane:?}");
    }

    #[test]
    fn the_tags_of_srgb_are_srgb_and_the_same_every_time() {
        for (gray, channels) in [(false, Channels::Rgb), (true, Channels::Gray)] {
            assert_eq!(Profile::judge(&srgb(gray), channels).expect("good").space, Space::Srgb);
        }
        assert_eq!(srgb(false)[24..36], DATE, "a date that does not move");
    }
}
