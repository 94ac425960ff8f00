//! From what was typed to settings: a pure function of text and machine that tells of every wrong setting at once.
//!
//! Each value is read for itself; what concerns two of them is checked only where both could be read, so that one
//! mistake makes one complaint.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;
use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use super::units::{bytes, duration, pixels, show_bytes};
use super::{
    ApiKeys, EngineArgs, EngineSettings, LogArgs, LogSettings, Machine, Problems, Provider, ServeArgs, Settings,
};
use images::InputLimits;
use inference::engine::batch_sizer::BATCH_MAX;
use inference::registry::ModelChoice;

/// A worker that waits longer for a fuller batch than this only adds latency.
const BATCH_DELAY_MAX: Duration = Duration::from_secs(1);
/// Threads of one worker, where nobody says otherwise: the convolutions of one batch of tiles do not spread over more.
const THREADS_MAX: usize = 8;
/// The memory budget, where nobody says otherwise and the machine has twice that.
const MEMORY: u64 = 1_000_000_000;
/// Uploads of the greatest size that may be on their way in at once, where the machine has the memory. Admission counts
/// what is in work; without a bound, slow uploads beside it could hold any amount.
const BODIES: u64 = 16;
/// What a request may need after its deadline: its last bytes on the wire.
const LAST_BYTES: Duration = Duration::from_secs(5);

impl LogArgs {
    /// Reads them, or tells all that is wrong.
    pub fn settings(&self) -> Result<LogSettings, Problems> {
        let mut problems = Problems::default();
        let format = problems.read("--log-format", &self.log_format, named);
        let filter = problems.read("--log-level", &self.log_level, |text| {
            EnvFilter::try_new(text).map_err(|_| {
                "not a level; write error, warn, info, debug, trace, or pairs like warn,san_upscaler=debug".into()
            })
        });
        match (format, filter) {
            (Some(format), Some(filter)) => Ok(LogSettings { format, filter }),
            _ => Err(problems),
        }
    }
}

impl EngineArgs {
    /// Reads and checks them on this machine, or tells all that is wrong.
    pub fn settings(&self, machine: &Machine) -> Result<EngineSettings, Problems> {
        let mut problems = Problems::default();
        self.read(machine, &mut problems).filter(|_| problems.0.is_empty()).ok_or(problems)
    }

    fn read(&self, machine: &Machine, problems: &mut Problems) -> Option<EngineSettings> {
        let models = problems.read("--models", &self.models, path);
        let model = problems.read("--model", &self.model, |text| {
            if text.trim().is_empty() {
                Err("a name is needed, like san-light or bicubic, or auto".into())
            } else {
                Ok(ModelChoice::from(text.trim()))
            }
        });
        let only = problems.read("--only", self.only.as_deref().unwrap_or_default(), |text| Ok(list(text)));
        if let (Some(ModelChoice::Named(model)), Some(only)) = (&model, &only)
            && !only.is_empty()
            && !only.contains(model)
        {
            problems.add(
                "--only",
                only.join(","),
                format!("the default model '{model}' is not among them; add it, or set --model"),
            );
        }
        let provider = problems.read("--provider", &self.provider, named);
        let precision = problems.read("--precision", &self.precision, named);
        if let (Some(provider), Some(precision)) = (provider, precision)
            && let Err(remedy) = Provider::has(provider, precision)
        {
            problems.add(
                "--precision",
                precision.name(),
                format!("not to be had of --provider {}: {remedy}", provider.name()),
            );
        }
        let gpu_memory = problems.read("--gpu-memory", &self.gpu_memory, |text| above_zero(text, bytes));
        let runtime = self.runtime.as_deref().map(|text| problems.read("--runtime", text, path));
        let (workers, threads) = self.threads(machine, provider, problems).unzip();

        let batch_max = problems.read("--max-batch", &self.max_batch, |text| match text.parse() {
            Ok(tiles @ 1..=BATCH_MAX) => Ok(tiles),
            _ => Err(format!("a batch has 1 to {BATCH_MAX} tiles")),
        });
        let batch_delay = problems.read("--max-batch-delay", &self.max_batch_delay, |text| {
            duration(text).and_then(|delay| {
                if delay <= BATCH_DELAY_MAX {
                    Ok(delay)
                } else {
                    Err("more than 1s only adds latency; give 0 to 1s".into())
                }
            })
        });
        let queue_tiles = problems.read("--queue-tiles", &self.queue_tiles, count);
        if let (Some(queue), Some(batch)) = (queue_tiles, batch_max)
            && queue < batch
        {
            problems.add(
                "--queue-tiles",
                queue,
                format!("smaller than one batch; give at least --max-batch, which is {batch}"),
            );
        }
        let queue_bytes = self.memory(machine, problems);

        let input_pixels = problems.read("--max-input", &self.max_input, |text| above_zero(text, pixels));
        let output_pixels = problems.read("--max-output", &self.max_output, |text| above_zero(text, pixels));
        if let (Some(input), Some(output)) = (input_pixels, output_pixels)
            && output < input
        {
            problems.add(
                "--max-output",
                &self.max_output,
                format!(
                    "an answer is never smaller than its upload; give at least --max-input, which is {}",
                    self.max_input
                ),
            );
        }

        Some(EngineSettings {
            models: models?,
            model: model?,
            only: only?,
            provider: provider?,
            precision: precision?,
            gpu_memory: gpu_memory?,
            runtime: runtime.flatten(),
            workers: workers?,
            threads: threads?,
            scheduler: scheduler::Limits {
                batch_max: batch_max?,
                batch_delay: batch_delay?,
                queue_tiles: queue_tiles?,
                queue_bytes: queue_bytes?,
            },
            input: InputLimits { input_pixels: input_pixels?, output_pixels: output_pixels? },
        })
    }

    /// Workers and threads of each. More compute threads than cores take turns instead of working, and a container's
    /// quota then stops them all at once.
    fn threads(
        &self,
        machine: &Machine,
        provider: Option<Provider>,
        problems: &mut Problems,
    ) -> Option<(usize, usize)> {
        let cores = machine.cores;
        let workers = match &self.workers {
            Some(text) => Some(problems.read("--workers", text, count)?),
            None => None,
        };
        let threads = match &self.threads {
            Some(text) => Some(problems.read("--threads", text, count)?),
            None => None,
        };
        let (workers, threads) = plan_threads(cores, provider == Some(Provider::Cuda), workers, threads);
        if workers.saturating_mul(threads) > cores {
            let (flag, value) = if self.threads.is_some() { ("--threads", threads) } else { ("--workers", workers) };
            problems.add(
                flag,
                value,
                format!("{workers} workers of {threads} threads need more than the {cores} cores that this process has; lower --workers or --threads"),
            );
        }
        Some((workers, threads))
    }

    fn memory(&self, machine: &Machine, problems: &mut Problems) -> Option<u64> {
        let Some(text) = &self.memory else {
            return Some(machine.memory.map_or(MEMORY, |all| MEMORY.min(all / 2)));
        };
        let budget = problems.read("--memory", text, |text| above_zero(text, bytes))?;
        if let Some(all) = machine.memory
            && budget > all
        {
            problems.add(
                "--memory",
                text,
                format!("this process has {}; give at most that, less what the models take", show_bytes(all)),
            );
        }
        Some(budget)
    }
}

impl ServeArgs {
    /// Reads and checks them on this machine, or tells all that is wrong, the engine's settings included.
    pub fn settings(&self, machine: &Machine) -> Result<Settings, Problems> {
        let mut problems = Problems::default();
        self.read(machine, &mut problems).filter(|_| problems.0.is_empty()).ok_or(problems)
    }

    fn read(&self, machine: &Machine, problems: &mut Problems) -> Option<Settings> {
        let listen = problems.read("--listen", &self.listen, address);
        let metrics_listen =
            self.metrics_listen.as_deref().map(|text| problems.read("--metrics-listen", text, address));
        if let (Some(listen), Some(Some(metrics))) = (listen, metrics_listen)
            && listen == metrics
            && listen.port() != 0
        {
            problems.add(
                "--metrics-listen",
                metrics,
                "the same as --listen; take another port, or leave it out to have /metrics beside the rest",
            );
        }
        let max_body = problems.read("--max-body", &self.max_body, |text| {
            usize::try_from(above_zero(text, bytes)?)
                .map_err(|_| "more than this machine can address; give less".into())
        });
        let deadline = problems.read("--deadline", &self.deadline, some_time);
        let header_timeout = problems.read("--header-timeout", &self.header_timeout, some_time);
        let body_timeout = problems.read("--body-timeout", &self.body_timeout, some_time);
        let write_timeout = problems.read("--write-timeout", &self.write_timeout, some_time);
        let drain_grace = problems.read("--drain-grace", &self.drain_grace, duration);
        let drain_cap = match &self.drain_cap {
            Some(text) => problems.read("--drain-cap", text, duration),
            // An admitted request ends by its deadline: waiting longer gains nothing, less would lose it.
            None => drain_grace.zip(deadline).map(|(grace, deadline)| grace + deadline + LAST_BYTES),
        };
        if let (Some(cap), Some(grace)) = (drain_cap, drain_grace)
            && cap < grace
        {
            problems.add(
                "--drain-cap",
                self.drain_cap.as_deref().unwrap_or_default(),
                format!("ends before --drain-grace, which is {}; give more", self.drain_grace),
            );
        }
        let cors_origins = problems.read("--cors-origins", self.cors_origins.as_deref().unwrap_or_default(), origins);
        let api_keys = self.api_keys.as_ref().map(|typed| {
            // What was typed is not shown.
            ApiKeys::parse(typed.text()).map_err(|what| problems.add("--api-keys", "(hidden)", what)).ok()
        });
        let api_keys_file = self.api_keys_file.as_deref().map(|text| problems.read("--api-keys-file", text, path));
        let traces = self.traces.read(problems);
        let engine = self.engine.read(machine, problems);
        if let (Some(body), Some(engine)) = (max_body, &engine)
            && body as u64 > engine.scheduler.queue_bytes
        {
            let budget = show_bytes(engine.scheduler.queue_bytes);
            problems.add(
                "--max-body",
                &self.max_body,
                format!("no such upload fits into the memory budget of {budget}; lower it or raise --memory"),
            );
        }

        Some(Settings {
            engine: engine?,
            listen: listen?,
            metrics_listen: metrics_listen.flatten(),
            max_body_bytes: max_body?,
            upload_bytes: upload_bytes(max_body? as u64, machine.memory),
            deadline: deadline?,
            header_timeout: header_timeout?,
            body_timeout: body_timeout?,
            write_timeout: write_timeout?,
            drain_grace: drain_grace?,
            drain_cap: drain_cap?,
            cors_origins: cors_origins?,
            api_keys: api_keys.flatten(),
            api_keys_file: api_keys_file.flatten(),
            traces,
        })
    }
}

/// Room for all uploads being read: [`BODIES`] of the greatest size, but no more than an eighth of the memory, most of
/// which is for the work itself; one must fit.
fn upload_bytes(max_body: u64, memory: Option<u64>) -> u64 {
    let bodies = max_body.saturating_mul(BODIES);
    memory.map_or(bodies, |memory| bodies.min(memory / 8)).max(max_body)
}

/// Workers and threads of each, from the cores and what was said. Unsaid: as few workers (each holds sessions of its
/// own) as keep all cores busy with at most [`THREADS_MAX`] threads; for a GPU two, so that one copies while the other
/// computes.
fn plan_threads(cores: usize, gpu: bool, workers: Option<usize>, threads: Option<usize>) -> (usize, usize) {
    match (workers, threads) {
        (Some(workers), Some(threads)) => (workers, threads),
        (Some(workers), None) => (workers, (cores / workers).max(1)),
        (None, Some(threads)) => ((cores / threads).max(1), threads),
        (None, None) => {
            let workers = if gpu { cores.min(2) } else { cores.div_ceil(THREADS_MAX) };
            (workers, cores / workers)
        }
    }
}

/// A value of an enumeration by its name.
fn named<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, true).map_err(|_| {
        let names = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        format!(
            "there is no such one; take {}",
            names.map(|name| name.get_name().to_owned()).collect::<Vec<_>>().join(" or ")
        )
    })
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("a path is needed; leave it out for the default".into()) } else { Ok(PathBuf::from(text)) }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(ToOwned::to_owned).collect()
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n >= 1).ok_or_else(|| "a whole number from 1 is needed".into())
}

fn above_zero(text: &str, parse: impl Fn(&str) -> Result<u64, String>) -> Result<u64, String> {
    parse(text).and_then(|n| if n == 0 { Err("nothing would pass; give more than 0".into()) } else { Ok(n) })
}

fn some_time(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|time| {
        if time.is_zero() { Err("no request could be in time; give more than 0".into()) } else { Ok(time) }
    })
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "not an address and port; write it like 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080".into())
}

/// Origins as browsers send them: scheme, host and port, nothing after. `*` stands alone.
fn origins(text: &str) -> Result<Vec<String>, String> {
    let origins = list(text);
    if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
        return Err("* already allows all; leave the others out".into());
    }
    for origin in origins.iter().filter(|origin| *origin != "*") {
        let uri = origin.parse::<Uri>().ok();
        let bare = uri.as_ref().is_some_and(|uri| {
            uri.scheme().is_some() && uri.authority().is_some() && uri.path_and_query().is_none_or(|path| path == "/")
        });
        if !bare || origin.ends_with('/') {
            return Err(format!("'{origin}' is no origin; write it like https://shop.example, without a path"));
        }
    }
    Ok(origins)
}
