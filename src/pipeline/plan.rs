//! What will be done with an image, by its header.

use images::encode::{QUALITY, Target};
use images::geometry::passes::{passes, product};
use images::geometry::{Factor, Resize, View};
use images::raster::Depth;
use images::resample::reduce::Line;
use images::units::{Scale, Size};
use images::{CodecError, InputFormat, OutputFormat, Probe, Warning};
use inference::engine::Execution;
use inference::registry::{Kind, LookupError, Network};
use scheduler::{AdmissionRequest, BatchClass};
use serde::Serialize;
use tiling::{Grid, TileSpec};
use tokio::time::Instant;

use super::context::Pipeline;
use super::error::PipelineError;
use super::fidelity::{Conversion, Fidelity, OutputPlan};
use super::options::Options;
use super::pass::PassSpec;
use super::selection::{Selection, select};
use super::{ensemble, memory};

/// The answer of `POST /v1/plan`, and what `upscale` follows.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Name of the model that runs.
    pub model: String,
    /// Why it was chosen; absent where it was named.
    pub reason: Option<String>,
    /// Magnification, if one was asked for and not sides.
    pub scale: Option<Factor>,
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
    /// Tiles of all passes.
    pub tiles: usize,
    /// By the measured rate and what waits now.
    pub estimated_seconds: f64,
    /// The networks that run, one after the other; none where the answer is not larger than the upload.
    pub passes: Vec<PlannedPass>,
    /// Whether what they give is then reduced, or cut, to the answer.
    pub reduced: bool,
    /// What is done beside upscaling.
    pub conversions: Vec<Conversion>,
    /// What an image that is flattened lies over, `#rrggbb`.
    pub background: Option<String>,
    /// What was ignored or could not be kept.
    pub warnings: Vec<Warning>,
    /// What was asked for.
    #[serde(skip)]
    pub fidelity: Fidelity,
    /// Memory the request is admitted with.
    #[serde(skip)]
    pub bytes: u64,
    /// What the answer shows of the upload.
    #[serde(skip)]
    pub view: View,
    /// What the header said.
    #[serde(skip)]
    pub probe: Probe,
}

impl Plan {
    /// Whether the pixels of the answer are those of the upload.
    pub(super) const fn stays(&self) -> bool {
        self.passes.is_empty() && !self.reduced
    }
}

/// One network on its way.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedPass {
    /// Its native scale.
    pub scale: Scale,
    /// What it is given; of an answer that is cut, the part that is kept and some context.
    pub input: Size,
    /// What it gives.
    pub output: Size,
    /// What the network sees, and the halo.
    pub tile: TileSpec,
    /// Tiles that it runs, self-ensemble counted.
    pub tiles: usize,
    /// SHA-256 of the model file; absent for bicubic.
    pub model_sha256: Option<String>,
    /// What runs it.
    pub execution: Execution,
}

/// A plan with what it takes to carry it out.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    /// One for each pass.
    pub(super) specs: Vec<PassSpec>,
    pub(super) reduction: Option<(Line, Line)>,
    pub(super) target: Target,
    pub(super) output_plan: OutputPlan,
    /// One for each pass, and one if there is none: the last holds all memory but the tiles of earlier passes.
    pub(super) admission_requests: Vec<AdmissionRequest>,
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
        let view = options.resize.view(probe.size)?;
        let output = view.output();
        if output.pixels() > self.limits.output_pixels {
            return Err(PipelineError::Codec(CodecError::TooLarge {
                name: "output_pixels",
                what: "number of pixels after upscaling",
                limit: self.limits.output_pixels,
                actual: output.pixels(),
                remedy: "ask for a smaller scale, or send a smaller image",
            }));
        }
        let kind = (probe.format, probe.loss);
        let Selection { model, reason } = select(&self.registry, &options.model, kind, view.times())?;
        let networks = self.networks(&model, &view)?;
        let output_plan = OutputPlan::of(&probe, options.format, depth, options.fidelity, &view);
        let output_plan = if networks.is_empty() { output_plan.without_network() } else { output_plan };
        let OutputPlan { channels, depth, icc, metadata, .. } = output_plan.clone();
        let quality = options.quality.unwrap_or(QUALITY);
        let target = Target { format: options.format, quality, size: output, channels, depth, icc, metadata };
        target.check()?;

        let copies = if options.ensemble { ensemble::ORIENTATIONS } else { 1 };
        let (mut passes, mut specs, mut admission_requests) = (Vec::new(), Vec::new(), Vec::new());
        let mut size = view.window().size;
        for network in networks {
            let spec = PassSpec { grid: Grid::new(size, &network.tile), scale: network.scale, copies };
            let class = BatchClass { network: network.id, shape: spec.grid.spec().shape };
            admission_requests.push(AdmissionRequest {
                class,
                tiles: spec.tiles(),
                bytes: spec.tiles_held(),
                deadline,
            });
            passes.push(self.pass(network, &spec));
            size = spec.output();
            specs.push(spec);
        }
        if admission_requests.is_empty() {
            admission_requests.push(self.memory_alone(&model, deadline)?);
        }
        let reduction = view.reduction(product(&specs.iter().map(|spec| spec.scale).collect::<Vec<_>>()));
        if let Some(last) = admission_requests.last_mut() {
            last.bytes = memory::bytes_held(&probe, upload, &view, &specs, reduction.as_ref(), (&target, &output_plan));
        }
        let plan = Plan {
            model,
            reason,
            scale: match options.resize {
                Resize::By(factor) => Some(factor),
                Resize::To { .. } => None,
            },
            ensemble: options.ensemble,
            input_format: probe.format,
            output_format: options.format,
            quality: options.format.is_lossy().then_some(target.quality),
            input: probe.size,
            output,
            tiles: passes.iter().map(|pass| pass.tiles).sum(),
            passes,
            reduced: reduction.is_some(),
            estimated_seconds: self.scheduler.estimate(&admission_requests).0.as_secs_f64(),
            conversions: output_plan.conversions.clone(),
            background: output_plan.background.map(|background| background.to_string()),
            warnings: output_plan.warnings.clone(),
            fidelity: options.fidelity,
            bytes: admission_requests.iter().map(|admission| admission.bytes).sum(),
            view,
            probe,
        };
        Ok(Prepared { plan, specs, reduction, target, output_plan, admission_requests })
    }

    fn pass(&self, network: &Network, spec: &PassSpec) -> PlannedPass {
        PlannedPass {
            scale: network.scale,
            input: spec.grid.image(),
            output: spec.output(),
            tile: spec.grid.spec(),
            tiles: spec.tiles(),
            model_sha256: match &network.kind {
                Kind::Bicubic => None,
                Kind::Onnx { sha256, .. } => Some(sha256.clone()),
            },
            execution: self.executions[network.id.0].clone(),
        }
    }

    /// The networks of a model that reach what the view asks for.
    fn networks(&self, model: &str, view: &View) -> Result<Vec<&Network>, LookupError> {
        let natives: Vec<Scale> = self.registry.model(model)?.scales.iter().map(|info| info.scale).collect();
        // A model of none but x1 reaches nothing: the error names what it has not.
        let unreached = || Scale::new(view.times() as u8).into_iter().collect();
        let sequence = passes(&natives, view.times()).unwrap_or_else(unreached);
        sequence.into_iter().map(|scale| self.registry.find(model, scale)).collect()
    }

    /// What a request without a pass asks of the scheduler: no tile in whichever batch class.
    fn memory_alone(&self, model: &str, deadline: Instant) -> Result<AdmissionRequest, LookupError> {
        let info = self.registry.model(model)?;
        let scale = info.scales.first().expect("a model has at least one scale").scale;
        let network = self.registry.find(model, scale)?;
        let shape = network.tile.smallest();
        Ok(AdmissionRequest { class: BatchClass { network: network.id, shape }, tiles: 0, bytes: 0, deadline })
    }
}

/// Depth of the answer: 16 bits are kept where the format has them.
pub(super) fn depth_of(probe: &Probe, format: OutputFormat) -> Depth {
    if format.has_16_bits() { probe.depth } else { Depth::Eight }
}
