//! What a client may choose.

use std::time::Duration;

use images::OutputFormat;
use images::geometry::Resize;
use images::units::Size;
use inference::registry::ModelChoice;

use super::error::PipelineError;
use super::fidelity::Fidelity;

/// What a client may choose; everything else is the server's.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which model.
    pub model: ModelChoice,
    /// How large the answer is to be.
    pub resize: Resize,
    /// x8 self-ensemble (Timofte et al. 2016; SAN+ in Dai et al. 2019).
    pub ensemble: bool,
    /// File format of the answer.
    pub format: OutputFormat,
    /// What the client takes as well, in its order: the first that is wide enough replaces a format that is not.
    pub alternatives: Vec<OutputFormat>,
    /// 1 to 100, where the format loses anything; absent for what is hardly seen.
    pub quality: Option<u8>,
    /// Which frame of an animation or page of a TIFF, from 0; none is chosen unasked where there are several.
    pub frame: Option<u32>,
    /// Colors, transparency and metadata.
    pub fidelity: Fidelity,
    /// Time for the whole request, from now.
    pub deadline: Duration,
}

impl Options {
    /// With the first alternative that can hold the answer to an image of `size`, where the format cannot.
    pub(super) fn fitting(&self, size: Size) -> Result<Self, PipelineError> {
        let output = self.resize.view(size)?.output();
        let mut formats = std::iter::once(self.format).chain(self.alternatives.iter().copied());
        let format = formats.find(|format| format.holds(output)).unwrap_or(self.format);
        Ok(Self { format, ..self.clone() })
    }
}
