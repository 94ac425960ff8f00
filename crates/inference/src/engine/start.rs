//! From networks to warm engines: what each worker gets before the port opens.

use std::path::Path;
use std::time::Instant;

use images::units::{Scale, TileShape};

use crate::engine::backend::{self, Backend, Device, Hardware, Precision, Provider, Unavailable};
use crate::engine::batch_sizer::BatchSizer;
use crate::engine::bicubic::Bicubic;
use crate::engine::fallback::first_that_opens;
use crate::engine::onnx::{OnnxEngine, OpenedSession, Opening, Resources, Source};
use crate::engine::runtime::{self, RuntimeError};
use crate::engine::{EngineError, EngineSet, Execution, TileEngine};
use crate::registry::{Kind, Network, NetworkId, Registry};

/// Why the engines cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There are networks to run, but nothing to run them.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// This machine has not what was asked for by name.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A network cannot be read, or failed its first run.
    #[error("model '{model}' at scale {scale} cannot be served: {reason}")]
    Network {
        /// The model.
        model: String,
        /// Its scale.
        scale: Scale,
        /// What is wrong.
        reason: EngineError,
    },
}

/// One tile shape of a network that has run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warm {
    /// The network.
    pub network: NetworkId,
    /// The shape.
    pub shape: TileShape,
    /// Measured on the last batch.
    pub seconds_per_tile: f64,
}

/// What an engine is to run on.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Execution provider.
    pub provider: Provider,
    /// Arithmetic.
    pub precision: Precision,
    /// ONNX Runtime library, if named; see [`runtime::load`].
    pub runtime: Option<&'a Path>,
    /// Intra-op threads.
    pub threads: usize,
    /// Bytes that each session may take on a GPU.
    pub gpu_memory: u64,
}

impl Wanted<'_> {
    /// Sessions on `backend`, if they are what is wanted: OpenVINO in fp32 where bf16 was hoped for serves only anyone who
    /// named OpenVINO and no precision, since it is no faster than the CPU provider.
    fn open(self, opening: &mut Opening, backend: Backend) -> Result<Option<OpenedSession>, EngineError> {
        let on = opening.on(backend)?;
        self.accepts(backend, on.as_ref().map_or(backend, OpenedSession::backend))?;
        Ok(on)
    }

    /// A network without a file for fp16 runs on the card in fp32, if no precision was named.
    fn suited(self, backend: Backend, has_fp16: bool) -> Backend {
        let without = backend == Backend::CudaFp16 && !has_fp16 && self.precision == Precision::Auto;
        if without { Backend::CudaFp32 } else { backend }
    }

    fn accepts(self, hoped: Backend, detected: Backend) -> Result<(), EngineError> {
        if detected == hoped {
            return Ok(());
        }
        let (provider, hoped, detected) = (detected.device().name(), hoped.precision_name(), detected.precision_name());
        if self.provider != Provider::Auto && self.precision == Precision::Auto {
            tracing::warn!(provider, precision = detected, "computes in {detected} on this machine, not in {hoped}");
            return Ok(());
        }
        Err(EngineError::Unopened(format!("{provider} computes in {detected} on this machine, not in {hoped}")))
    }
}

/// The engines of one worker: one for every network of the registry. ONNX Runtime is loaded if a network needs it,
/// so that a server of the built-in bicubic alone does without.
pub fn build_worker<'a>(registry: &Registry, wanted: impl Into<Wanted<'a>>) -> Result<EngineSet, StartError> {
    let wanted = wanted.into();
    let build = |network: &Network| -> Result<Box<dyn TileEngine>, StartError> {
        Ok(match &network.kind {
            Kind::Bicubic => Box::new(Bicubic::new(network.scale)),
            Kind::Onnx { .. } => Box::new(open(network, wanted)?),
        })
    };
    registry.networks().iter().map(|network| Ok((network.id, build(network)?))).collect()
}

/// The session of one network, for those who want it by itself: `eval --whole` and the bench.
///
/// # Panics
/// If the network is built in: it has no session.
pub fn open<'a>(network: &Network, wanted: impl Into<Wanted<'a>>) -> Result<OnnxEngine, StartError> {
    let Kind::Onnx { path, fp16, range, skip, .. } = &network.kind else {
        panic!("'{}' is built in and has no session", network.model)
    };
    let wanted = wanted.into();
    let wishes = backend::wishes(wanted.provider, wanted.precision, Hardware::here())?;
    let devices: Vec<_> = wishes.iter().map(|backend| backend.device()).collect();
    let runtime = runtime::load(wanted.runtime, &devices)?;
    let suited = |backend| wanted.suited(backend, fp16.is_some());
    let backends = wishes.into_iter().filter(|backend| runtime.offers(backend.device())).map(suited);
    let tile = network.tile.smallest();
    let from = Source { path, fp16: fp16.as_deref(), skip: *skip, scale: network.scale, range: *range, tile };
    let resources = Resources { threads: wanted.threads, gpu_memory: wanted.gpu_memory };
    let refused = |reason| StartError::Network { model: network.model.clone(), scale: network.scale, reason };
    let mut opening = Opening::read(runtime, from, resources).map_err(refused)?;
    let passed = |failed: &Backend, error: &EngineError, next: &Backend| {
        tracing::warn!(
            model = network.model,
            scale = %network.scale,
            provider = failed.device().name(),
            next = next.device().name(),
            %error,
            "the faster provider is not available; taking the next"
        );
    };
    let found = first_that_opens(backends, |backend| wanted.open(&mut opening, *backend), passed);
    let (_, on) = found.map_err(|failed| refused(none_of(&failed)))?;
    Ok(opening.engine(on))
}

/// Why nothing that was wanted runs the network.
fn none_of(failed: &[(Backend, EngineError)]) -> EngineError {
    let reasons: Vec<_> = failed.iter().map(|(_, error)| error.to_string()).collect();
    EngineError::Unopened(format!(
        "{}; leave --provider and --precision (UPSCALER_PROVIDER, UPSCALER_PRECISION) at auto for what can",
        reasons.join("; ")
    ))
}

/// Runs every engine on a few of its tile shapes, the smallest first, and returns how long a tile took. The other shapes get no
/// run of their own: the first at a shape costs a few milliseconds more than the second at most (benches/README.md).
/// A network of another scale than it declares, or whose values are not finite, ends the start here.
pub fn warm_up(engines: &mut EngineSet, registry: &Registry, sizer: &BatchSizer) -> Result<Vec<Warm>, StartError> {
    let mut warm = Vec::new();
    for network in registry.networks() {
        let Some(engine) = engines.get_mut(&network.id) else { continue };
        let on_card = engine.execution().provider == Device::Cuda.name();
        let largest = network.tile.largest();
        for shape in network.tile.samples() {
            let batches = batches(sizer.of(network.id, shape), on_card, shape == largest);
            let seconds_per_tile = run_once(engine.as_mut(), network.scale, shape, &batches).map_err(|reason| {
                let reason = with_remedy(reason, &engine.execution());
                StartError::Network { model: network.model.clone(), scale: network.scale, reason }
            })?;
            warm.push(Warm { network: network.id, shape, seconds_per_tile });
        }
        let fp32_retries = engine.take_fp32_retries();
        if fp32_retries > 0 {
            tracing::warn!(
                model = network.model,
                scale = %network.scale,
                tiles = fp32_retries,
                runs_on = %engine.execution(),
                "its values are too large for this precision: tiles had to run again in fp32; consider --precision fp32"
            );
        }
    }
    Ok(warm)
}

/// The batches to begin with, the largest last. A card chooses its algorithms anew for each, and fills batches up to
/// powers of two; elsewhere one tile shows all there is to see, but for the memory of the largest batch.
fn batches(full: usize, on_card: bool, largest: bool) -> Vec<usize> {
    let smaller = std::iter::successors(Some(1), |tiles| Some(tiles * 2)).take_while(|tiles| *tiles < full);
    match (on_card, largest) {
        (true, _) => smaller.chain([full]).collect(),
        (false, true) => vec![full],
        (false, false) => vec![1],
    }
}

fn run_once(
    engine: &mut dyn TileEngine,
    scale: Scale,
    shape: TileShape,
    batches: &[usize],
) -> Result<f64, EngineError> {
    let mut seconds_per_tile = 0.0;
    for &tiles in batches {
        let batch = vec![pattern(shape); tiles];
        let begun = Instant::now();
        let upscaled = engine.upscale(shape, &batch)?;
        seconds_per_tile = begun.elapsed().as_secs_f64() / batch.len() as f64;
        let expected = batch.len() * shape.samples(scale);
        let actual = upscaled.iter().map(Vec::len).sum();
        if actual != expected {
            return Err(EngineError::Shape { expected, actual });
        }
    }
    Ok(seconds_per_tile)
}

/// A card's memory ends at the largest batch, and ONNX Runtime's words for it name nothing that could be set.
fn with_remedy(reason: EngineError, on: &Execution) -> EngineError {
    match reason {
        EngineError::Runtime(words) if on.provider == Device::Cuda.name() => EngineError::Runtime(format!(
            "{words}; if the card's memory is full, lower --max-batch or --workers, or change --gpu-memory"
        )),
        other => other,
    }
}

/// A tile with every level from black to white, edges and slopes: a flat one would hide a division by its variance.
fn pattern(shape: TileShape) -> Vec<f32> {
    (0..3 * shape.pixels()).map(|i| (i * 37 % 256) as f32).collect()
}

#[cfg(test)]
mod tests {
    use tiling::TileBounds;

    use super::*;
    use crate::engine::runtime::testing;

    const WANTED: Wanted<'static> =
        Wanted { provider: Provider::Cpu, precision: Precision::Auto, runtime: None, threads: 1, gpu_memory: 0 };

    /// The networks of a fixture folder without the built-in ones.
    fn fixtures(folder: &str, only: &str) -> Registry {
        let all =
            Registry::load(&testing::fixtures().join(folder), &[only.to_owned()]).expect("the fixtures are whole");
        Registry::new(all.networks().iter().filter(|n| n.model == only).cloned().collect())
    }

    #[test]
    fn every_network_gets_an_engine_and_runs_on_a_few_shapes() {
        if testing::runtime().is_none() {
            return;
        }
        let registry = fixtures("models", "nearest");
        let mut engines = build_worker(&registry, WANTED).expect("the fixtures are networks");
        assert_eq!(engines.len(), 2);
        for engine in engines.values() {
            assert_eq!(engine.execution(), Execution { provider: "cpu".into(), precision: "fp32".into() });
        }
        let warm = warm_up(&mut engines, &registry, &BatchSizer::new(3, &registry)).expect("the fixtures run");
        let lanes: Vec<_> = warm.iter().map(|w| (w.network.0, w.shape.to_string())).collect();
        let shapes = |network| ["16x16", "32x16", "32x32"].map(|shape| (network, shape.to_owned()));
        assert_eq!(lanes, [shapes(0), shapes(1)].concat());
        assert!(warm.iter().all(|w| w.seconds_per_tile > 0.0));
    }

    #[test]
    fn a_broken_network_ends_the_start_with_its_name_and_reason() {
        if testing::runtime().is_none() {
            return;
        }
        for (model, says) in [("dark-is-nan", "non-finite"), ("wrong-scale", "correct `factor`")] {
            let registry = fixtures("broken", model);
            let mut engines = build_worker(&registry, WANTED).expect("it can be read");
            let error = warm_up(&mut engines, &registry, &BatchSizer::new(1, &registry))
                .expect_err("it cannot be served")
                .to_string();
            assert!(error.contains(says) && error.contains(&format!("model '{model}'")), "{error}");
        }
        let error = build_worker(&fixtures("broken", "wrong-names"), WANTED).err().expect("its ends are foreign");
        assert!(error.to_string().contains("model 'wrong-names' at scale 2"), "{error}");
    }

    #[test]
    fn fp32_in_place_of_bf16_serves_only_who_named_a_provider_and_no_precision() {
        let accepts = |provider, precision, detected| {
            Wanted { provider, precision, ..WANTED }.accepts(Backend::OpenVinoBf16, detected).map_err(|e| e.to_string())
        };
        for (provider, precision) in [
            (Provider::Auto, Precision::Auto),
            (Provider::Auto, Precision::Bf16),
            (Provider::OpenVino, Precision::Bf16),
        ] {
            assert_eq!(accepts(provider, precision, Backend::OpenVinoBf16), Ok(()));
            let error = accepts(provider, precision, Backend::OpenVinoFp32).expect_err("not what was wanted");
            assert_eq!(error, "openvino computes in fp32 on this machine, not in bf16");
        }
        assert_eq!(accepts(Provider::OpenVino, Precision::Auto, Backend::OpenVinoFp32), Ok(()));
    }

    #[test]
    fn a_network_without_a_file_for_fp16_runs_on_the_card_in_fp32() {
        let wanted = Wanted { provider: Provider::Auto, ..WANTED };
        assert_eq!(wanted.suited(Backend::CudaFp16, false), Backend::CudaFp32);
        assert_eq!(wanted.suited(Backend::CudaFp16, true), Backend::CudaFp16);
        assert_eq!(wanted.suited(Backend::OpenVinoBf16, false), Backend::OpenVinoBf16);
        let named = Wanted { precision: Precision::Fp16, ..wanted };
        assert_eq!(named.suited(Backend::CudaFp16, false), Backend::CudaFp16, "never a silent fp32");
    }

    #[test]
    fn where_nothing_runs_it_each_reason_is_reported_with_the_remedy() {
        let dead = |what: &str| EngineError::Unopened(format!("{what} is dead"));
        let one = none_of(&[(Backend::CudaFp16, dead("the card"))]).to_string();
        assert!(one.starts_with("the card is dead; leave --provider and --precision ("), "{one}");
        let two = [(Backend::CudaFp16, dead("the card")), (Backend::OpenVinoBf16, dead("the CPU"))];
        let two = none_of(&two).to_string();
        assert!(two.contains("the card is dead; the CPU is dead; leave --provider"), "{two}");
    }

    #[test]
    fn a_card_sees_each_batch_that_it_fills_up_to_and_a_cpu_the_largest() {
        assert_eq!(batches(6, true, false), [1, 2, 4, 6]);
        assert_eq!((batches(8, true, true), batches(1, true, true)), (vec![1, 2, 4, 8], vec![1]));
        assert_eq!((batches(6, false, true), batches(6, false, false)), (vec![6], vec![1]));
    }

    /// Gives one value too few for the scale.
    struct Short;

    impl TileEngine for Short {
        fn upscale(&mut self, shape: TileShape, tiles: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
            Ok(vec![vec![0.0; 3 * shape.pixels() * 4 - 1]; tiles.len()])
        }

        fn execution(&self) -> Execution {
            Execution { provider: "builtin".into(), precision: "fp32".into() }
        }
    }

    #[test]
    fn any_engine_is_held_to_its_scale() {
        let registry = Registry::new(vec![Network {
            id: NetworkId(0),
            model: "short".into(),
            scale: Scale::new(2).expect("2 is a scale"),
            tile: TileBounds::square(16, 2),
            kind: Kind::Bicubic,
            parameters: 0,
        }]);
        let mut engines = EngineSet::from([(NetworkId(0), Box::new(Short) as Box<dyn TileEngine>)]);
        let error = warm_up(&mut engines, &registry, &BatchSizer::new(1, &registry)).expect_err("a value is missing");
        assert!(matches!(error, StartError::Network { reason: EngineError::Shape { .. }, .. }), "{error}");
    }

    #[test]
    fn a_card_that_fails_in_the_warm_up_is_reported_with_the_remedy() {
        let failed = |provider: &str| {
            let on = Execution { provider: provider.into(), precision: "fp16".into() };
            with_remedy(EngineError::Runtime("no room".into()), &on).to_string()
        };
        assert!(failed("cuda").starts_with("inference failed: no room; if") && failed("cuda").contains("--max-batch"));
        assert_eq!(failed("cpu"), "inference failed: no room");
    }

    #[test]
    fn the_pattern_has_every_level() {
        let mut detected = [false; 256];
        for level in pattern(TileShape::square(16)) {
            detected[level as usize] = true;
        }
        assert!(detected.iter().all(|s| *s));
    }
}
