//! Flags about color, transparency and notes: those of the service, by the same names.

use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use strum::VariantNames;

use crate::pipeline::Fidelity;
use crate::pipeline::fidelity::{Background, DensityPolicy, Icc, MetadataPolicy, Transparency};

/// Reads one of a few words.
pub(super) fn one_of<T>() -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static> + VariantNames + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(T::VARIANTS).try_map(|name| name.parse())
}

/// What may be chosen; the defaults keep the image as it was, only larger.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct FidelityArgs {
    /// Colors of the results: those of the image's own profile, or sRGB
    #[arg(long, value_parser = one_of::<Icc>(), default_value_t)]
    pub icc: Icc,
    /// Whether transparency stays where the format has it
    #[arg(long, value_parser = one_of::<Transparency>(), default_value_t)]
    pub alpha: Transparency,
    /// What is seen through an image that is flattened, as #rrggbb in sRGB
    #[arg(long, value_name = "COLOR", default_value_t)]
    pub background: Background,
    /// Notes that are kept: density and copyright, everything there is a place for, or nothing
    #[arg(long, value_parser = one_of::<MetadataPolicy>(), default_value_t)]
    pub metadata: MetadataPolicy,
    /// Whether the results are as large on paper as the images, or have as many pixels an inch
    #[arg(long, value_parser = one_of::<DensityPolicy>(), default_value_t)]
    pub density: DensityPolicy,
}

impl FidelityArgs {
    /// The wish as the pipeline takes it.
    pub(super) fn wish(self) -> Fidelity {
        let Self { icc, alpha, background, metadata, density } = self;
        Fidelity { icc, alpha, background, metadata, density }
    }
}
