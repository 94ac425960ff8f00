//! Why a command ends without doing its work.

use std::process::ExitCode;

use inference::engine;
use inference::registry::{LookupError, RegistryError};

use crate::config::SettingsError;

/// Why a command ended without doing its work. The text has the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Wrong flags or variables.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Models, runtime or engines.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Anything else; the text is whole.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// 2 for wrong settings, as clap ends for wrong flags; else 1.
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Settings(_) => ExitCode::from(2),
            Self::Start(_) | Self::Other(_) => ExitCode::FAILURE,
        }
    }
}

/// Why nothing can be upscaled here.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Models are there, but broken; one problem a line.
    #[error("the models cannot be served:\n{0}")]
    Registry(#[from] RegistryError),
    /// There is nothing to choose a model of.
    #[error(
        "--model (UPSCALER_MODEL) is auto, but {} (--models, UPSCALER_MODELS) holds no model to choose; put one into it, or \
         say --model bicubic for the built-in one alone", .0.display()
    )]
    NoModels(std::path::PathBuf),
    /// The default model is none of them.
    #[error("--model (UPSCALER_MODEL) is wrong: {0}; name one of them, or put the model's folder into --models")]
    Model(#[from] LookupError),
    /// The runtime, or a network on it.
    #[error(transparent)]
    Engine(#[from] engine::start::StartError),
    /// One worker has what another has not, as when a GPU's memory runs out between them: half of the answers would not be
    /// what is reported of them.
    #[error(
        "worker {worker} would run '{model}' on {found} and the first on {first}; lower --workers, or name the provider \
         that all can have with --provider"
    )]
    Uneven {
        /// Its number, from 1.
        worker: usize,
        /// The model.
        model: String,
        /// What it runs on there.
        found: String,
        /// What it runs on in the first worker.
        first: String,
    },
    /// The operating system gives no threads.
    #[error("the workers' threads cannot be started: {0}; lower --workers, or allow this process more threads")]
    Threads(#[from] std::io::Error),
}
