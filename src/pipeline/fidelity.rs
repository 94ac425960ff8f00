//! What a client may choose about color, transparency and notes; and what comes of it for one image.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use images::color::{Space, signals};
use images::geometry::View;
use images::metadata::OutputMetadata;
use images::orientation::Orientation;
use images::raster::{Channels, Depth};
use images::{OutputFormat, Probe, Warning};
use serde::{Serialize, Serializer};
use strum::{Display, EnumString, VariantNames};

use super::color::ColorTransform;

pub use images::metadata::{DensityPolicy, MetadataPolicy};

/// Which colors the numbers of the answer are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, EnumString, VariantNames, Display)]
#[strum(serialize_all = "lowercase")]
pub enum Icc {
    /// Those of the upload's own profile, which stays in the file.
    #[default]
    Keep,
    /// sRGB, and tagged so.
    Srgb,
}

/// What becomes of transparency where the format has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, EnumString, VariantNames, Display)]
#[strum(serialize_all = "lowercase")]
pub enum Transparency {
    /// It stays.
    #[default]
    Keep,
    /// The image is laid over the background, as it always is in a format without transparency.
    Flatten,
}

/// A color in sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Background(pub [u8; 3]);

impl Background {
    /// Whether a gray image over it stays gray.
    pub const fn is_gray(self) -> bool {
        let [r, g, b] = self.0;
        r == g && g == b
    }
}

impl Default for Background {
    fn default() -> Self {
        Self([255; 3])
    }
}

impl fmt::Display for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [r, g, b] = self.0;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

/// What a background looks like.
pub const BACKGROUND: &str = "six hexadecimal digits, rrggbb (a # before them is written %23 in a URL)";

impl FromStr for Background {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix('#').unwrap_or(text);
        if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(BACKGROUND);
        }
        let number = u32::from_str_radix(digits, 16).map_err(|_| BACKGROUND)?;
        let [_, r, g, b] = number.to_be_bytes();
        Ok(Self([r, g, b]))
    }
}

/// All of it; the default keeps the image as it was, only larger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fidelity {
    /// Colors.
    pub icc: Icc,
    /// Transparency.
    pub alpha: Transparency,
    /// What is seen through an image that is flattened.
    pub background: Background,
    /// Notes.
    pub metadata: MetadataPolicy,
    /// Pixels per inch.
    pub density: DensityPolicy,
}

/// Something that was done to the image beside upscaling it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Conversion {
    /// Turned upright by its Exif.
    OrientationApplied,
    /// Made a profile of a PNG's `cICP`, `gAMA` or `cHRM`.
    ProfileMade,
    /// Converted from CMYK by its profile, which is then left.
    CmykByProfile,
    /// To sRGB for the network, and back.
    ProfileRoundTrip,
    /// To sRGB, for good.
    ProfileToSrgb,
    /// Laid over the background.
    AlphaFlattened,
    /// One channel to three, because the format or the background has colors.
    GrayToRgb,
    /// 16 bits to 8, because the format has no more.
    DepthReduced,
    /// As many times more pixels an inch as there are more pixels.
    DensityScaled,
    /// Notes were left out, because they were not asked for or the format has no place for them.
    MetadataDropped,
}

impl Conversion {
    /// Every one.
    pub const ALL: [Self; 10] = [
        Self::OrientationApplied,
        Self::ProfileMade,
        Self::CmykByProfile,
        Self::ProfileRoundTrip,
        Self::ProfileToSrgb,
        Self::AlphaFlattened,
        Self::GrayToRgb,
        Self::DepthReduced,
        Self::DensityScaled,
        Self::MetadataDropped,
    ];

    /// As in `X-Upscale-Conversions` and in a plan.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OrientationApplied => "orientation-applied",
            Self::ProfileMade => "profile-made",
            Self::CmykByProfile => "cmyk-by-profile",
            Self::ProfileRoundTrip => "profile-round-trip",
            Self::ProfileToSrgb => "profile-to-srgb",
            Self::AlphaFlattened => "alpha-flattened",
            Self::GrayToRgb => "gray-to-rgb",
            Self::DepthReduced => "depth-reduced",
            Self::DensityScaled => "density-scaled",
            Self::MetadataDropped => "metadata-dropped",
        }
    }
}

impl Serialize for Conversion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What is done to one image.
#[derive(Clone, Debug)]
pub(super) struct OutputPlan {
    /// Channels of the answer.
    pub(super) channels: Channels,
    /// Depth of the answer.
    pub(super) depth: Depth,
    /// Profile of the answer.
    pub(super) icc: Option<Arc<[u8]>>,
    /// What the answer holds beside its pixels.
    pub(super) metadata: OutputMetadata,
    /// How colors go to the network and from there to the answer.
    pub(super) transform: ColorTransform,
    /// What the image is laid over.
    pub(super) background: Option<Background>,
    pub(super) conversions: Vec<Conversion>,
    pub(super) warnings: Vec<Warning>,
}

impl OutputPlan {
    /// Nothing is done to an image of these channels.
    #[cfg(test)]
    pub(super) fn plain(channels: Channels, depth: Depth) -> Self {
        let probe = Probe::of_pixels(images::units::Size::new(1, 1), channels, depth);
        let to = images::geometry::Resize::To { width: Some(1), height: None, fit: images::geometry::Fit::Inside };
        let view = to.view(probe.size).expect("an image can stay as large as it is");
        Self::of(&probe, OutputFormat::Png, depth, Fidelity::default(), &view)
    }

    /// What one network gives to the next: colors in 16 bits.
    pub(super) fn between(channels: Channels) -> Self {
        Self {
            channels,
            depth: Depth::Sixteen,
            icc: None,
            metadata: OutputMetadata::default(),
            transform: ColorTransform::Straight,
            background: None,
            conversions: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The same for an image that no network sees: its own numbers need not go to sRGB and come back, unless they
    /// are laid over a background there.
    #[must_use]
    pub(super) fn without_network(mut self) -> Self {
        if self.background.is_none() && matches!(self.transform, ColorTransform::RoundTrip(_)) {
            self.transform = ColorTransform::Straight;
            self.conversions.retain(|conversion| *conversion != Conversion::ProfileRoundTrip);
        }
        self
    }

    /// Decides by the header alone; `view` has the size of the answer.
    pub(super) fn of(probe: &Probe, format: OutputFormat, depth: Depth, wish: Fidelity, view: &View) -> Self {
        let gray = probe.channels.colors() == 1;
        let flattens = format == OutputFormat::Jpeg || wish.alpha == Transparency::Flatten;
        let background = (probe.channels.has_alpha() && flattens).then_some(wish.background);
        // WebP has no gray: its encoder writes three channels of a gray image.
        let colored = gray && (format == OutputFormat::WebP || background.is_some_and(|b| !b.is_gray()));
        let channels = match (probe.channels, background) {
            (Channels::GrayAlpha, Some(background)) if background.is_gray() => Channels::Gray,
            (Channels::GrayAlpha | Channels::Rgba, Some(_)) => Channels::Rgb,
            (channels, _) => channels,
        };

        let mut warnings = probe.warnings.clone();
        // A profile for gray does not fit an image in color.
        let to_srgb = wish.icc == Icc::Srgb || colored;
        let tag = || Some(signals::srgb(gray && !colored));
        let own = || probe.icc.as_ref().filter(|_| !colored).map(|profile| Arc::clone(&profile.bytes));
        let (transform, icc) = match (&probe.icc, to_srgb) {
            (None, _) => (ColorTransform::Straight, if wish.icc == Icc::Srgb { tag() } else { None }),
            (Some(profile), _) if profile.space == Space::Srgb => {
                (ColorTransform::Straight, if colored && wish.icc == Icc::Srgb { tag() } else { own() })
            }
            (Some(profile), _) => match (&profile.space, to_srgb) {
                (Space::Shaper(shaper), false) => (ColorTransform::RoundTrip(Arc::clone(shaper)), own()),
                (Space::Shaper(shaper), true) => (ColorTransform::ToSrgb(Arc::clone(shaper)), tag()),
                (_, false) => (ColorTransform::Straight, own()),
                (_, true) => match profile.forward_transform() {
                    Some(tables) => (ColorTransform::Tables(tables), tag()),
                    None => (ColorTransform::Straight, own()),
                },
            },
        };
        if probe.icc.as_ref().is_some_and(|profile| profile.space == Space::NotInvertible)
            && matches!(transform, ColorTransform::Straight)
        {
            warnings.push(Warning::ProfileNotInvertible);
        }

        let (metadata, dropped) =
            probe.metadata.kept(wish.metadata, wish.density, format, view.output(), view.growth());
        if probe.metadata.unreadable && wish.metadata != MetadataPolicy::None {
            warnings.push(Warning::MetadataUnreadable);
        }

        let done = [
            (Conversion::OrientationApplied, probe.orientation != Orientation::Upright),
            (Conversion::ProfileMade, probe.icc_made),
            (Conversion::CmykByProfile, probe.cmyk_transform.is_some()),
            (Conversion::ProfileRoundTrip, matches!(transform, ColorTransform::RoundTrip(_))),
            (Conversion::ProfileToSrgb, matches!(transform, ColorTransform::ToSrgb(_) | ColorTransform::Tables(_))),
            (Conversion::AlphaFlattened, background.is_some()),
            (Conversion::GrayToRgb, colored),
            (Conversion::DepthReduced, probe.depth != depth),
            (Conversion::DensityScaled, metadata.density.is_some() && metadata.density != probe.metadata.density),
            (Conversion::MetadataDropped, dropped),
        ];
        let conversions = done.into_iter().filter_map(|(conversion, done)| done.then_some(conversion)).collect();
        Self { channels, depth, icc, metadata, transform, background, conversions, warnings }
    }
}
