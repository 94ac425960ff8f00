//! A process that tries one provider: asked by [`super::library`] before a server loads a library for good.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use inference::engine;
use inference::registry::Registry;

use super::failure::{Failure, StartError};
use super::library::any_network;
use crate::config::{EngineArgs, Machine};

/// What the process that is asked takes.
#[derive(ClapArgs, Clone, Debug)]
pub struct Args {
    /// Folder, provider, precision, library.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// The process that is asked: runs a tile of one network, or ends with the reason.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let settings = args.engine.settings(&Machine::here())?;
    let registry = Registry::load(&settings.models, &settings.only).map_err(StartError::from)?;
    if let Some(network) = any_network(&registry, &settings.model) {
        engine::start::open(network, &settings).map_err(StartError::from)?;
    }
    Ok(ExitCode::SUCCESS)
}
