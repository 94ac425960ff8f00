//! What the program runs on, checked as a whole.

use std::path::PathBuf;

use clap::ValueEnum;
use images::InputLimits;
use inference::engine::backend::{Precision, Provider};
use inference::engine::start::Wanted;
use inference::registry::ModelChoice;

use super::{ApiKeys, HttpArgs, TraceSettings};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
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
    /// The HTTP server.
    pub http: HttpArgs,
    /// Models, provider, threads, queue.
    pub engine: EngineSettings,
    /// Bytes of all uploads being read at most.
    pub upload_bytes: u64,
    /// Keys of the flag and of the file; `None`: no key is asked for.
    pub api_keys: Option<ApiKeys>,
    /// Where traces go; `None`: nowhere.
    pub traces: Option<TraceSettings>,
}
