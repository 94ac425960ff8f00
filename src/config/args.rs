//! Every flag and its variable, typed, with help and defaults beside it.
//!
//! The variable of a flag is its name in capitals after `UPSCALER_`; a test holds them to it. Sizes and times are text
//! in the defaults, as users write them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use inference::engine::batch_sizer::BATCH_MAX;
use inference::registry::ModelChoice;

use super::keys::Secret;
use super::{LogFormat, Precision, Provider, TraceArgs, parse};

/// What a request may need after its deadline: its last bytes on the wire.
const LAST_BYTES: Duration = Duration::from_secs(5);

/// What engines are made of: shared by `serve`, `upscale`, `eval` and `models`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Models and engine")]
pub struct EngineArgs {
    /// Folder of models: NAME/model.toml and the ONNX files that it names
    #[arg(long, env = "UPSCALER_MODELS", value_name = "DIR", default_value = "models")]
    pub models: PathBuf,
    /// Model that is used where none is asked for: a name, or auto (by what each file is)
    ///
    /// auto takes the model that suits the file by its model.toml: lossless, lossy, or a JPEG of that quality.
    #[arg(long, env = "UPSCALER_MODEL", value_name = "NAME", default_value = "auto", value_parser = parse::model)]
    pub model: ModelChoice,
    /// Load only these models, separated by commas [default: all of the folder]
    ///
    /// `bicubic` is built in, always there, and needs no ONNX Runtime: with `--only bicubic` none is loaded.
    #[arg(long, env = "UPSCALER_ONLY", value_name = "NAMES", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Execution provider: auto (the fastest that is there), cpu, openvino or cuda
    ///
    /// One that is asked for and is not available is an error at start, never a silent fallback.
    #[arg(long, env = "UPSCALER_PROVIDER", value_name = "NAME", default_value = "auto", ignore_case = true)]
    pub provider: Provider,
    /// Arithmetic: auto (the fastest that costs nothing visible), fp32, bf16 (openvino) or fp16 (cuda)
    #[arg(long, env = "UPSCALER_PRECISION", value_name = "NAME", default_value = "auto", ignore_case = true)]
    pub precision: Precision,
    /// Memory on a GPU that each session may take; there is one for every network and worker
    #[arg(long, env = "UPSCALER_GPU_MEMORY", value_name = "SIZE", default_value = "2GB", value_parser = parse::bytes)]
    pub gpu_memory: u64,
    /// ONNX Runtime library [default: looked for beside the program and in .runtime]
    #[arg(long, env = "UPSCALER_RUNTIME", value_name = "FILE")]
    pub runtime: Option<PathBuf>,
    /// Worker threads, each with sessions of its own [default: by cores]
    #[arg(long, env = "UPSCALER_WORKERS", value_name = "N", value_parser = count())]
    pub workers: Option<usize>,
    /// Compute threads of each worker; workers x threads may not exceed the cores [default: by cores]
    #[arg(long, env = "UPSCALER_THREADS", value_name = "N", value_parser = count())]
    pub threads: Option<usize>,
    /// Largest tiles of a model in a batch at most, 1 to 64; of smaller tiles as many more as take the same time
    ///
    /// 1 suits a CPU: larger batches are no faster there, and a small request waits for the one that runs.
    #[arg(
        long,
        env = "UPSCALER_MAX_BATCH",
        value_name = "TILES",
        default_value = "1",
        value_parser = count().range(1..=BATCH_MAX as u64)
    )]
    pub max_batch: usize,
    /// How long a free worker waits for a fuller batch, up to 1s
    ///
    /// 0 is right on a CPU: batches grow by themselves under load. A GPU may gain from a few milliseconds.
    #[arg(
        long,
        env = "UPSCALER_MAX_BATCH_DELAY",
        value_name = "TIME",
        default_value = "0ms",
        value_parser = parse::batch_delay
    )]
    pub max_batch_delay: Duration,
    /// Tiles of all admitted requests together at most; what would exceed it is refused with 429
    #[arg(long, env = "UPSCALER_QUEUE_TILES", value_name = "TILES", default_value = "16384", value_parser = count())]
    pub queue_tiles: usize,
    /// Memory of all admitted requests together [default: 1GB, or half of what the machine has if that is less]
    #[arg(long, env = "UPSCALER_MEMORY", value_name = "SIZE", value_parser = parse::bytes)]
    pub memory: Option<u64>,
    /// Pixels of an image at most, by its header (1MP = 1024x1024: 4096x4096 fits into 16MP)
    #[arg(long, env = "UPSCALER_MAX_INPUT", value_name = "PIXELS", default_value = "16MP", value_parser = parse::pixels)]
    pub max_input: u64,
    /// Pixels of an answer at most
    #[arg(
        long,
        env = "UPSCALER_MAX_OUTPUT",
        value_name = "PIXELS",
        default_value = "256MP",
        value_parser = parse::pixels
    )]
    pub max_output: u64,
}

/// What `serve` takes.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Ports, limits, drain.
    #[command(flatten)]
    pub http: HttpArgs,
    /// Where traces go.
    #[command(flatten)]
    pub traces: TraceArgs,
    /// Models, provider, threads, queue.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// The HTTP server.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
pub struct HttpArgs {
    /// Address and port to listen on; port 0 takes any free one
    #[arg(
        long,
        env = "UPSCALER_LISTEN",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:8080",
        value_parser = parse::address
    )]
    pub listen: SocketAddr,
    /// Address and port for GET /metrics alone [default: beside the rest]
    #[arg(long, env = "UPSCALER_METRICS_LISTEN", value_name = "ADDR:PORT", value_parser = parse::address)]
    pub metrics_listen: Option<SocketAddr>,
    /// Bytes of an upload at most
    #[arg(long, env = "UPSCALER_MAX_BODY", value_name = "SIZE", default_value = "25MB", value_parser = parse::body_bytes)]
    pub max_body: usize,
    /// Time for a whole request; a request may ask for less
    #[arg(long, env = "UPSCALER_DEADLINE", value_name = "TIME", default_value = "300s", value_parser = parse::timeout)]
    pub deadline: Duration,
    /// The header of a connection's first request must be in within this
    #[arg(
        long,
        env = "UPSCALER_HEADER_TIMEOUT",
        value_name = "TIME",
        default_value = "10s",
        value_parser = parse::timeout
    )]
    pub header_timeout: Duration,
    /// An upload must be in within this
    #[arg(long, env = "UPSCALER_BODY_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = parse::timeout)]
    pub body_timeout: Duration,
    /// After its request's deadline, a client has this long to take the rest of an answer
    #[arg(long, env = "UPSCALER_WRITE_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = parse::timeout)]
    pub write_timeout: Duration,
    /// After SIGTERM: go on serving for this long, though not ready, while load balancers take notice
    ///
    /// 0 suits a terminal. Behind a Kubernetes service 5s is usual: endpoints are removed while pods are asked to end.
    #[arg(long, env = "UPSCALER_DRAIN_GRACE", value_name = "TIME", default_value = "0s", value_parser = parse::duration)]
    pub drain_grace: Duration,
    /// After SIGTERM: end after this at the latest [default: drain grace + deadline + 5s]
    ///
    /// Within the default every accepted request can finish. A second signal ends at once.
    #[arg(long, env = "UPSCALER_DRAIN_CAP", value_name = "TIME", value_parser = parse::duration)]
    pub drain_cap: Option<Duration>,
    /// Origins of browser pages that may call, separated by commas, or * for all [default: none, no CORS headers]
    #[arg(long, env = "UPSCALER_CORS_ORIGINS", value_name = "ORIGINS", value_parser = parse::origins)]
    pub cors_origins: Option<parse::Origins>,
    /// API keys that /v1 asks for, separated by commas, each KEY or NAME KEY [default: none, all may call]
    ///
    /// Prefer the variable or the file: a flag is seen by all who may list the processes.
    #[arg(long, env = "UPSCALER_API_KEYS", value_name = "KEYS")]
    pub api_keys: Option<Secret>,
    /// File of API keys, one a line, read at start [default: none]
    ///
    /// Its keys hold beside those of --api-keys. A line is KEY or NAME KEY; one that begins with # is a comment.
    #[arg(long, env = "UPSCALER_API_KEYS_FILE", value_name = "FILE")]
    pub api_keys_file: Option<PathBuf>,
}

impl HttpArgs {
    /// Between SIGTERM and the end at most. An admitted request ends by its deadline: waiting longer gains nothing, less
    /// would lose it.
    pub fn drain_cap(&self) -> Duration {
        self.drain_cap.unwrap_or(self.drain_grace.saturating_add(self.deadline).saturating_add(LAST_BYTES))
    }
}

/// How to log; for every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logs (to standard error)")]
pub struct LogArgs {
    /// Lines for people or JSON: human or json
    #[arg(
        long,
        global = true,
        env = "UPSCALER_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "human",
        ignore_case = true
    )]
    pub log_format: LogFormat,
    /// error, warn, info, debug or trace; or by module, as in `warn,san_upscaler=debug`
    #[arg(
        long,
        global = true,
        env = "UPSCALER_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "warn,san_upscaler=info",
        value_parser = parse::log_filter
    )]
    pub log_level: String,
}

fn count() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;
    use crate::config::variable;

    #[test]
    fn every_flag_has_its_variable_and_help() {
        for command in [ServeArgs::augment_args(Command::new("serve")), LogArgs::augment_args(Command::new("log"))] {
            command.clone().debug_assert();
            for arg in command.get_arguments() {
                let flag = arg.get_long().expect("every setting has a long flag");
                let env = arg.get_env().expect("every setting has a variable").to_string_lossy();
                assert_eq!(env, variable(flag));
                assert!(arg.get_help().is_some(), "--{flag} has no help");
            }
        }
    }

    /// The table of docs/configuration.md: the text of `--help`, a row for each setting of `serve`.
    #[test]
    fn the_document_lists_every_setting() {
        let command = LogArgs::augment_args(ServeArgs::augment_args(Command::new("serve")));
        let mut table = String::from("| flag | variable | default | meaning |\n|---|---|---|---|\n");
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let flag = arg.get_long().expect("every setting has a long flag");
            let value = arg.get_value_names().map_or(String::new(), |names| format!(" {}", names[0]));
            let help = arg.get_help().expect("every setting has help").to_string();
            let default = arg.get_default_values().first().map(|value| format!("`{}`", value.to_string_lossy()));
            let (meaning, computed) = help
                .split_once(" [default: ")
                .map_or((help.as_str(), ""), |(meaning, rest)| (meaning, rest.trim_end_matches(']')));
            let default = default.unwrap_or_else(|| computed.to_owned());
            table += &[format!("| `--{flag}{value}` | `{}`", variable(flag)), default, meaning.to_owned()].join(" | ");
            table += " |\n";
        }
        let document = include_str!("../../docs/configuration.md");
        assert!(document.contains(&table), "docs/configuration.md should have this table:\n{table}");
    }
}
