//! Colours that are told by numbers instead of a profile: PNG's `cICP`, `sRGB`, `gAMA` and `cHRM` (third edition,
//! 11.3.2), in the order in which the standard has them count, a profile standing behind `cICP` and before the rest.
//!
//! Where they say anything but sRGB, a profile is made of them, and everything that holds for profiles holds: every
//! format can carry it. `gAMA` and `cHRM` within a twentieth of sRGB's are taken for it, as libpng does: writers round.

use std::sync::{Arc, LazyLock};

use moxcms::{
    Chromaticity, CicpColorPrimaries, CicpProfile, ColorDateTime, ColorPrimaries, ColorProfile, DataColorSpace,
    LocalizableString, MatrixCoefficients, ProfileText, ToneReprCurve, TransferCharacteristics,
};

use super::profile::hdr_transfer;

/// The file gamma and the chromaticities of sRGB, in the units of PNG: 1/100000.
const GAMMA: u32 = 45_455;
const CHROMATICITIES: [u32; 8] = [31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000];

/// The curve of sRGB as ICC's parametric curve of type 3.
const SRGB: [f32; 5] = [2.4, 1.0 / 1.055, 0.055 / 1.055, 1.0 / 12.92, 0.04045];

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
pub enum Signalled {
    /// Nothing is told.
    Nothing,
    /// sRGB.
    Srgb,
    /// A profile that says the same.
    Profile(Vec<u8>),
    /// High dynamic range, in this transfer function.
    HighDynamicRange(&'static str),
    /// Numbers that mean nothing here.
    Unreadable,
}

impl Signals {
    /// What `cICP` says, which counts before a profile.
    pub fn strong(&self, gray: bool) -> Signalled {
        let Some([primaries, transfer, matrix, range]) = self.cicp else { return Signalled::Nothing };
        if let Some(name) = hdr_transfer(transfer) {
            return Signalled::HighDynamicRange(name);
        }
        let (Ok(color_primaries), Ok(transfer_characteristics)) =
            (CicpColorPrimaries::try_from(primaries), TransferCharacteristics::try_from(transfer))
        else {
            return Signalled::Unreadable;
        };
        // PNG is always RGB; a narrow range is for video.
        if (matrix, range) != (0, 1) {
            return Signalled::Unreadable;
        }
        if matches!(
            (color_primaries, transfer_characteristics),
            (CicpColorPrimaries::Bt709, TransferCharacteristics::Srgb)
        ) {
            return Signalled::Srgb;
        }
        let mut profile = blank(gray);
        let matrix_coefficients = MatrixCoefficients::Identity;
        profile.update_rgb_colorimetry_from_cicp(CicpProfile {
            color_primaries,
            transfer_characteristics,
            matrix_coefficients,
            full_range: true,
        });
        let Some(curve) = profile.red_trc.take() else { return Signalled::Unreadable };
        finished(profile, gray, curve, "PNG cICP")
    }

    /// What the other chunks say, which count where there is neither `cICP` nor a profile.
    pub fn weak(&self, gray: bool) -> Signalled {
        if self.srgb {
            return Signalled::Srgb;
        }
        let gamma = self.gamma.filter(|gamma| !near(*gamma, GAMMA));
        let chromaticities =
            self.chromaticities.filter(|told| !told.iter().zip(CHROMATICITIES).all(|(a, b)| near(*a, b)));
        let curve = match gamma {
            None => ToneReprCurve::Parametric(SRGB.to_vec()),
            // Beyond these it is a slip of the pen.
            Some(gamma @ 10_000..=1_000_000) => ToneReprCurve::Parametric(vec![100_000.0 / gamma as f32]),
            Some(_) => return Signalled::Unreadable,
        };
        match (gamma, chromaticities) {
            (None, None) if self.gamma.is_none() && self.chromaticities.is_none() => Signalled::Nothing,
            (None, None) => Signalled::Srgb,
            // The primaries of gray do not matter.
            (None, Some(_)) if gray => Signalled::Srgb,
            (_, chromaticities) => {
                let mut profile = blank(gray);
                let [wx, wy, rx, ry, gx, gy, bx, by] = chromaticities.unwrap_or(CHROMATICITIES).map(|v| v as f32 / 1e5);
                // A y of zero is divided by.
                if [wy, ry, gy, by].contains(&0.0) {
                    return Signalled::Unreadable;
                }
                let [red, green, blue] = [(rx, ry), (gx, gy), (bx, by)].map(|(x, y)| Chromaticity { x, y });
                let white = Chromaticity { x: wx, y: wy };
                profile.update_rgb_colorimetry(white.to_xyyb(), ColorPrimaries { red, green, blue });
                finished(profile, gray, curve, "PNG gAMA and cHRM")
            }
        }
    }
}

fn near(told: u32, standard: u32) -> bool {
    told.abs_diff(standard) * 20 <= standard
}

/// The profile of sRGB, for colours or for gray, as it is written where sRGB is asked for.
pub fn srgb(gray: bool) -> Arc<[u8]> {
    static BOTH: LazyLock<[Arc<[u8]>; 2]> = LazyLock::new(|| {
        [false, true].map(|gray| {
            let curve = ToneReprCurve::Parametric(SRGB.to_vec());
            match finished(blank(gray), gray, curve, if gray { "sRGB gray" } else { "sRGB" }) {
                Signalled::Profile(bytes) => bytes.into(),
                other => unreachable!("sRGB has finite colorants, and yet it is {other:?}"),
            }
        })
    });
    Arc::clone(&BOTH[usize::from(gray)])
}

/// sRGB, but for its curves and its name. Dated, so that the same request has the same bytes on every day.
fn blank(gray: bool) -> ColorProfile {
    let mut profile = if gray { ColorProfile::new_gray_with_gamma(1.0) } else { ColorProfile::new_srgb() };
    profile.cicp = None;
    profile.creation_date_time =
        ColorDateTime { year: 2026, month: 1, day_of_the_month: 1, hours: 0, minutes: 0, seconds: 0 };
    profile
}

fn finished(mut profile: ColorProfile, gray: bool, curve: ToneReprCurve, name: &str) -> Signalled {
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
    let told = |text: &str| {
        Some(ProfileText::Localizable(vec![LocalizableString::new("en".into(), "US".into(), text.into())]))
    };
    profile.description = told(name);
    profile.copyright = told("Public Domain");
    // Points on one line have no matrix.
    let finite = profile.colorant_matrix().v.iter().flatten().all(|v| v.is_finite());
    profile.encode().ok().filter(|_| finite).map_or(Signalled::Unreadable, Signalled::Profile)
}
