//! PSNR and SSIM of a model on a test set.
//!
//! As the papers measure: on luma, a border as wide as the scale left out, the original cropped to a multiple of the
//! scale. Low-resolution pictures are those of the set where it has them, else MATLAB's bicubic of the originals.

mod sets;
mod whole;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::value_parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use self::sets::{Image, Set};
use self::whole::Whole;
use super::{Failure, probe, start};
use crate::codec::OutputFormat;
use crate::config::{EngineArgs, Machine};
use crate::engine::Execution;
use crate::geometry::Resize;
use crate::pipeline::{Fidelity, Options, Pipeline};
use crate::quality::metrics::{Quality, compare};
use crate::quality::resize::cropped;
use crate::raster::Raster;
use crate::registry::Registry;
use crate::telemetry::Metrics;
use crate::units::Scale;

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
    /// Whole pictures in one piece instead of tiles, at a scale of the model's own: shows what tiles cost; takes memory
    #[arg(long)]
    pub whole: bool,
    /// Average over eight orientations (self-ensemble)
    #[arg(long)]
    pub ensemble: bool,
    /// Score these ready-made pictures instead of a model, matched by sorted names
    #[arg(long, value_name = "DIR", conflicts_with_all = ["whole", "ensemble"])]
    pub compare: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long)]
    pub json: bool,
    /// Models, provider, threads.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Measures and prints.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let scale =
        Scale::new(args.scale).ok_or_else(|| Failure::Other(format!("--scale {} is not 2 to 8", args.scale)))?;
    let sets = sets::find(&args.data).map_err(Failure::Other)?;
    let report = super::block_on(measure(args, sets, scale))??;
    if args.json {
        let text = serde_json::to_string_pretty(&report).map_err(|error| Failure::Other(error.to_string()))?;
        println!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Report {
    /// Model, or the folder of ready-made pictures.
    source: String,
    scale: Scale,
    /// What ran; absent for ready-made pictures.
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
    let mut report = Report { source: maker.name(args), scale, execution: maker.execution(), sets: Vec::new() };
    let runs_on = report.execution.as_ref().map(|execution| format!(", on {execution}")).unwrap_or_default();
    for set in sets {
        let width = set.images.iter().map(|image| image.name.len()).max().unwrap_or(0).max("mean of 1000".len());
        if !args.json {
            println!("{} x{scale}, {}{runs_on}", set.name, report.source);
            println!("{:width$}  {:>7}  {:>6}", "image", "PSNR-Y", "SSIM");
        }
        let bar = bar(set.images.len());
        let mut images = Vec::new();
        for (at, image) in set.images.iter().enumerate() {
            let quality =
                maker.score(at, image, scale).await.map_err(|why| Failure::Other(format!("{}: {why}", image.name)))?;
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

/// Where enlarged pictures come from.
enum Maker {
    /// The pipeline, as in the service.
    Tiles(Arc<Pipeline>, Options),
    /// The network on whole pictures.
    Whole { engine: Whole, ensemble: bool },
    /// Somebody else.
    Ready(Vec<PathBuf>),
}

impl Maker {
    fn new(args: &Args, sets: &[Set], scale: Scale) -> Result<Self, Failure> {
        if let Some(folder) = &args.compare {
            return Self::ready(folder, sets).map_err(Failure::Other);
        }
        let mut settings = args.engine.settings(&Machine::here())?;
        // Nothing else can be asked for here, so nothing else need be loaded.
        settings.only = vec![settings.model.clone()];
        if args.whole {
            let registry = Registry::load(&settings.models, &settings.only).map_err(start::StartError::from)?;
            let network = registry.find(&settings.model, scale).map_err(|error| Failure::Other(error.to_string()))?;
            settings.runtime = probe::library(&settings, &registry);
            let engine = Whole::open(network, &settings).map_err(start::StartError::from)?;
            return Ok(Self::Whole { engine, ensemble: args.ensemble });
        }
        let pipeline = start::start(&settings, Arc::new(Metrics::new()))?;
        pipeline.registry.model(&settings.model).map_err(|error| Failure::Other(error.to_string()))?;
        let options = Options {
            model: settings.model,
            resize: Resize::By(scale.into()),
            ensemble: args.ensemble,
            format: OutputFormat::Png,
            quality: None,
            frame: None,
            fidelity: Fidelity::default(),
            deadline: DEADLINE,
        };
        Ok(Self::Tiles(pipeline, options))
    }

    fn ready(folder: &Path, sets: &[Set]) -> Result<Self, String> {
        let [set] = sets else {
            return Err("--compare scores one set; name it with --data".into());
        };
        let files = sets::images(folder)?;
        if files.len() != set.images.len() {
            let (found, needed) = (files.len(), set.images.len());
            return Err(format!("{} holds {found} pictures, but {} has {needed}", folder.display(), set.name));
        }
        Ok(Self::Ready(files))
    }

    fn name(&self, args: &Args) -> String {
        let model = &args.engine.model;
        let ensemble = if args.ensemble { ", self-ensemble" } else { "" };
        match self {
            Self::Tiles(..) => format!("{model}{ensemble}, tiled"),
            Self::Whole { .. } => format!("{model}{ensemble}, whole"),
            Self::Ready(_) => args.compare.as_deref().unwrap_or(Path::new("")).display().to_string(),
        }
    }

    fn execution(&self) -> Option<Execution> {
        match self {
            Self::Tiles(pipeline, options) => {
                // One provider has all networks of a model; the first stands for those that are chained.
                let network = pipeline.registry.networks().iter().find(|network| network.model == options.model)?;
                pipeline.executions.get(network.id.0).cloned()
            }
            Self::Whole { engine, .. } => Some(engine.execution()),
            Self::Ready(_) => None,
        }
    }

    /// One image of its set, the `at`-th.
    async fn score(&mut self, at: usize, image: &Image, scale: Scale) -> Result<Quality, String> {
        let original = cropped(&sets::rgb(&image.original)?, scale).ok_or("smaller than the scale")?;
        let made: Raster = match self {
            Self::Tiles(pipeline, options) => {
                let low = image.low(&original, scale)?;
                pipeline.upscale_raster(low, options.clone()).await.map_err(|error| error.to_string())?
            }
            Self::Whole { engine, ensemble } => {
                let low = image.low(&original, scale)?;
                engine.enlarge(&low, *ensemble).map_err(|error| error.to_string())?
            }
            Self::Ready(files) => sets::rgb(&files[at])?,
        };
        compare(&original, &made, scale).map_err(|error| error.to_string())
    }
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
        crate::cli::block_on(measure(&args, sets, scale)).expect("a runtime").expect("measured")
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
    fn the_golden_pictures_score_as_published() {
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
    fn ready_made_pictures_must_be_as_many_as_originals() {
        let (set, other) = (sets::testing::set(&[("a", 60, 60)]), sets::testing::set(&[("a", 60, 60), ("b", 60, 60)]));
        let sets = sets::find(set.path()).expect("a set");
        let error = Maker::ready(&other.path().join("HR"), &sets).err().expect("refused");
        assert!(error.contains("holds 2 pictures") && error.contains("has 1"), "{error}");
    }
}
