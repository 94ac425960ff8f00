//! How large the answer is, and by which networks it is reached: pure arithmetic on what was asked for, what the header
//! says, and the scales that a model has.
//!
//! A request names a [`Factor`] or sides ([`Resize`]); with the size of the upload that is a [`View`]: the exact size
//! of the answer, each side rounded once, and the part of the upload that it shows. [`passes`] are the networks that
//! reach it; what they make beyond it is taken back by one antialiased reduction (`resample::reduce`).

mod factor;
pub mod passes;
mod view;

pub use factor::{Factor, FactorError};
pub use view::{GeometryError, Side, View, Window};

use std::fmt;

use strum::{Display, EnumString, VariantNames};

/// How an image is fitted into a box of width and height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, EnumString, VariantNames, Display)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// As large as the box holds; one side may stay shorter.
    #[default]
    Inside,
    /// The box exactly; what is beyond it on both ends is cropped.
    Cover,
    /// The box exactly; the image is stretched.
    Fill,
}

/// What size is asked for. Sides are those of the image as it is seen: upright, by its EXIF orientation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// So many times as wide and as high.
    By(Factor),
    /// At least one of the sides, 1 or more; without the other the shape is kept.
    To {
        /// Pixels across.
        width: Option<u32>,
        /// Pixels down.
        height: Option<u32>,
        /// What both sides together mean.
        fit: Fit,
    },
}

impl Resize {
    /// The magnification, where one is asked for.
    pub fn factor(self) -> Option<f64> {
        match self {
            Self::By(factor) => Some(factor.number()),
            Self::To { .. } => None,
        }
    }
}

impl fmt::Display for Resize {
    /// As a log has it: `2.5`, `800x`, `x600`, `800x600 cover`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(factor) => factor.fmt(f),
            Self::To { width: Some(width), height: Some(height), fit } => write!(f, "{width}x{height} {fit}"),
            Self::To { width, height, .. } => {
                let side = |side: Option<u32>| side.map(|side| side.to_string()).unwrap_or_default();
                write!(f, "{}x{}", side(*width), side(*height))
            }
        }
    }
}
