//! What is to be said about a file that is no reason to refuse it: names that programs may match on.

use serde::{Serialize, Serializer};

/// Something that was ignored or could not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Warning {
    /// The ICC profile is broken or incomplete, and was ignored.
    ProfileUnreadable,
    /// The ICC profile is for other channels than those of the pixels, and was ignored.
    ProfileMismatch,
    /// There is more than one ICC profile; the first counts.
    ProfileDuplicated,
    /// The profile has no way back from sRGB: the network saw the image's own numbers.
    ProfileNotInvertible,
    /// `cICP`, `gAMA` or `cHRM` of a PNG mean nothing, and were ignored.
    ColorChunksUnreadable,
    /// Exif, XMP or a text is broken or too long, and was left out.
    MetadataUnreadable,
    /// What ends the file is missing, and nothing of the image.
    TruncatedTrailer,
    /// CMYK became RGB by the naive formula: no profile was used.
    CmykNaive,
}

impl Warning {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::ProfileUnreadable,
        Self::ProfileMismatch,
        Self::ProfileDuplicated,
        Self::ProfileNotInvertible,
        Self::ColorChunksUnreadable,
        Self::MetadataUnreadable,
        Self::TruncatedTrailer,
        Self::CmykNaive,
    ];

    /// Says it, once: a file may give the same reason a million times.
    pub fn add_to(self, warnings: &mut Vec<Self>) {
        if !warnings.contains(&self) {
            warnings.push(self);
        }
    }

    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::ProfileUnreadable => "its color profile cannot be read and was left out; colors are taken for sRGB",
            Self::ProfileMismatch => "its color profile is for other channels than it has, and was left out",
            Self::ProfileDuplicated => "it has more than one color profile; the first counts",
            Self::ProfileNotInvertible => {
                "its color profile cannot be converted with; it was kept, and the colors with it"
            }
            Self::ColorChunksUnreadable => "what it says of its colors means nothing, and was left out",
            Self::TruncatedTrailer => "what ends the file is missing; its pixels are all there",
            Self::CmykNaive => "no profile says how its inks look; its colors were made by the rule of thumb",
            Self::MetadataUnreadable => "some of its metadata cannot be read, and was left out",
        }
    }

    /// As in `X-Upscale-Warnings` and in a plan.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProfileUnreadable => "profile-unreadable",
            Self::ProfileMismatch => "profile-mismatch",
            Self::ProfileDuplicated => "profile-duplicated",
            Self::ProfileNotInvertible => "profile-not-invertible",
            Self::ColorChunksUnreadable => "color-chunks-unreadable",
            Self::MetadataUnreadable => "metadata-unreadable",
            Self::TruncatedTrailer => "truncated-trailer",
            Self::CmykNaive => "cmyk-naive",
        }
    }
}

impl Serialize for Warning {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
