//! What engines are made of, the words of settings, and what is wrong with one.

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;

use crate::codec::InputLimits;
use crate::registry::ModelChoice;
use crate::scheduler;

/// Which execution provider is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    /// The fastest that is really there.
    Auto,
    /// ONNX Runtime's CPU provider.
    Cpu,
    /// OpenVINO, on the CPU.
    #[value(name = "openvino")]
    OpenVino,
    /// An NVIDIA card.
    Cuda,
}

impl Provider {
    /// As it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::OpenVino => "openvino",
            Self::Cuda => "cuda",
        }
    }

    /// Whether it has this arithmetic on any machine, or else what to take instead.
    pub const fn has(self, precision: Precision) -> Result<(), &'static str> {
        match (self, precision) {
            (Self::Cpu, Precision::Bf16) => Err("it computes in fp32 only; take --provider openvino or auto for bf16"),
            (Self::Cpu, Precision::Fp16) => Err("it computes in fp32 only; take --provider cuda or auto for fp16"),
            (Self::OpenVino, Precision::Fp16) => Err("it has fp32 and bf16; take one of them, or auto"),
            (Self::Cuda, Precision::Bf16) => Err("it has fp32 and fp16; take one of them, or auto"),
            _ => Ok(()),
        }
    }
}

/// Which arithmetic is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// The fastest that costs nothing visible.
    Auto,
    /// 32-bit floating point.
    Fp32,
    /// 16 bits with the exponent of fp32; OpenVINO.
    Bf16,
    /// 16 bits with a finer mantissa; CUDA.
    Fp16,
}

impl Precision {
    /// As it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
        }
    }
}

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
