//! What engines are made of, the words of settings, and what is wrong with one.

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;
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

/// A wrong setting: which, what it is, what is wrong with it and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag} ({}) is '{value}': {what}", variable(.flag))]
pub struct SettingsError {
    /// The flag with its dashes.
    pub flag: &'static str,
    /// Its value.
    pub value: String,
    /// What is wrong and the remedy.
    pub what: String,
}

impl SettingsError {
    /// From its parts.
    pub fn new(flag: &'static str, value: impl fmt::Display, what: impl Into<String>) -> Self {
        Self { flag, value: value.to_string(), what: what.into() }
    }
}

/// The environment variable of a flag: `--max-body` is `UPSCALER_MAX_BODY`. OpenTelemetry's own variables keep the name
/// by which every service knows them.
pub fn variable(flag: &str) -> String {
    let name = flag.trim_start_matches('-').replace('-', "_").to_ascii_uppercase();
    if name.starts_with("OTEL_") { name } else { format!("UPSCALER_{name}") }
}
