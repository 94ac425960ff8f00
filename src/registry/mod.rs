//! The networks that can be served: manifests of `models/` read and checked at start, and the built-in bicubic.

pub mod manifest;

use std::path::PathBuf;

use crate::tiling::TileSpec;
use crate::units::Scale;

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
        /// Input and output value that stands for white: 1.0 or 255.0.
        range: f32,
    },
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
    /// Tile shapes, largest first.
    pub tiles: Vec<TileSpec>,
    /// How it is computed.
    pub kind: Kind,
    /// Trainable parameters; 0 for bicubic.
    pub parameters: u64,
}

/// Every network that can be served.
#[derive(Clone, Debug)]
pub struct Registry {
    networks: Vec<Network>,
}

/// Why a model at a scale cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No model of that name.
    #[error("unknown model '{name}'; the models here are {}", known.join(", "))]
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
    /// A registry of these networks; ids are given anew by position.
    pub fn new(networks: Vec<Network>) -> Self {
        let networks = networks.into_iter().enumerate().map(|(i, n)| Network { id: NetworkId(i), ..n }).collect();
        Self { networks }
    }

    /// All networks, by id.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// The network behind an id of this registry.
    pub fn network(&self, id: NetworkId) -> &Network {
        &self.networks[id.0]
    }

    /// A model at a scale.
    pub fn find(&self, _model: &str, _scale: Scale) -> Result<&Network, LookupError> {
        unimplemented!("registry helper")
    }
}
