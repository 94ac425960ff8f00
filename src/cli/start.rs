//! What serve, upscale and eval share: registry, engines, warm-up, scheduler, pipeline.

use std::sync::Arc;
use std::time::Instant;

use inference::engine::batch_sizer::BatchSizer;
use inference::engine::{self, EngineSet, Execution};
use inference::registry::{BICUBIC, Kind, ModelChoice, Network, Registry};
use scheduler::{BatchClass, Scheduler};
use tokio::sync::Semaphore;
use tracing::{debug, info};

use super::failure::StartError;
use super::library;
use crate::config::EngineSettings;
use crate::pipeline::Pipeline;
use crate::pipeline::selection::candidates;
use crate::telemetry::Metrics;
use crate::telemetry::traces::Batches;

/// Loads and warms everything: on return each network has run on a few of its tile shapes, in every worker. Takes
/// seconds and computes: call it where that is allowed.
///
/// ONNX Runtime is not touched where no network needs it.
pub fn start(settings: &EngineSettings, metrics: Arc<Metrics>) -> Result<Arc<Pipeline>, StartError> {
    let begun = Instant::now();
    let registry = Arc::new(Registry::load(&settings.models, &settings.only)?);
    check_model(settings, &registry)?;
    let settings = &EngineSettings { runtime: library::chosen(settings, &registry), ..settings.clone() };

    let Warm { workers, rates } = warm(&registry, settings)?;
    let executions = same_executions(&registry, &workers)?;
    for (network, execution) in registry.networks().iter().zip(&executions) {
        let hash = match &network.kind {
            Kind::Onnx { sha256, .. } => sha256,
            Kind::Bicubic => "",
        };
        let labels = [&network.model, &network.scale.to_string(), &execution.provider, &execution.precision, hash];
        metrics.model_info.with_label_values(&labels).set(1);
    }

    let scheduler = Scheduler::start(
        settings.scheduler.clone(),
        workers,
        &registry,
        metrics.scheduler(),
        Arc::new(Batches::default()),
    )?;
    for (class, seconds_per_tile) in rates {
        scheduler.seed_rate(class, seconds_per_tile);
    }
    info!(
        models = registry.models().iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(","),
        workers = settings.workers,
        threads = settings.threads,
        runs_on = runs_on(&registry, &executions),
        seconds = begun.elapsed().as_secs_f64(),
        "models are loaded and warm"
    );
    Ok(Arc::new(Pipeline {
        registry,
        scheduler,
        limits: settings.input,
        executions,
        metrics,
        // As many as the engines have: they share the cores by the operating system's turns. Fewer would leave an
        // engine waiting for tiles while one big image is encoded.
        compute: Arc::new(Semaphore::new(settings.workers * settings.threads)),
    }))
}

/// The default model is there; where it is chosen by the file, there is one to choose, or the operator wants none.
fn check_model(settings: &EngineSettings, registry: &Registry) -> Result<(), StartError> {
    match &settings.model {
        ModelChoice::Named(name) => registry.model(name).map(|_| ()).map_err(StartError::from),
        ModelChoice::Auto if registry.has_networks() || settings.only.iter().any(|name| name == BICUBIC) => Ok(()),
        ModelChoice::Auto => Err(StartError::NoModels(settings.models.clone())),
    }
}

/// The models that a command can need which asks for the default alone; nothing else need be loaded.
pub(super) fn only_needed(settings: &EngineSettings) -> Result<Vec<String>, StartError> {
    match &settings.model {
        ModelChoice::Named(name) => Ok(vec![name.clone()]),
        ModelChoice::Auto if settings.only.is_empty() => {
            let registry = Registry::load(&settings.models, &[])?;
            let all = if registry.has_networks() { candidates(&registry) } else { Vec::new() };
            Ok(all.iter().map(|info| info.name.clone()).collect())
        }
        ModelChoice::Auto => Ok(settings.only.clone()),
    }
}

/// Engines that have run.
struct Warm {
    /// A set for each worker.
    workers: Vec<EngineSet>,
    /// How many seconds a tile took in each batch class, on the slowest of them.
    rates: Vec<(BatchClass, f64)>,
}

fn warm(registry: &Registry, settings: &EngineSettings) -> Result<Warm, StartError> {
    let mut workers = Vec::with_capacity(settings.workers);
    let mut rates: Vec<(BatchClass, f64)> = Vec::new();
    let sizer = BatchSizer::new(settings.scheduler.batch_max, registry);
    for worker in 0..settings.workers {
        let mut engines = engine::start::build_worker(registry, settings)?;
        let warm = engine::start::warm_up(&mut engines, registry, &sizer)?;
        for class in &warm {
            debug!(
                worker,
                model = registry.network(class.network).model,
                scale = %registry.network(class.network).scale,
                tile = %class.shape,
                milliseconds_per_tile = class.seconds_per_tile * 1e3,
                "warm"
            );
        }
        workers.push(engines);
        let seen = warm.into_iter().map(|w| (BatchClass { network: w.network, shape: w.shape }, w.seconds_per_tile));
        if rates.is_empty() {
            rates = seen.collect();
        } else {
            rates = rates.into_iter().zip(seen).map(|((class, a), (_, b))| (class, a.max(b))).collect();
        }
    }
    Ok(Warm { workers, rates })
}

/// What runs each network in every worker, by its id.
fn same_executions(registry: &Registry, workers: &[EngineSet]) -> Result<Vec<Execution>, StartError> {
    let first = executions(registry, &workers[0]);
    for (number, worker) in workers.iter().enumerate().skip(1) {
        let all = registry.networks().iter().zip(executions(registry, worker)).zip(&first);
        for ((network, found), first) in all {
            if found != *first {
                let (model, found, first) = (network.model.clone(), found.to_string(), first.to_string());
                return Err(StartError::Uneven { worker: number + 1, model, found, first });
            }
        }
    }
    Ok(first)
}

/// What the networks run on, each once; the built-in one is left out unless it is alone.
fn runs_on(registry: &Registry, executions: &[Execution]) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for (network, execution) in registry.networks().iter().zip(executions) {
        let kind = execution.to_string();
        if matches!(network.kind, Kind::Onnx { .. }) && !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    if kinds.is_empty() { "builtin".to_owned() } else { kinds.join("; ") }
}

/// What runs each network, by its id.
///
/// # Panics
/// If the set lacks a network: `build_worker` makes an engine for every network of the registry.
pub fn executions(registry: &Registry, engines: &EngineSet) -> Vec<Execution> {
    let one =
        |network: &Network| engines.get(&network.id).expect("every network has an engine in every worker").execution();
    registry.networks().iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use images::units::{Scale, TileShape};
    use inference::engine::bicubic::Bicubic;
    use inference::engine::{EngineError, TileEngine};
    use inference::registry::NetworkId;
    use tiling::TileBounds;

    use super::*;

    struct On(&'static str);

    impl TileEngine for On {
        fn upscale(&mut self, _: TileShape, _: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
            Ok(Vec::new())
        }

        fn execution(&self) -> Execution {
            Execution { provider: self.0.into(), precision: "fp32".into() }
        }
    }

    fn registry() -> Registry {
        let network = |kind| Network {
            id: NetworkId(0),
            model: "net".into(),
            scale: Scale::new(2).expect("2 is a scale"),
            tile: TileBounds::square(16, 2),
            kind,
            parameters: 0,
        };
        let onnx = Kind::Onnx { path: "x".into(), sha256: String::new(), fp16: None, range: 1.0, skip: None };
        Registry::new(vec![network(onnx.clone()), network(onnx), network(Kind::Bicubic)])
    }

    fn worker(first: &'static str, second: &'static str) -> EngineSet {
        let scale = Scale::new(2).expect("2 is a scale");
        EngineSet::from([
            (NetworkId(0), Box::new(On(first)) as Box<dyn TileEngine>),
            (NetworkId(1), Box::new(On(second))),
            (NetworkId(2), Box::new(Bicubic::new(scale))),
        ])
    }

    #[test]
    fn workers_that_differ_are_refused() {
        let registry = registry();
        let same = [worker("cuda", "cpu"), worker("cuda", "cpu")];
        let executions = same_executions(&registry, &same).expect("both are alike");
        assert_eq!(runs_on(&registry, &executions), "cuda, fp32; cpu, fp32");
        let differ = [worker("cuda", "cuda"), worker("cuda", "cuda"), worker("cuda", "cpu")];
        let error = same_executions(&registry, &differ).expect_err("the third differs").to_string();
        assert!(error.contains("worker 3 would run 'net' on cpu, fp32 and the first on cuda, fp32"), "{error}");
    }

    #[test]
    fn what_is_built_in_is_reported_only_alone() {
        let registry = Registry::new(registry().networks()[2..].to_vec());
        assert_eq!(runs_on(&registry, &[On("builtin").execution()]), "builtin");
    }
}
