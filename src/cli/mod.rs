//! The commands of the binary, one file each.
//!
//! A command's file has `Args`, which clap fills, and `run(Args) -> Result<ExitCode, Failure>`; what several
//! commands share is in [`failure`], [`start`] and [`runtime`].

pub mod eval;
pub mod failure;
pub mod health;
mod library;
pub mod models;
mod probe;
mod runtime;
pub mod serve;
pub mod signals;
pub mod start;
pub mod upscale;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use self::failure::Failure;
use crate::config::{LogArgs, ServeArgs};
use crate::telemetry::logs;

/// Upscales images with SAN, the Second-order Attention Network: as an HTTP service and on the command line
///
/// Every flag has a variable of its own, UPSCALER_ and the flag's name in capitals; flags win over variables.
#[derive(Parser, Debug)]
#[command(name = "san-upscaler", version, arg_required_else_help = true, max_term_width = 120)]
pub struct Cli {
    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Serve over HTTP
    Serve(Box<ServeArgs>),
    /// Upscale files and folders
    Upscale(Box<upscale::Args>),
    /// Measure a model on a test set: PSNR and SSIM on luma
    Eval(Box<eval::Args>),
    /// List the models: scales, parameters, tiles, and what would run them
    Models(Box<models::Args>),
    /// Ask a running server whether it is ready; exit 0 if it is, else 1
    Health(health::Args),
    /// Run one tile and end: whether the provider that is named answers
    #[command(hide = true)]
    Probe(Box<probe::Args>),
}

/// The command line with its help: variables are named there, their values are not.
pub fn command() -> clap::Command {
    hide_values(Cli::command())
}

fn hide_values(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(hide_values)
}

/// Reads the arguments of this process, runs the command, and reports how it ended.
pub fn main() -> ExitCode {
    keep_to_itself();
    let cli = match Cli::from_arg_matches(&command().get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    run(cli).unwrap_or_else(|failure| {
        let _ = writeln!(std::io::stderr(), "error: {failure}");
        failure.code()
    })
}

/// Builds of ONNX Runtime from 1.29 on report to their maker, from the moment that they are loaded: what can be said to
/// them afterwards comes too late.
#[expect(unsafe_code, clippy::disallowed_methods, reason = "the library is configured by its own variable")]
fn keep_to_itself() {
    // SAFETY: nothing else runs yet, so nobody reads the environment meanwhile.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let _last_lines = logs::init(&cli.log);
    match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Upscale(args) => upscale::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Models(args) => models::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Probe(args) => probe::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::variable;

    #[test]
    fn variables_are_called_after_their_flags_and_everything_has_help() {
        let mut commands = vec![command()];
        while let Some(command) = commands.pop() {
            command.clone().debug_assert();
            for arg in command.get_arguments() {
                if let (Some(flag), Some(env)) = (arg.get_long(), arg.get_env()) {
                    assert_eq!(env.to_string_lossy(), variable(flag));
                }
                assert!(arg.get_help().is_some(), "{} {} has no help", command.get_name(), arg.get_id());
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }
}
