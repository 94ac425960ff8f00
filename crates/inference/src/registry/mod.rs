//! The networks that can be served: manifests of `models/` read and checked at start, and the built-in bicubic.
//!
//! A model is a folder: `models/<name>/model.toml` and one ONNX file a scale. [`manifest`] reads and checks one such
//! folder, [`load`] all of them. Nothing is loaded lazily: what is wrong with a model is said before the port opens.

pub mod load;
pub mod manifest;
pub mod suits;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use load::RegistryError;
pub use suits::{AUTO, ModelChoice, Suits};

use images::units::Scale;
use tiling::TileBounds;

/// Name of the built-in model.
pub const BICUBIC: &str = "bicubic";

/// Tiles of the built-in bicubic. Large, because its cost is linear and every overlap is computed twice; the halo
/// covers its receptive field (`resample::bicubic::RADIUS`) twice, as the cross-fade wants. The step keeps the shapes few.
const BICUBIC_TILE: TileBounds = TileBounds { step: 16, min_side: 32, max_side: 256, max_area: 128 * 128, halo: 4 };

/// Position of a network in its [`Registry`]; small, `Copy`, and meaningless for another registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkId(pub usize);

/// How a network is computed.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Keys' bicubic, built in.
    Bicubic,
    /// An ONNX file whose hash was checked at start.
    Onnx {
        /// The file.
        path: PathBuf,
        /// Lower-case hexadecimal SHA-256 of the file.
        sha256: String,
        /// The same network with its convolutions in fp16, whose hash was checked, too; for CUDA.
        fp16: Option<PathBuf>,
        /// Input and output value of white: 1.0 or 255.0.
        range: f32,
        /// What the network's output is added to; absent where it is the upscaled image itself.
        skip: Option<Skip>,
    },
}

/// An image that the service makes in fp32 and adds a network's output to. A residual network's detail bears bf16 and
/// fp16; what it is added to does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Skip {
    /// The tile upscaled by bicubic interpolation.
    Bicubic,
}

/// One model at one scale.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its place in the registry.
    pub id: NetworkId,
    /// The model's name as clients write it, e.g. `san-light`.
    pub model: String,
    /// Native scale.
    pub scale: Scale,
    /// The tiles that it takes.
    pub tile: TileBounds,
    /// How it is computed.
    pub kind: Kind,
    /// Trainable parameters; 0 for bicubic.
    pub parameters: u64,
}

/// What a model is, for people: the texts of its manifest and the facts of its scales.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelInfo {
    /// The name clients write.
    pub name: String,
    /// One line.
    pub title: String,
    /// What it is good for.
    pub description: String,
    /// SPDX identifier of the weights' license.
    pub license: String,
    /// Where the network was published.
    pub paper: String,
    /// Training data.
    pub trained_on: String,
    /// How it was trained.
    pub training: String,
    /// Which files it suits; absent where it runs only by name.
    pub suits: Option<Suits>,
    /// The tiles that it takes.
    pub tile: TileBounds,
    /// Its scales, smallest first. Shown by `http::models`, each with what runs it.
    #[serde(skip)]
    pub scales: Vec<ScaleInfo>,
}

/// One scale of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScaleInfo {
    /// Native scale.
    pub scale: Scale,
    /// Trainable parameters; 0 for bicubic.
    pub parameters: u64,
    /// Lower-case hexadecimal SHA-256 of the ONNX file; absent for bicubic.
    pub sha256: Option<String>,
    /// Steps of training, if known.
    pub steps: Option<u64>,
    /// Measured PSNR-Y in dB by test set, if known.
    pub psnr_y: BTreeMap<String, f64>,
}

/// Every network that can be served.
#[derive(Clone, Debug)]
pub struct Registry {
    networks: Vec<Network>,
    models: Vec<ModelInfo>,
}

/// Why a model at a scale is not available.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No model of that name.
    #[error("unknown model '{name}'; the models here are {}, or {AUTO}", known.join(", "))]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The model exists, but not at this scale.
    #[error("model '{model}' has no scale {scale}; it has {}", known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    UnsupportedScale {
        /// The model.
        model: String,
        /// What was asked for.
        scale: Scale,
        /// What it has.
        known: Vec<Scale>,
    },
}

impl Registry {
    /// A registry of these networks; ids are given anew by position. Models carry no texts: for tests and tools that
    /// have networks without manifests.
    pub fn new(networks: Vec<Network>) -> Self {
        let mut models: Vec<ModelInfo> = Vec::new();
        for network in &networks {
            let scale = ScaleInfo::of(network);
            match models.iter_mut().find(|m| m.name == network.model) {
                Some(model) => model.scales.push(scale),
                None => models.push(ModelInfo {
                    name: network.model.clone(),
                    title: network.model.clone(),
                    description: String::new(),
                    license: String::new(),
                    paper: String::new(),
                    trained_on: String::new(),
                    training: String::new(),
                    suits: None,
                    tile: network.tile,
                    scales: vec![scale],
                }),
            }
        }
        for model in &mut models {
            model.scales.sort_by_key(|s| s.scale);
        }
        Self::assemble(networks, models)
    }

    fn assemble(networks: Vec<Network>, models: Vec<ModelInfo>) -> Self {
        let networks = networks.into_iter().enumerate().map(|(i, n)| Network { id: NetworkId(i), ..n }).collect();
        Self { networks, models }
    }

    /// The same with what each model suits, in order: for tests and tools.
    #[must_use]
    pub fn suiting(mut self, suits: impl Iterator<Item = Option<Suits>>) -> Self {
        self.models.iter_mut().zip(suits).for_each(|(model, suits)| model.suits = suits);
        self
    }

    /// All networks, by id.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// The network behind an id of this registry.
    pub fn network(&self, id: NetworkId) -> &Network {
        &self.networks[id.0]
    }

    /// All models, by name, the built-in bicubic last.
    pub fn models(&self) -> &[ModelInfo] {
        &self.models
    }

    /// A model by name.
    pub fn model(&self, name: &str) -> Result<&ModelInfo, LookupError> {
        self.models.iter().find(|m| m.name == name).ok_or_else(|| LookupError::UnknownModel {
            name: name.to_owned(),
            known: self.models.iter().map(|m| m.name.clone()).collect(),
        })
    }

    /// Whether any of them needs ONNX Runtime.
    pub fn has_networks(&self) -> bool {
        self.networks.iter().any(|network| matches!(network.kind, Kind::Onnx { .. }))
    }

    /// A model at a scale.
    pub fn find(&self, model: &str, scale: Scale) -> Result<&Network, LookupError> {
        let info = self.model(model)?;
        self.networks.iter().find(|n| n.model == model && n.scale == scale).ok_or_else(|| {
            LookupError::UnsupportedScale {
                model: model.to_owned(),
                scale,
                known: info.scales.iter().map(|s| s.scale).collect(),
            }
        })
    }
}

impl ScaleInfo {
    fn of(network: &Network) -> Self {
        let sha256 = match &network.kind {
            Kind::Bicubic => None,
            Kind::Onnx { sha256, .. } => Some(sha256.clone()),
        };
        Self { scale: network.scale, parameters: network.parameters, sha256, steps: None, psnr_y: BTreeMap::new() }
    }
}

/// The built-in model at every scale there is but 1, which needs no network, and its texts.
fn bicubic() -> (ModelInfo, Vec<Network>) {
    let networks: Vec<Network> = (2..=Scale::MAX)
        .filter_map(Scale::new)
        .map(|scale| Network {
            id: NetworkId(0),
            model: BICUBIC.to_owned(),
            scale,
            tile: BICUBIC_TILE,
            kind: Kind::Bicubic,
            parameters: 0,
        })
        .collect();
    let info = ModelInfo {
        name: BICUBIC.to_owned(),
        title: "Bicubic interpolation".to_owned(),
        description: "The classical baseline, built in: fast, smooth, invents nothing and restores nothing.".to_owned(),
        license: "Apache-2.0".to_owned(),
        paper: "Keys, Cubic convolution interpolation for digital image processing, IEEE TASSP 1981".to_owned(),
        trained_on: String::new(),
        training: String::new(),
        suits: None,
        tile: BICUBIC_TILE,
        scales: networks.iter().map(ScaleInfo::of).collect(),
    };
    (info, networks)
}

#[cfg(test)]
mod tests {
    use images::resample::bicubic::RADIUS;

    use super::*;

    fn scale(factor: u8) -> Scale {
        Scale::new(factor).expect("a scale between 1 and 8")
    }

    fn network(model: &str, factor: u8) -> Network {
        Network {
            id: NetworkId(77),
            model: model.to_owned(),
            scale: scale(factor),
            tile: TileBounds::square(16, 2),
            kind: Kind::Onnx { path: "x.onnx".into(), sha256: "ab".into(), fp16: None, range: 1.0, skip: None },
            parameters: 3,
        }
    }

    #[test]
    fn ids_are_positions() {
        let registry = Registry::new(vec![network("a", 4), network("a", 2), network("b", 3)]);
        for (i, n) in registry.networks().iter().enumerate() {
            assert_eq!(n.id, NetworkId(i));
            assert_eq!(registry.network(n.id).scale, n.scale);
        }
        assert_eq!(registry.find("a", scale(2)).map(|n| n.id), Ok(NetworkId(1)));
    }

    #[test]
    fn models_gather_their_scales_smallest_first() {
        let registry = Registry::new(vec![network("a", 4), network("a", 2), network("b", 3)]);
        let names: Vec<_> = registry.models().iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let scales: Vec<_> = registry.models()[0].scales.iter().map(|s| s.scale.factor()).collect();
        assert_eq!(scales, [2, 4]);
        assert_eq!(registry.models()[1].scales[0].sha256.as_deref(), Some("ab"));
    }

    #[test]
    fn errors_say_what_there_is() {
        let registry = Registry::new(vec![network("a", 4), network("a", 2), network("b", 3)]);
        let unknown = registry.find("c", scale(2)).expect_err("there is no c");
        assert_eq!(unknown.to_string(), "unknown model 'c'; the models here are a, b, or auto");
        let missing = registry.find("a", scale(3)).expect_err("a has no 3");
        assert_eq!(missing.to_string(), "model 'a' has no scale 3; it has 2, 4");
    }

    #[test]
    fn bicubic_has_every_scale_and_a_halo_that_covers_its_kernel() {
        let (info, networks) = bicubic();
        assert_eq!(networks.len(), usize::from(Scale::MAX) - 1);
        assert_eq!(info.scales.len(), networks.len());
        for n in &networks {
            assert!(n.tile.halo >= 2 * RADIUS && n.tile.faults().is_empty());
        }
    }
}
