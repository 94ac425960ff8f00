//! PSNR and SSIM of a model on a test set.
//!
//! As the papers measure: on luma, a border as wide as the scale left out, the original cropped to a multiple of the
//! scale. Low-resolution images are those of the set where it has them, else MATLAB's bicubic of the originals; they may
//! be degraded before they are upscaled.

mod degrade;
mod sets;
mod whole;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::value_parser;
use images::geometry::Resize;
use images::raster::Raster;
use images::units::Scale;
use images::{InputFormat, Loss, OutputFormat};
use indicatif::{ProgressBar, ProgressStyle};
use inference::engine::Execution;
use inference::registry::Registry;
use serde::Serialize;

use self::degrade::Degradation;
use self::sets::{Image, Set};
use self::whole::Whole;
use super::failure::{Failure, StartError};
use super::{library, runtime, start};
use crate::config::{EngineArgs, EngineSettings, Machine};
use crate::pipeline::selection::{Selection, select};
use crate::pipeline::{Fidelity, Options, Pipeline};
use crate::quality::metrics::{Quality, compare};
use crate::quality::resize::cropped;
use crate::telemetry::Metrics;

/// Nobody waits behind a connection.
const DEADLINE: Duration = Duration::from_hours(24);

/// What `eval` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A test set (`HR`, and `LR_bicubic/X4` if it is there) or a folder of several
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// How many times larger, 2 to 8; beyond the model's own scales by one network after the other
    #[arg(short, long, value_name = "N", default_value = "4", value_parser = value_parser!(u8).range(2..=8))]
    pub scale: u8,
    /// Whole images in one piece instead of tiles, at a scale of the model's own: shows what tiles cost; takes memory
    #[arg(long)]
    pub whole: bool,
    /// Average over eight orientations (self-ensemble)
    #[arg(long)]
    pub ensemble: bool,
    /// Score these ready-made images instead of a model, matched by sorted names
    #[arg(long, value_name = "DIR", conflicts_with_all = ["whole", "ensemble"])]
    pub compare: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long)]
    pub json: bool,
    /// Blur, noise, JPEG.
    #[command(flatten)]
    pub degradation: Degradation,
    /// Models, provider, threads.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Measures and prints.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let scale =
        Scale::new(args.scale).ok_or_else(|| Failure::Other(format!("--scale {} is not 2 to 8", args.scale)))?;
    let sets = sets::find(&args.data).map_err(Failure::Other)?;
    let report = runtime::block_on(measure(args, sets, scale))??;
    if args.json {
        let text = serde_json::to_string_pretty(&report).map_err(|error| Failure::Other(error.to_string()))?;
        println!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Report {
    /// Model, or the folder of ready-made images.
    source: String,
    scale: Scale,
    /// What was done to the low-resolution images; absent if nothing was.
    degradation: Option<String>,
    /// What ran; absent for ready-made images.
    execution: Option<Execution>,
    sets: Vec<SetReport>,
}

#[derive(Debug, Serialize)]
struct SetReport {
    name: String,
    images: Vec<ImageReport>,
    mean: Quality,
}

#[derive(Debug, Serialize)]
struct ImageReport {
    name: String,
    #[serde(flatten)]
    quality: Quality,
}

async fn measure(args: &Args, sets: Vec<Set>, scale: Scale) -> Result<Report, Failure> {
    let mut maker = Maker::new(args, &sets, scale)?;
    let degradation = args.degradation.is_some().then(|| args.degradation.to_string());
    let (source, execution) = (maker.name(args), maker.execution());
    let mut report = Report { source, scale, degradation, execution, sets: Vec::new() };
    let runs_on = report.execution.as_ref().map(|execution| format!(", on {execution}")).unwrap_or_default();
    let of = report.degradation.as_ref().map(|done| format!("; LR: {done}")).unwrap_or_default();
    for set in sets {
        let width = set.images.iter().map(|image| image.name.len()).max().unwrap_or(0).max("mean of 1000".len());
        if !args.json {
            println!("{} x{scale}, {}{runs_on}{of}", set.name, report.source);
            println!("{:width$}  {:>7}  {:>6}", "image", "PSNR-Y", "SSIM");
        }
        let bar = bar(set.images.len());
        let mut images = Vec::new();
        for (at, image) in set.images.iter().enumerate() {
            let quality = maker.score(at, image, scale, &args.degradation).await;
            let quality = quality.map_err(|why| Failure::Other(format!("{}: {why}", image.name)))?;
            if !args.json {
                bar.suspend(|| println!("{}", row(&image.name, width, quality)));
            }
            bar.inc(1);
            images.push(ImageReport { name: image.name.clone(), quality });
        }
        bar.finish_and_clear();
        let mean = mean(&images);
        if !args.json {
            println!("{}\n", row(&format!("mean of {}", images.len()), width, mean));
        }
        report.sets.push(SetReport { name: set.name, images, mean });
    }
    Ok(report)
}

fn row(name: &str, width: usize, quality: Quality) -> String {
    format!("{name:width$}  {:>7.3}  {:>6.4}", quality.psnr, quality.ssim)
}

fn mean(images: &[ImageReport]) -> Quality {
    let count = images.len() as f64;
    let mean = |of: fn(&Quality) -> f64| images.iter().map(|image| of(&image.quality)).sum::<f64>() / count;
    Quality { psnr: mean(|quality| quality.psnr), ssim: mean(|quality| quality.ssim) }
}

/// Not drawn where standard error is no terminal.
fn bar(images: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed_precise} [{bar:40}] {pos}/{len} images");
    ProgressBar::new(images as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Where upscaled images come from.
enum Maker {
    /// The pipeline, as in the service, and what it runs.
    Tiles(Arc<Pipeline>, Options, Selection),
    /// The network on whole images.
    Whole { engine: Whole, ensemble: bool, selection: Selection },
    /// Somebody else.
    Ready(Vec<PathBuf>),
}

impl Maker {
    fn new(args: &Args, sets: &[Set], scale: Scale) -> Result<Self, Failure> {
        if let Some(folder) = &args.compare {
            return Self::ready(folder, sets).map_err(Failure::Other);
        }
        let mut settings = args.engine.settings(&Machine::here())?;
        settings.only = start::only_needed(&settings)?;
        // All files of a run are of one kind, so that all get the same model.
        let file = match args.degradation.jpeg {
            Some(quality) => (InputFormat::Jpeg, Loss::Jpeg { quality: Some(quality) }),
            None => (InputFormat::Png, Loss::Lossless),
        };
        let selected = |registry: &Registry| {
            let selection = select(registry, &settings.model, file, scale.factor());
            selection.map_err(|error| Failure::Other(error.to_string()))
        };
        if args.whole {
            let registry = Registry::load(&settings.models, &settings.only).map_err(StartError::from)?;
            let selection = selected(&registry)?;
            let network = registry.find(&selection.model, scale).map_err(|error| Failure::Other(error.to_string()))?;
            let settings = EngineSettings { runtime: library::chosen(&settings, &registry), ..settings.clone() };
            let engine = Whole::open(network, &settings).map_err(StartError::from)?;
            return Ok(Self::Whole { engine, ensemble: args.ensemble, selection });
        }
        let pipeline = start::start(&settings, Arc::new(Metrics::new()))?;
        let selection = selected(&pipeline.registry)?;
        let options = Options {
            model: settings.model.clone(),
            resize: Resize::By(scale.into()),
            ensemble: args.ensemble,
            format: OutputFormat::Png,
            alternatives: Vec::new(),
            quality: None,
            frame: None,
            fidelity: Fidelity::default(),
            deadline: DEADLINE,
        };
        Ok(Self::Tiles(pipeline, options, selection))
    }

    fn ready(folder: &Path, sets: &[Set]) -> Result<Self, String> {
        let [set] = sets else {
            return Err("--compare scores one set; name it with --data".into());
        };
        let files = sets::images(folder)?;
        if files.len() != set.images.len() {
            let (found, needed) = (files.len(), set.images.len());
            return Err(format!("{} holds {found} images, but {} has {needed}", folder.display(), set.name));
        }
        Ok(Self::Ready(files))
    }

    fn name(&self, args: &Args) -> String {
        let ensemble = if args.ensemble { ", self-ensemble" } else { "" };
        let model = |Selection { model, reason }: &Selection| {
            let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            format!("{model}{reason}{ensemble}")
        };
        match self {
            Self::Tiles(_, _, selection) => format!("{}, tiled", model(selection)),
            Self::Whole { selection, .. } => format!("{}, whole", model(selection)),
            Self::Ready(_) => args.compare.as_deref().unwrap_or(Path::new("")).display().to_string(),
        }
    }

    fn execution(&self) -> Option<Execution> {
        match self {
            Self::Tiles(pipeline, _, selection) => {
                // One provider has all networks of a model; the first represents those that are chained.
                let network = pipeline.registry.networks().iter().find(|network| network.model == selection.model)?;
                pipeline.executions.get(network.id.0).cloned()
            }
            Self::Whole { engine, .. } => Some(engine.execution()),
            Self::Ready(_) => None,
        }
    }

    /// One image of its set, the `at`-th.
    async fn score(
        &mut self,
        at: usize,
        image: &Image,
        scale: Scale,
        degradation: &Degradation,
    ) -> Result<Quality, String> {
        let original = cropped(&sets::rgb(&image.original)?, scale).ok_or("smaller than the scale")?;
        let low = || image.low(&original, scale).map(|low| degradation.soften(low, at as u64));
        let made: Raster = match self {
            Self::Tiles(pipeline, options, _) => {
                let low = low()?;
                match degradation.file(&low)? {
                    Some(file) => sets::decoded(answered(pipeline, file, options.clone()).await?)?,
                    None => pipeline.upscale_raster(low, options.clone()).await.map_err(|error| error.to_string())?,
                }
            }
            Self::Whole { engine, ensemble, .. } => {
                let low = low()?;
                let low = degradation.file(&low)?.map_or(Ok(low), sets::decoded)?;
                engine.upscale(&low, *ensemble).map_err(|error| error.to_string())?
            }
            Self::Ready(files) => sets::rgb(&files[at])?,
        };
        compare(&original, &made, scale).map_err(|error| error.to_string())
    }
}

/// The answer of the service to a file.
async fn answered(pipeline: &Arc<Pipeline>, file: Vec<u8>, options: Options) -> Result<Vec<u8>, String> {
    let answer = pipeline.upscale(file.into(), options).await.map_err(|error| error.to_string())?;
    let (mut body, mut whole) = (answer.body, Vec::new());
    while let Some(chunk) = body.recv().await {
        whole.extend_from_slice(&chunk.map_err(|error| error.to_string())?);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::quality::testing::data;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn report(data: &Path, line: &[&str]) -> Report {
        let data = ["eval", "--data", data.to_str().expect("a name"), "--json"];
        let args = Line::parse_from(data.iter().chain(line)).args;
        let sets = sets::find(&args.data).expect("a set");
        let scale = Scale::new(args.scale).expect("a scale");
        runtime::block_on(measure(&args, sets, scale)).expect("a runtime").expect("measured")
    }

    #[test]
    fn bicubic_scores_the_same_in_tiles_and_whole() {
        let dir = sets::testing::set(&[("a", 61, 47), ("b", 40, 90)]);
        let tiled = report(dir.path(), &["--model", "bicubic", "--scale", "3"]);
        let whole = report(dir.path(), &["--model", "bicubic", "--scale", "3", "--whole"]);
        assert_eq!(tiled.source, "bicubic, tiled");
        assert_eq!(whole.source, "bicubic, whole");
        assert_eq!(tiled.execution.as_ref().map(ToString::to_string).as_deref(), Some("builtin, fp32"));
        assert_eq!(tiled.execution, whole.execution);
        assert_eq!(tiled.sets[0].images.len(), 2);
        for (a, b) in tiled.sets[0].images.iter().zip(&whole.sets[0].images) {
            assert_eq!((&a.name, a.quality), (&b.name, b.quality));
        }
    }

    #[test]
    fn degraded_images_go_through_the_service_as_files_and_score_less() {
        let dir = sets::testing::set(&[("a", 61, 47), ("b", 40, 90)]);
        let psnr = |line: &[&str]| {
            let report = report(dir.path(), &[&["--model", "bicubic", "--scale", "2"], line].concat());
            (report.sets[0].mean.psnr, report.degradation.unwrap_or_default())
        };
        let (clean, nothing) = psnr(&[]);
        assert_eq!(nothing, "");
        let (fine, said) = psnr(&["--jpeg", "95"]);
        assert_eq!(said, "JPEG quality 95 4:2:0");
        let (coarse, _) = psnr(&["--jpeg", "30"]);
        assert!(clean > fine && fine > coarse, "{clean}, {fine}, {coarse}");
        assert!(psnr(&["--jpeg", "95", "--chroma", "444"]).0 > fine, "colors with edges gain from 4:4:4");
        assert!(psnr(&["--noise", "5"]).0 < clean && psnr(&["--blur", "1"]).0 < clean);
        let all = ["--blur", "0.5", "--noise", "3", "--jpeg", "60"];
        assert_eq!(psnr(&all), psnr(&all), "noise comes again");
        // The same pixels either way: what is measured is the network and no step beside it.
        let whole = psnr(&[&all[..], &["--whole"]].concat());
        assert_eq!(whole, psnr(&all));
    }

    #[test]
    fn the_golden_images_score_as_published() {
        let (Some(set), Some(golden)) = (data("test/Set5"), data("golden/rcan-set5/X4")) else { return };
        let report = report(&set, &["--compare", golden.to_str().expect("a name")]);
        assert_eq!(report.sets[0].name, "Set5");
        let mean = report.sets[0].mean;
        assert_eq!(row("mean", 4, mean), format!("mean  {:>7.3}  0.9002", mean.psnr));
        assert!((mean.psnr - 32.63).abs() <= 0.005, "{mean:?}");
    }

    #[test]
    fn bicubic_scores_as_published() {
        let Some(set) = data("test/Set5") else { return };
        let mean = report(&set, &["--model", "bicubic"]).sets[0].mean;
        // 28.42 / 0.8104 in the papers, whose bicubic rounds between its two passes.
        assert!((mean.psnr - 28.42).abs() < 0.02 && (mean.ssim - 0.8104).abs() < 0.001, "{mean:?}");
    }

    #[test]
    fn ready_made_images_must_be_as_many_as_originals() {
        let (set, other) = (sets::testing::set(&[("a", 60, 60)]), sets::testing::set(&[("a", 60, 60), ("b", 60, 60)]));
        let sets = sets::find(set.path()).expect("a set");
        let error = Maker::ready(&other.path().join("HR"), &sets).err().expect("refused");
        assert!(error.contains("holds 2 images") && error.contains("has 1"), "{error}");
    }
}
