//! The one place that sees the whole way: probe, admit, decode, tiles, queue, blend, encode.
//!
//! [`Pipeline::plan`] answers from the header alone; [`Pipeline::upscale`] walks the way for HTTP and the command
//! line alike; [`Pipeline::upscale_raster`] walks its middle for `eval`.

pub mod plan;
pub mod walk;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

pub use plan::Plan;

use crate::codec::{CodecError, InputLimits, OutputFormat};
use crate::engine::Execution;
use crate::raster::Raster;
use crate::registry::{LookupError, Registry};
use crate::scheduler::{Refusal, Scheduler};
use crate::telemetry::Metrics;
use crate::units::Scale;

/// What a client may choose; everything else is the server's.
#[derive(Clone, Debug)]
pub struct Options {
    /// Model name.
    pub model: String,
    /// Magnification.
    pub scale: Scale,
    /// x8 self-ensemble (Timofte et al. 2016; SAN+ in Dai et al. 2019).
    pub ensemble: bool,
    /// File format of the answer.
    pub format: OutputFormat,
    /// Time for the whole request, from now.
    pub deadline: Duration,
}

/// How long the stages took, as far as they are over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Bytes to pixels.
    pub decode: Duration,
    /// Mean wait of a tile for a worker.
    pub queue: Duration,
    /// From the first tile submitted to the last one back, less `queue`; zero while tiles are out.
    pub infer: Duration,
    /// Time the encoder computed; zero while it runs.
    pub encode: Duration,
}

/// An enlarged picture on its way out.
#[derive(Debug)]
pub struct Answer {
    /// What was done.
    pub plan: Plan,
    /// Strong entity tag without quotes: input, options, model and arithmetic determine the bytes.
    pub etag: String,
    /// As far as known when the first bytes left.
    pub timings: Timings,
    /// Length in bytes, if the whole file was ready before the first byte left.
    pub length: Option<u64>,
    /// The file. Dropping the receiver cancels the rest of the work. An error cuts the file off.
    pub body: mpsc::Receiver<Result<Bytes, PipelineError>>,
}

/// Why there is no picture.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PipelineError {
    /// The bytes are no picture for us.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The model or its scale does not exist.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// Not admitted.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The deadline passed on the way.
    #[error("the deadline of {} s passed before the picture was done; send a smaller image, a faster model, or try at a quieter time", .0.as_secs_f64())]
    Deadline(Duration),
    /// Inference or encoding failed; the text is for the log, not for the client.
    #[error("{0}")]
    Internal(String),
}

/// Everything a request passes through; shared by all requests.
pub struct Pipeline {
    /// Networks.
    pub registry: Arc<Registry>,
    /// Queue and workers.
    pub scheduler: Scheduler,
    /// Header limits.
    pub limits: InputLimits,
    /// What runs each network, by `NetworkId`.
    pub executions: Vec<Execution>,
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// Decode, blend and encode compute at most this many at a time.
    pub compute: Arc<tokio::sync::Semaphore>,
}

impl Pipeline {
    /// What `upscale` would do with a file that begins with `bytes`, or the error it would give.
    pub fn plan(&self, _bytes: &[u8], _options: &Options) -> Result<Plan, PipelineError> {
        unimplemented!("pipeline helper")
    }

    /// Enlarges one file. Returns when the whole answer is ready or its first [`walk::THRESHOLD`] bytes are; until
    /// then a failure is an error, after it the body breaks off.
    pub async fn upscale(self: &Arc<Self>, _bytes: Bytes, _options: Options) -> Result<Answer, PipelineError> {
        unimplemented!("pipeline helper")
    }

    /// Enlarges decoded pixels, whole in memory: for measuring.
    pub async fn upscale_raster(self: &Arc<Self>, _image: Raster, _options: Options) -> Result<Raster, PipelineError> {
        unimplemented!("pipeline helper")
    }
}
