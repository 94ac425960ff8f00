//! How sessions are made: the options of each provider, and the check that it has the network.

use std::path::Path;

use ort::ep;
use ort::session::Session;
use ort::session::builder::{AutoDevicePolicy, SessionBuilder};
use ort::value::ValueType;

use crate::engine::backend::{Backend, Device};
use crate::engine::carrier::{self, Cut};
use crate::engine::graph::Malformed;
use crate::engine::runtime::Runtime;
use crate::engine::runtime::placement::{Placement, RECORD};
use crate::engine::{EngineError, half};

/// Name of the input: (batch, 3, height, width).
pub(super) const INPUT: &str = "lr";

/// Name of the output: (batch, 3, height·scale, width·scale).
pub(super) const OUTPUT: &str = "sr";

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

/// A session on the CPU in fp32 whose result is an input of the network.
#[derive(Debug)]
pub(super) struct Carrier {
    pub(super) session: Session,
    /// What both call the tensor between them.
    pub(super) between: String,
}

/// Sessions on a faster provider than the CPU's: of the network, and of what carries the image past it.
pub(super) fn open_sessions(
    runtime: &Runtime,
    path: &Path,
    backend: Backend,
    resources: Resources,
) -> Result<(Session, Option<Carrier>), EngineError> {
    if !backend.is_reduced() {
        return Ok((session(runtime, Network::File(path), backend, resources)?, None));
    }
    let file = std::fs::read(path).map_err(|e| EngineError::Unopened(format!("it cannot be read: {e}")))?;
    let malformed = |e: Malformed| EngineError::Unopened(e.to_string());
    if backend == Backend::CudaFp16 {
        let network = half::convolutions_in_fp16(&file).map_err(malformed)?;
        return Ok((session(runtime, Network::Bytes(&network), backend, resources)?, None));
    }
    let Some(Cut { carrier, network, between }) = carrier::cut(&file).map_err(malformed)? else {
        return Ok((session(runtime, Network::Bytes(&file), backend, resources)?, None));
    };
    let carrier = Network::Bytes(&carrier);
    // A two-hundredth of the work: it has no thread of its own.
    let alone = Resources { threads: 1, ..resources };
    let carrier = Carrier { session: session(runtime, carrier, Backend::CpuFp32, alone)?, between };
    Ok((session(runtime, Network::Bytes(&network), backend, resources)?, Some(carrier)))
}

/// Where a network comes from.
#[derive(Clone, Copy)]
pub(super) enum Network<'a> {
    File(&'a Path),
    Bytes(&'a [u8]),
}

/// A session of a network, all of whose costly nodes run where `backend` says.
pub(super) fn session(
    runtime: &Runtime,
    network: Network,
    backend: Backend,
    resources: Resources,
) -> Result<Session, EngineError> {
    let mut options = options(runtime, backend, resources).map_err(|error| cannot(backend, error.message()))?;
    let session = match network {
        Network::File(path) => options.commit_from_file(path),
        Network::Bytes(bytes) => options.commit_from_memory(bytes),
    }
    .map_err(|error| cannot(backend, error.message()))?;
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

/// A network from elsewhere is told what its ends must be called, rather than failing at its first tile.
pub(super) fn check_ends(session: &Session) -> Result<(), EngineError> {
    let input = session.inputs().iter().map(|i| (i.name(), i.dtype())).collect::<Vec<_>>();
    let output = session.outputs().iter().map(|o| (o.name(), o.dtype())).collect::<Vec<_>>();
    for (what, ends, name) in [("input", input, INPUT), ("output", output, OUTPUT)] {
        let fits = |dtype: &ValueType| dtype.tensor_shape().is_some_and(|shape| shape.len() == 4);
        if !matches!(ends[..], [(found, dtype)] if found == name && fits(dtype)) {
            let found: Vec<_> = ends.iter().map(|(name, dtype)| format!("{name}: {dtype}")).collect();
            return Err(EngineError::Unopened(format!(
                "the network's {what} must be one tensor \"{name}\" (batch, {PLANES}, height, width), but it has {}",
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
