//! What the program runs on: values with their types, checked as a whole.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use super::{ApiKeys, TraceSettings};
use images::InputLimits;
use inference::engine::backend::{Precision, Provider};
use inference::engine::start::Wanted;
use inference::registry::ModelChoice;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// How to log.
#[derive(Debug)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// Which lines there are.
    pub filter: EnvFilter,
}

/// What engines are made of: shared by `serve`, `upscale` and `eval`.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Folder of models.
    pub models: PathBuf,
    /// Default model.
    pub model: ModelChoice,
    /// Only these models are loaded; empty: all.
    pub only: Vec<String>,
    /// Provider wanted.
    pub provider: Provider,
    /// Precision wanted.
    pub precision: Precision,
    /// Bytes that each session may take on a GPU.
    pub gpu_memory: u64,
    /// ONNX Runtime library; `None`: looked for (see `engine::runtime`).
    pub runtime: Option<PathBuf>,
    /// Worker threads, each with sessions of its own.
    pub workers: usize,
    /// Intra-op threads of each worker. workers × threads never exceeds the cores of this process.
    pub threads: usize,
    /// Queue and batch bounds.
    pub scheduler: scheduler::Limits,
    /// Header limits.
    pub input: InputLimits,
}

impl<'a> From<&'a EngineSettings> for Wanted<'a> {
    fn from(settings: &'a EngineSettings) -> Self {
        Self {
            provider: settings.provider,
            precision: settings.precision,
            runtime: settings.runtime.as_deref(),
            threads: settings.threads,
            gpu_memory: settings.gpu_memory,
        }
    }
}

/// What `serve` runs on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Models, provider, threads, queue.
    pub engine: EngineSettings,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where to serve metrics, if not beside the rest.
    pub metrics_listen: Option<SocketAddr>,
    /// Upload bytes at most.
    pub max_body_bytes: usize,
    /// Bytes of all uploads being read at most.
    pub upload_bytes: u64,
    /// Deadline of a request that asks for none, and the most it may ask for.
    pub deadline: Duration,
    /// The header of a connection's first request must be in within this.
    pub header_timeout: Duration,
    /// An upload must be in within this.
    pub body_timeout: Duration,
    /// After its request's deadline, a client has this long to take the rest of an answer.
    pub write_timeout: Duration,
    /// Between SIGTERM and refusing: still serving, but not ready.
    pub drain_grace: Duration,
    /// Between SIGTERM and the end at most.
    pub drain_cap: Duration,
    /// Origins for CORS; empty: no CORS headers.
    pub cors_origins: Vec<String>,
    /// Keys that were given as such.
    pub api_keys: Option<ApiKeys>,
    /// A file with keys, or more of them. With neither, no key is asked for.
    pub api_keys_file: Option<PathBuf>,
    /// Where traces go; `None`: nowhere.
    pub traces: Option<TraceSettings>,
}
