//! How sessions are made: the options of each provider, and the check that it has the network.

use std::path::Path;

use ort::ep;
use ort::session::Session;
use ort::session::builder::{AutoDevicePolicy, SessionBuilder};
use ort::value::ValueType;

use crate::engine::EngineError;
use crate::engine::backend::{Backend, Device};
use crate::engine::runtime::Runtime;
use crate::engine::runtime::placement::{Placement, RECORD};
use crate::registry::Skip;

/// Name of the input: (batch, 3, height, width).
pub(super) const INPUT: &str = "lr";

/// Name of the output of a network that gives the whole image: (batch, 3, height·scale, width·scale).
const IMAGE: &str = "sr";

/// Name of the output of one that gives what is added to the upscaled image, in the same shape.
const DETAIL: &str = "detail";

/// Planes of an image: red, green, blue.
pub(super) const PLANES: usize = 3;

/// What a session may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Threads on the CPU.
    pub threads: usize,
    /// Bytes on a card.
    pub gpu_memory: u64,
}

/// Name of a network's output.
pub(super) const fn output(skip: Option<Skip>) -> &'static str {
    if skip.is_some() { DETAIL } else { IMAGE }
}

/// A session of a network, all of whose costly nodes run on `backend`.
pub(super) fn session(
    runtime: &Runtime,
    network: &Path,
    backend: Backend,
    resources: Resources,
) -> Result<Session, EngineError> {
    let mut options = options(runtime, backend, resources).map_err(|error| cannot(backend, error.message()))?;
    let session = options.commit_from_file(network).map_err(|error| cannot(backend, error.message()))?;
    let placement = Placement::of(&session).map_err(|e| failed(&e))?;
    placement.is_on(backend.device()).map_err(|reason| cannot(backend, &reason))?;
    Ok(session)
}

pub(super) fn options(runtime: &Runtime, backend: Backend, resources: Resources) -> Result<SessionBuilder, ort::Error> {
    let builder = Session::builder(runtime.environment())?
        // Left to itself, `ort` prefers whatever accelerator the library finds; what runs here is what was asked for.
        .with_auto_device(AutoDevicePolicy::PreferCPU)?
        .with_config_entry(RECORD, "1")?
        .with_inter_threads(1)?
        // Threads that spin take the cores from decoding and encoding, and burn a container's quota while idle.
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_memory_pattern(false)?
        .with_env_allocators()?;
    Ok(match backend.device() {
        Device::Cpu => builder.with_intra_threads(resources.threads)?,
        // Each has threads of its own, or needs none.
        Device::OpenVino => {
            builder.with_intra_threads(1)?.with_execution_providers([openvino(backend, resources.threads)])?
        }
        Device::Cuda => builder.with_intra_threads(1)?.with_execution_providers([cuda(resources.gpu_memory)])?,
    })
}

/// One stream, so that all threads work on one batch, as those of the CPU provider do. Not pinned to cores: two workers
/// would be pinned to the same ones, and a container's cores are not its own.
fn openvino(backend: Backend, threads: usize) -> ep::ExecutionProviderDispatch {
    let precision = if backend == Backend::OpenVinoBf16 { "bf16" } else { "f32" };
    let config = format!(
        r#"{{"CPU":{{"INFERENCE_PRECISION_HINT":"{precision}","INFERENCE_NUM_THREADS":"{threads}","NUM_STREAMS":"1","ENABLE_CPU_PINNING":"NO"}}}}"#
    );
    let provider = ep::OpenVINO::default().with_device_type("CPU");
    ep::ArbitrarilyConfigurableExecutionProvider::with_arbitrary_config(provider, "load_config", config)
        .build()
        .error_on_failure()
}

/// The heuristic choice of a convolution's algorithm takes milliseconds a shape, the exhaustive one seconds. The arena
/// grows by what is needed: by doubling it would take up to twice that from other sessions. No TensorFloat-32: fp32 was
/// asked for, or fp16 for what bears it and fp32 for the rest.
fn cuda(memory: u64) -> ep::ExecutionProviderDispatch {
    ep::CUDA::default()
        .with_memory_limit(usize::try_from(memory).unwrap_or(usize::MAX))
        .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
        .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
        .with_tf32(false)
        .build()
        .error_on_failure()
}

/// A network from elsewhere gets an error with what its ends must be called, rather than failing at its first tile.
pub(super) fn check_ends(session: &Session, skip: Option<Skip>) -> Result<(), EngineError> {
    let inputs = session.inputs().iter().map(|i| (i.name(), i.dtype())).collect::<Vec<_>>();
    let outputs = session.outputs().iter().map(|o| (o.name(), o.dtype())).collect::<Vec<_>>();
    for (what, ends, name) in [("input", inputs, INPUT), ("output", outputs, output(skip))] {
        let fits = |dtype: &ValueType| dtype.tensor_shape().is_some_and(|shape| shape.len() == 4);
        if !matches!(ends[..], [(found, dtype)] if found == name && fits(dtype)) {
            let found: Vec<_> = ends.iter().map(|(name, dtype)| format!("{name}: {dtype}")).collect();
            let remedy = match (what, ends[..].first()) {
                ("output", Some((DETAIL, _))) => "; write skip = \"bicubic\" into its model.toml",
                ("output", Some((IMAGE, _))) => "; take skip = \"bicubic\" out of its model.toml",
                _ => "",
            };
            return Err(EngineError::Unopened(format!(
                "the network's {what} must be one tensor \"{name}\" (batch, {PLANES}, height, width), but it has {}{remedy}",
                found.join(", ")
            )));
        }
    }
    Ok(())
}

/// Why there is no session on `backend`, with what that needs.
pub(super) fn cannot(backend: Backend, reason: &str) -> EngineError {
    let reason = reason.trim_end_matches('.');
    let needs = match backend.device() {
        Device::Cpu => return EngineError::Unopened(reason.to_owned()),
        Device::OpenVino => "",
        Device::Cuda => "; it needs an NVIDIA device with its driver, CUDA 13 and cuDNN 9",
    };
    EngineError::Unopened(format!("{} cannot run the network: {reason}{needs}", backend.device().name()))
}

pub(super) fn failed(error: &ort::Error) -> EngineError {
    EngineError::Runtime(error.message().to_owned())
}
