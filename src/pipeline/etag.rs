//! The entity tag of an answer: what determines its bytes, hashed.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::plan::Plan;

/// 128 bits of SHA-256 over the upload, the options, the model, what runs it, and the version of this program.
pub(super) fn etag(upload: &[u8], plan: &Plan) -> String {
    // A network sees as far as its tile and halo reach.
    // The view covers scale, width, height and fit: however it was asked for, the same size has the same tag.
    let passes = plan.passes.iter().map(|pass| (pass.scale, &pass.model_sha256, &pass.execution, pass.tile));
    let passes: Vec<_> = passes.collect();
    let made_by = (
        env!("CARGO_PKG_VERSION"),
        &plan.model,
        passes,
        plan.view,
        plan.ensemble,
        plan.output_format,
        plan.quality,
        plan.probe.frame,
        plan.fidelity,
    );
    let mut hash = Sha256::new();
    // A debug text keeps the fields apart: no two sets of them have the same.
    hash.update(format!("{made_by:?}\n"));
    hash.update(upload);
    hash.finalize().iter().take(16).fold(String::with_capacity(32), |mut tag, byte| {
        let _ = write!(tag, "{byte:02x}");
        tag
    })
}
