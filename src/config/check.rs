//! Checks across settings, and what follows from several of them and the machine. Each value by itself was checked by
//! clap ([`super::parse`]).

use bytesize::ByteSize;
use humantime::format_duration;

use images::InputLimits;
use inference::registry::ModelChoice;

use super::{
    ApiKeys, EngineArgs, EngineSettings, HttpArgs, Machine, Provider, ServeArgs, SettingsError, TraceSettings,
};

/// Threads of one worker by default at most: the convolutions of one batch of tiles do not spread over more.
const THREADS_MAX: usize = 8;
/// The memory budget by default, where the machine has twice that.
const MEMORY: u64 = 1_000_000_000;
/// Uploads of the greatest size that may be on their way in at once, where the machine has the memory. Admission counts
/// what is in work; without a bound, slow uploads beside it could hold any amount.
const BODIES: u64 = 16;

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

impl EngineArgs {
    /// What engines are made of on this machine.
    pub fn settings(&self, machine: &Machine) -> Result<EngineSettings, SettingsError> {
        let only = self.only.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
        let only: Vec<String> = only.map(ToOwned::to_owned).collect();
        if let ModelChoice::Named(model) = &self.model
            && !only.is_empty()
            && !only.contains(model)
        {
            let what = format!("the default model '{model}' is not among them; add it, or set --model");
            return Err(SettingsError::new("--only", only.join(","), what));
        }
        Provider::has(self.provider, self.precision).map_err(|remedy| {
            let what = format!("not available with --provider {}: {remedy}", self.provider.name());
            SettingsError::new("--precision", self.precision.name(), what)
        })?;
        let (workers, threads) =
            plan_threads(machine.cores, self.provider == Provider::Cuda, self.workers, self.threads);
        if workers.saturating_mul(threads) > machine.cores {
            let (flag, value) = if self.threads.is_some() { ("--threads", threads) } else { ("--workers", workers) };
            let cores = machine.cores;
            let what = format!(
                "{workers} workers of {threads} threads need more than the {cores} cores that this process has; lower --workers or --threads"
            );
            return Err(SettingsError::new(flag, value, what));
        }
        if self.queue_tiles < self.max_batch {
            let what = format!("smaller than one batch; give at least --max-batch, which is {}", self.max_batch);
            return Err(SettingsError::new("--queue-tiles", self.queue_tiles, what));
        }
        if self.max_output < self.max_input {
            let least = self.max_input;
            let what =
                format!("an answer is never smaller than its upload; give at least --max-input, which is {least}");
            return Err(SettingsError::new("--max-output", self.max_output, what));
        }
        Ok(EngineSettings {
            models: self.models.clone(),
            model: self.model.clone(),
            only,
            provider: self.provider,
            precision: self.precision,
            gpu_memory: self.gpu_memory,
            runtime: self.runtime.clone(),
            workers,
            threads,
            scheduler: scheduler::Limits {
                batch_max: self.max_batch,
                batch_delay: self.max_batch_delay,
                queue_tiles: self.queue_tiles,
                queue_bytes: self.queue_bytes(machine)?,
            },
            input: InputLimits { input_pixels: self.max_input, output_pixels: self.max_output },
        })
    }

    fn queue_bytes(&self, machine: &Machine) -> Result<u64, SettingsError> {
        match (self.memory, machine.memory) {
            (Some(budget), Some(all)) if budget > all => {
                let what = format!("this process has {}; give at most that, less what the models take", show(all));
                Err(SettingsError::new("--memory", show(budget), what))
            }
            (Some(budget), _) => Ok(budget),
            (None, all) => Ok(all.map_or(MEMORY, |all| MEMORY.min(all / 2))),
        }
    }
}

impl ServeArgs {
    /// What `serve` runs on, on this machine.
    pub fn settings(&self, machine: &Machine) -> Result<Settings, SettingsError> {
        let http = self.http.clone();
        if http.metrics_listen == Some(http.listen) && http.listen.port() != 0 {
            let what = "the same as --listen; take another port, or leave it out to have /metrics beside the rest";
            return Err(SettingsError::new("--metrics-listen", http.listen, what));
        }
        if http.drain_cap() < http.drain_grace {
            let grace = format_duration(http.drain_grace);
            let what = format!("ends before --drain-grace, which is {grace}; give more");
            return Err(SettingsError::new("--drain-cap", format_duration(http.drain_cap()), what));
        }
        let engine = self.engine.settings(machine)?;
        let max_body = http.max_body as u64;
        if max_body > engine.scheduler.queue_bytes {
            let budget = show(engine.scheduler.queue_bytes);
            let what = format!("no such upload fits into the memory budget of {budget}; lower it or raise --memory");
            return Err(SettingsError::new("--max-body", show(max_body), what));
        }
        Ok(Settings {
            upload_bytes: upload_bytes(max_body, machine.memory),
            api_keys: api_keys(&http)?,
            traces: self.traces.settings()?,
            http,
            engine,
        })
    }
}

/// Keys of the flag and of the file.
fn api_keys(http: &HttpArgs) -> Result<Option<ApiKeys>, SettingsError> {
    let given = http.api_keys.as_ref().map(|keys| {
        // Its value is not shown.
        ApiKeys::parse(keys.text()).map_err(|what| SettingsError::new("--api-keys", "(hidden)", what))
    });
    let read = http
        .api_keys_file
        .as_ref()
        .map(|file| ApiKeys::read(file).map_err(|what| SettingsError::new("--api-keys-file", file.display(), what)));
    Ok(match (given.transpose()?, read.transpose()?) {
        (Some(keys), Some(others)) => Some(keys.joined(others)),
        (keys, others) => keys.or(others),
    })
}

/// Room for all uploads being read: [`BODIES`] of the greatest size, but no more than an eighth of the memory, most of
/// which is for the work itself; one must fit.
fn upload_bytes(max_body: u64, memory: Option<u64>) -> u64 {
    let bodies = max_body.saturating_mul(BODIES);
    memory.map_or(bodies, |memory| bodies.min(memory / 8)).max(max_body)
}

/// Workers and threads of each. More compute threads than cores take turns instead of working, and a container's quota
/// then stops them all at once. By default as few workers (each holds sessions of its own) as keep all cores busy with
/// at most [`THREADS_MAX`] threads; for a GPU two, so that one copies while the other computes.
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

/// Bytes as people read them.
fn show(bytes: u64) -> String {
    ByteSize::b(bytes).display().si().to_string()
}
