//! What the program runs on: values with their types, checked as a whole.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use super::ApiKeys;
use crate::codec::InputLimits;
use crate::scheduler;

/// Which execution provider is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    /// The fastest that is really there.
    Auto,
    /// ONNX Runtime's CPU provider.
    Cpu,
}

/// Which arithmetic is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// The fastest that costs nothing visible.
    Auto,
    /// 32-bit floating point.
    Fp32,
}

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
    pub model: String,
    /// Only these models are loaded; empty: all.
    pub only: Vec<String>,
    /// Provider wanted.
    pub provider: Provider,
    /// Precision wanted.
    pub precision: Precision,
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
}
