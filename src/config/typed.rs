//! What was typed: every flag and its variable, text throughout, help and defaults beside it.
//!
//! Text, because clap stops at the first value that it cannot read; `read` reads them all and tells of all.
//! The variable of a flag is its name in capitals after `UPSCALER_`; a test holds them to it.

use clap::Args;

use super::TraceArgs;
use super::keys::Secret;

/// What engines are made of: shared by `serve`, `upscale`, `eval` and `models`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Models and engine")]
pub struct EngineArgs {
    /// Folder of models: NAME/model.toml and the ONNX files that it names
    #[arg(long, env = "UPSCALER_MODELS", value_name = "DIR", default_value = "models")]
    pub models: String,
    /// Model that is used where none is asked for: a name, or auto (by what each file is)
    ///
    /// auto takes the model whose model.toml says that it suits the file: lossless, lossy, or a JPEG of that quality.
    #[arg(long, env = "UPSCALER_MODEL", value_name = "NAME", default_value = "auto")]
    pub model: String,
    /// Load only these models, separated by commas [default: all of the folder]
    ///
    /// `bicubic` is built in, always there, and needs no ONNX Runtime: with `--only bicubic` none is loaded.
    #[arg(long, env = "UPSCALER_ONLY", value_name = "NAMES")]
    pub only: Option<String>,
    /// Execution provider: auto (the fastest that is there), cpu, openvino or cuda
    ///
    /// One that is asked for and cannot be had is an error at start, never a silent fallback.
    #[arg(long, env = "UPSCALER_PROVIDER", value_name = "NAME", default_value = "auto")]
    pub provider: String,
    /// Arithmetic: auto (the fastest that costs nothing visible), fp32, bf16 (openvino) or fp16 (cuda)
    #[arg(long, env = "UPSCALER_PRECISION", value_name = "NAME", default_value = "auto")]
    pub precision: String,
    /// Memory on a GPU that each session may take; there is one for every network and worker
    #[arg(long, env = "UPSCALER_GPU_MEMORY", value_name = "SIZE", default_value = "2GB")]
    pub gpu_memory: String,
    /// ONNX Runtime library [default: looked for beside the program and in .runtime]
    #[arg(long, env = "UPSCALER_RUNTIME", value_name = "FILE")]
    pub runtime: Option<String>,
    /// Worker threads, each with sessions of its own [default: by cores]
    #[arg(long, env = "UPSCALER_WORKERS", value_name = "N")]
    pub workers: Option<String>,
    /// Compute threads of each worker; workers x threads may not exceed the cores [default: by cores]
    #[arg(long, env = "UPSCALER_THREADS", value_name = "N")]
    pub threads: Option<String>,
    /// Largest tiles of a model in a batch at most, 1 to 64; of smaller tiles as many more as take the same time
    ///
    /// 1 suits a CPU: larger batches are no faster there, and a small request waits for the one that runs.
    #[arg(long, env = "UPSCALER_MAX_BATCH", value_name = "TILES", default_value = "1")]
    pub max_batch: String,
    /// How long a free worker waits for a fuller batch, up to 1s
    ///
    /// 0 is right on a CPU: batches grow by themselves under load. A GPU may gain from a few milliseconds.
    #[arg(long, env = "UPSCALER_MAX_BATCH_DELAY", value_name = "TIME", default_value = "0ms")]
    pub max_batch_delay: String,
    /// Tiles of all admitted requests together at most; what would exceed it is refused with 429
    #[arg(long, env = "UPSCALER_QUEUE_TILES", value_name = "TILES", default_value = "16384")]
    pub queue_tiles: String,
    /// Memory of all admitted requests together [default: 1GB, or half of what the machine has if that is less]
    #[arg(long, env = "UPSCALER_MEMORY", value_name = "SIZE")]
    pub memory: Option<String>,
    /// Pixels of a picture at most, told from its header (1MP = 1024x1024: 4096x4096 fits into 16MP)
    #[arg(long, env = "UPSCALER_MAX_INPUT", value_name = "PIXELS", default_value = "16MP")]
    pub max_input: String,
    /// Pixels of an answer at most
    #[arg(long, env = "UPSCALER_MAX_OUTPUT", value_name = "PIXELS", default_value = "256MP")]
    pub max_output: String,
}

/// What `serve` takes besides.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
pub struct ServeArgs {
    /// Address and port to listen on; port 0 takes any free one
    #[arg(long, env = "UPSCALER_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Address and port for GET /metrics alone [default: beside the rest]
    #[arg(long, env = "UPSCALER_METRICS_LISTEN", value_name = "ADDR:PORT")]
    pub metrics_listen: Option<String>,
    /// Bytes of an upload at most
    #[arg(long, env = "UPSCALER_MAX_BODY", value_name = "SIZE", default_value = "25MB")]
    pub max_body: String,
    /// Time for a whole request; a request may ask for less
    #[arg(long, env = "UPSCALER_DEADLINE", value_name = "TIME", default_value = "300s")]
    pub deadline: String,
    /// The header of a connection's first request must be in within this
    #[arg(long, env = "UPSCALER_HEADER_TIMEOUT", value_name = "TIME", default_value = "10s")]
    pub header_timeout: String,
    /// An upload must be in within this
    #[arg(long, env = "UPSCALER_BODY_TIMEOUT", value_name = "TIME", default_value = "60s")]
    pub body_timeout: String,
    /// After its request's deadline, a client has this long to take the rest of an answer
    #[arg(long, env = "UPSCALER_WRITE_TIMEOUT", value_name = "TIME", default_value = "30s")]
    pub write_timeout: String,
    /// After SIGTERM: go on serving for this long, though not ready, while load balancers take notice
    ///
    /// 0 suits a terminal. Behind a Kubernetes service 5s is usual: endpoints are removed while pods are told to end.
    #[arg(long, env = "UPSCALER_DRAIN_GRACE", value_name = "TIME", default_value = "0s")]
    pub drain_grace: String,
    /// After SIGTERM: end after this at the latest [default: drain grace + deadline + 5s]
    ///
    /// Within the default every accepted request can finish. A second signal ends at once.
    #[arg(long, env = "UPSCALER_DRAIN_CAP", value_name = "TIME")]
    pub drain_cap: Option<String>,
    /// Origins of browser pages that may call, separated by commas, or * for all [default: none, no CORS headers]
    #[arg(long, env = "UPSCALER_CORS_ORIGINS", value_name = "ORIGINS")]
    pub cors_origins: Option<String>,
    /// API keys that /v1 asks for, separated by commas, each KEY or NAME KEY [default: none, all may call]
    ///
    /// Prefer the variable or the file: a flag is seen by whoever may list the processes.
    #[arg(long, env = "UPSCALER_API_KEYS", value_name = "KEYS")]
    pub api_keys: Option<Secret>,
    /// File of API keys, one a line, read at start [default: none]
    ///
    /// Its keys hold beside those of --api-keys. A line is KEY or NAME KEY; one that begins with # is a comment.
    #[arg(long, env = "UPSCALER_API_KEYS_FILE", value_name = "FILE")]
    pub api_keys_file: Option<String>,
    /// Where traces go.
    #[command(flatten)]
    pub traces: TraceArgs,
    /// Models, provider, threads, queue.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// How to log; for every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logs (to standard error)")]
pub struct LogArgs {
    /// Lines for people or JSON: human or json
    #[arg(long, global = true, env = "UPSCALER_LOG_FORMAT", value_name = "FORMAT", default_value = "human")]
    pub log_format: String,
    /// error, warn, info, debug or trace; or by module, as in `warn,san_upscaler=debug`
    #[arg(
        long,
        global = true,
        env = "UPSCALER_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "warn,san_upscaler=info"
    )]
    pub log_level: String,
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;
    use crate::config::problems::variable;
    use crate::config::{LogFormat, Precision, Provider};

    #[test]
    fn help_names_every_value() {
        let command = LogArgs::augment_args(EngineArgs::augment_args(Command::new("serve")));
        let help = |flag: &str| {
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(flag)).expect("a flag");
            arg.get_help().expect("help").to_string()
        };
        for (flag, names) in [
            ("provider", values::<Provider>()),
            ("precision", values::<Precision>()),
            ("log-format", values::<LogFormat>()),
        ] {
            for name in names {
                assert!(help(flag).contains(&name), "--{flag}: {name}");
            }
        }
    }

    fn values<T: clap::ValueEnum>() -> Vec<String> {
        T::value_variants().iter().filter_map(|v| Some(v.to_possible_value()?.get_name().to_owned())).collect()
    }

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

    /// The table of docs/configuration.md: what `--help` says, a row for each setting of `serve`.
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
