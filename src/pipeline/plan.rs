//! What will be done with a picture, told from its header.

use serde::Serialize;
use tokio::time::Instant;

use super::fidelity::{Conversion, Fidelity, Treatment};
use super::{Options, Pipeline, PipelineError, alpha, body, ensemble, walk};
use crate::codec::encode::{QUALITY, Target};
use crate::codec::orientation::Orientation;
use crate::codec::{CodecError, InputFormat, OutputFormat, Probe, Warning};
use crate::engine::Execution;
use crate::raster::{Channels, Depth};
use crate::registry::{Kind, NetworkId};
use crate::scheduler::{Demand, Lane};
use crate::tiling::{Grid, TileSpec};
use crate::units::{Scale, Size};

/// The answer of `POST /v1/plan`, and what `upscale` goes by.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Model name.
    pub model: String,
    /// Magnification.
    pub scale: Scale,
    /// Whether the x8 self-ensemble runs.
    pub ensemble: bool,
    /// Kind of the upload.
    pub input_format: InputFormat,
    /// Kind of the answer.
    pub output_format: OutputFormat,
    /// Quality of the answer, where its format has one.
    pub quality: Option<u8>,
    /// Size of the upload, upright.
    pub input: Size,
    /// Size of the answer.
    pub output: Size,
    /// Tile shape and halo.
    pub tile: TileSpec,
    /// Tiles that the network runs, self-ensemble counted.
    pub tiles: usize,
    /// By the measured rate and what waits now.
    pub estimated_seconds: f64,
    /// SHA-256 of the model file; absent for bicubic.
    pub model_sha256: Option<String>,
    /// What runs it.
    pub execution: Execution,
    /// What is done beside enlarging.
    pub conversions: Vec<Conversion>,
    /// What a picture that is flattened lies over, `#rrggbb`.
    pub background: Option<String>,
    /// What was ignored or could not be kept.
    pub warnings: Vec<Warning>,
    /// What was asked for.
    #[serde(skip)]
    pub fidelity: Fidelity,
    /// Memory the request is admitted with.
    #[serde(skip)]
    pub bytes: u64,
    /// The network.
    #[serde(skip)]
    pub network: NetworkId,
    /// What the header said.
    #[serde(skip)]
    pub probe: Probe,
}

/// A plan with what it takes to carry it out.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) grid: Grid,
    pub(super) target: Target,
    pub(super) treatment: Treatment,
    pub(super) demand: Demand,
    /// Orientations in which each tile runs: 1 or 8.
    pub(super) copies: usize,
}

/// What a picture of `probe` costs in memory at most: its upload, its profile, and the dearest of decoding it, looking
/// at its alpha and enlarging it.
fn bytes_held(
    probe: &Probe,
    upload: usize,
    grid: &Grid,
    (target, treatment): (&Target, &Treatment),
    scale: Scale,
    copies: usize,
) -> u64 {
    let marks = if probe.channels.has_alpha() { probe.size.pixels() * alpha::SURVEY_BYTES } else { 0 };
    let line = u64::from(target.size.width) * (target.channels.count() * target.depth.bytes()) as u64;
    // Rows leave in bands of at most 1 MiB of levels, or of one row.
    let band = line.max(1 << 20);
    let enlarging = grid.blend_bytes(scale)
        + walk::tiles_held(grid, scale, copies)
        + band
        + treatment
            .way
            .held_bytes(probe.size.width, (3 * size_of::<f32>() as u64 * u64::from(target.size.width)).max(1 << 20))
        + target.buffered_bytes()
        + body::HELD_BYTES as u64;
    upload as u64 + probe.profile_bytes() + probe.decoded_bytes().max(probe.raster_bytes() + marks.max(enlarging))
}

impl Pipeline {
    /// Everything that the header and the options decide. Does not ask the queue.
    pub(super) fn prepare(
        &self,
        probe: Probe,
        upload: usize,
        options: &Options,
        depth: Depth,
        deadline: Instant,
    ) -> Result<Prepared, PipelineError> {
        let network = self.registry.find(&options.model, options.scale)?;
        let output = probe.size.scaled(options.scale);
        if output.pixels() > self.limits.output_pixels {
            return Err(PipelineError::Codec(CodecError::TooLarge {
                name: "output_pixels",
                what: "number of pixels after enlarging",
                limit: self.limits.output_pixels,
                actual: output.pixels(),
                remedy: "ask for a smaller scale, or send a smaller image",
            }));
        }
        let treatment = Treatment::of(&probe, options.format, depth, options.fidelity);
        let Treatment { channels, depth, icc, .. } = treatment.clone();
        let quality = options.quality.unwrap_or(QUALITY);
        let target = Target { format: options.format, quality, size: output, channels, depth, icc };
        target.check()?;

        let grid = Grid::new(probe.size, &network.tiles);
        let copies = if options.ensemble { ensemble::ORIENTATIONS } else { 1 };
        let tiles = grid.len() * copies;
        let bytes = bytes_held(&probe, upload, &grid, (&target, &treatment), options.scale, copies);
        let demand = Demand { lane: Lane { network: network.id, shape: grid.spec().shape }, tiles, bytes, deadline };
        let plan = Plan {
            model: network.model.clone(),
            scale: options.scale,
            ensemble: options.ensemble,
            input_format: probe.format,
            output_format: options.format,
            quality: options.format.is_lossy().then_some(target.quality),
            input: probe.size,
            output,
            tile: grid.spec(),
            tiles,
            estimated_seconds: self.scheduler.estimate(&demand).0.as_secs_f64(),
            model_sha256: match &network.kind {
                Kind::Bicubic => None,
                Kind::Onnx { sha256, .. } => Some(sha256.clone()),
            },
            execution: self.executions[network.id.0].clone(),
            conversions: treatment.conversions.clone(),
            background: treatment.background.map(|background| background.to_string()),
            warnings: treatment.warnings.clone(),
            fidelity: options.fidelity,
            bytes,
            network: network.id,
            probe,
        };
        Ok(Prepared { plan, grid, target, treatment, demand, copies })
    }
}

/// Depth of the answer: 16 bits are kept where the format has them.
pub(super) fn depth_of(probe: &Probe, format: OutputFormat) -> Depth {
    if format.has_16_bits() { probe.depth } else { Depth::Eight }
}

/// What a header would say of pixels that never had one.
pub(super) fn probe_of(size: Size, channels: Channels, depth: Depth) -> Probe {
    let orientation = Orientation::Upright;
    Probe {
        format: InputFormat::Png,
        size,
        channels,
        depth,
        icc: None,
        icc_made: false,
        warnings: Vec::new(),
        orientation,
        frame: 0,
        working_bytes: 0,
    }
}
