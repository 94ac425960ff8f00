//! Upscales files and folders.
//!
//! Every file goes the way of an HTTP request, through the same pipeline; two are under way at a time, so that one is
//! read and written while the other keeps the network busy. A file that fails does not end the batch. Results appear
//! under their names only when they are whole.

mod fidelity;
mod jobs;
mod save;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::value_parser;
use futures::{StreamExt, stream};
use images::OutputFormat;
use images::geometry::{Factor, Fit, Resize};
use indicatif::{ProgressBar, ProgressStyle};
use prometheus::core::GenericCounter;
use scheduler::Rejection;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::fidelity::{FidelityArgs, one_of};
use self::jobs::Job;
use super::failure::Failure;
use super::signals::Signals;
use super::{runtime, start};
use crate::config::{EngineArgs, Machine};
use crate::pipeline::{Options, Pipeline, PipelineError};
use crate::telemetry::Metrics;

/// Files under way together.
const TOGETHER: usize = 2;
/// Nobody waits behind a connection: only what would take a day is not worth beginning.
const DEADLINE: Duration = Duration::from_hours(24);
/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);
/// Exit code of a program that was interrupted, as shells count it.
const INTERRUPTED: u8 = 130;

/// What `upscale` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Images, and folders of images (searched through, names and subfolders kept)
    #[arg(required = true, value_name = "IN")]
    pub inputs: Vec<PathBuf>,
    /// Where to: a file, if one image goes in and the name ends in .png, .jpg, .webp or .tif; else a folder
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    /// How many times larger: a decimal from 1 to 8
    #[arg(short, long, value_name = "N", default_value = "4", conflicts_with_all = ["width", "height"])]
    pub scale: Factor,
    /// Width of the results in pixels; without --height the shape is kept
    #[arg(long, value_name = "PIXELS", value_parser = value_parser!(u32).range(1..))]
    pub width: Option<u32>,
    /// Height of the results in pixels; without --width the shape is kept
    #[arg(long, value_name = "PIXELS", value_parser = value_parser!(u32).range(1..))]
    pub height: Option<u32>,
    /// How an image is fitted into --width and --height [default: inside]
    #[arg(long, value_parser = one_of::<Fit>(), requires = "width", requires = "height")]
    pub fit: Option<Fit>,
    /// Average over the eight orientations of each tile (self-ensemble): eight times the work, a little more detail
    #[arg(long)]
    pub ensemble: bool,
    /// Format of the results [default: by OUT's extension, else png]
    #[arg(long, value_parser = one_of::<OutputFormat>(), value_name = "FORMAT")]
    pub format: Option<OutputFormat>,
    /// Quality of a JPEG, 1 to 100 [default: 90]
    #[arg(long, value_name = "Q", value_parser = value_parser!(u8).range(1..=100))]
    pub quality: Option<u8>,
    /// Which frame of an animation or page of a TIFF, from 0; files with several are refused without it
    #[arg(long, value_name = "N")]
    pub frame: Option<u32>,
    /// Colors, transparency, notes.
    #[command(flatten)]
    pub fidelity: FidelityArgs,
    /// Models, provider, threads.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Upscales everything named. The exit code is 0 if all of it succeeded, 1 if a file failed.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut settings = args.engine.settings(&Machine::here())?;
    let (format, jobs) = jobs::plan(&args.inputs, &args.output, args.format).map_err(Failure::Other)?;
    settings.only = start::only_needed(&settings)?;
    let pipeline = start::start(&settings, Arc::new(Metrics::new()))?;
    if args.quality.is_some() && !format.is_lossy() {
        return Err(Failure::Other("--quality goes with jpeg; add --format jpeg, or leave it out".into()));
    }
    let resize = match (args.width, args.height) {
        (None, None) => Resize::By(args.scale),
        (width, height) => Resize::To { width, height, fit: args.fit.unwrap_or_default() },
    };
    let options = Options {
        model: settings.model,
        resize,
        ensemble: args.ensemble,
        format,
        alternatives: Vec::new(),
        quality: args.quality,
        frame: args.frame,
        fidelity: args.fidelity.wish(),
        deadline: DEADLINE,
    };
    runtime::block_on(upscale(pipeline, jobs, options))?
}

async fn upscale(pipeline: Arc<Pipeline>, jobs: Vec<Job>, options: Options) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new().map_err(|error| Failure::Other(format!("signals cannot be received: {error}")))?;
    let count = jobs.len();
    let batch = Batch { pipeline, options, bar: bar(), stop: CancellationToken::new() };
    let _moving = AbortOnDropHandle::new(tokio::spawn(follow(batch.clone())));

    let mut failed = Vec::new();
    let work = async {
        let mut outcomes = stream::iter(jobs).map(|job| batch.one(job)).buffered(TOGETHER).enumerate();
        while let Some((at, outcome)) = outcomes.next().await {
            batch.bar.set_message(format!("{} of {count} files", at + 1));
            if let Err(line) = outcome {
                failed.push(line);
            }
        }
    };
    let signal = tokio::select! {
        () = work => None,
        signal = signals.next() => Some(signal),
    };
    // Threads that still write a file leave nothing of it behind.
    batch.stop.cancel();
    batch.bar.finish_and_clear();
    if let Some(signal) = signal {
        eprintln!("ended by {signal}; what was not finished is not there");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    println!("{} of {count} upscaled", count - failed.len());
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{} failed:\n  {}", failed.len(), failed.join("\n  "));
    Ok(ExitCode::FAILURE)
}

/// What all files of a run share.
#[derive(Clone)]
struct Batch {
    pipeline: Arc<Pipeline>,
    options: Options,
    bar: ProgressBar,
    stop: CancellationToken,
}

impl Batch {
    /// One file; the error names it.
    async fn one(&self, job: Job) -> Result<(), String> {
        let name = job.input.display().to_string();
        self.file(job).await.map_err(|reason| format!("{name}: {reason}"))
    }

    async fn file(&self, job: Job) -> Result<(), String> {
        let output = job.output?;
        let name = job.input.display().to_string();
        let bytes = save::read(job.input).await?;
        if let Ok(plan) = self.pipeline.plan(bytes.clone(), &self.options).await {
            self.bar.inc_length(plan.tiles as u64);
        }
        let answer = loop {
            match self.pipeline.upscale(bytes.clone(), self.options.clone()).await {
                Ok(answer) => break answer,
                // The other file takes the room; it will be done.
                Err(PipelineError::Rejected(
                    Rejection::QueueFull { retry_after, .. }
                    | Rejection::MemoryFull { retry_after, .. }
                    | Rejection::Late { retry_after, .. }
                    | Rejection::WouldDelay { retry_after },
                )) => tokio::time::sleep(retry_after).await,
                Err(error) => return Err(error.to_string()),
            }
        };
        drop(bytes);
        if let Some(reason) = &answer.plan.reason {
            self.bar.suspend(|| eprintln!("{name}: by {} ({reason})", answer.plan.model));
        }
        for warning in &answer.plan.warnings {
            // Above the bar, where there is one.
            self.bar.suspend(|| eprintln!("{name}: {}", warning.text()));
        }
        save::write(answer.body, output, self.stop.clone()).await
    }
}

/// A bar over the tiles of all files that were begun; not drawn where standard error is no terminal.
fn bar() -> ProgressBar {
    let style = "{elapsed_precise} [{bar:40}] {pos}/{len} tiles, {msg}";
    let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style.progress_chars("=> ")).with_message("reading")
}

/// Moves the bar by the count of tiles that the workers keep.
async fn follow(batch: Batch) {
    let networks = batch.pipeline.registry.networks();
    let done: Vec<_> = networks
        .iter()
        .map(|network| {
            let labels = [&network.model, &network.scale.to_string(), "done"];
            batch.pipeline.metrics.tiles.with_label_values(&labels)
        })
        .collect();
    loop {
        batch.bar.set_position(done.iter().map(GenericCounter::get).sum());
        tokio::time::sleep(TICK).await;
    }
}
