//! Flags about colour, transparency and notes: those of the service, by the same names.

use crate::pipeline::Fidelity;
use crate::pipeline::fidelity::{Background, Icc, Transparency};

/// What may be chosen; the defaults keep the picture as it was, only larger.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct FidelityArgs {
    /// Colours of the results: those of the image's own profile, or sRGB
    #[arg(long, value_enum, default_value_t)]
    pub icc: Icc,
    /// Whether transparency stays where the format has it
    #[arg(long, value_enum, default_value_t)]
    pub alpha: Transparency,
    /// What is seen through an image that is flattened, as #rrggbb in sRGB
    #[arg(long, value_name = "COLOUR", default_value_t)]
    pub background: Background,
}

impl FidelityArgs {
    /// The wish as the pipeline takes it.
    pub(super) fn wish(self) -> Fidelity {
        let Self { icc, alpha, background } = self;
        Fidelity { icc, alpha, background }
    }
}
