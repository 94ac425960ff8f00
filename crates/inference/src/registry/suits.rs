//! Which files a model suits, by its `model.toml`, and which model a request asks for. `model=auto` brings the two
//! together (`pipeline::selection`).

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name that has a model chosen by the file.
pub const AUTO: &str = "auto";

/// Which model is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelChoice {
    /// The one that suits the file.
    Auto,
    /// This one, whatever the file.
    Named(String),
}

impl ModelChoice {
    /// The name, if one is asked for by it.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Auto => None,
            Self::Named(name) => Some(name),
        }
    }
}

impl From<&str> for ModelChoice {
    fn from(name: &str) -> Self {
        if name == AUTO { Self::Auto } else { Self::Named(name.to_owned()) }
    }
}

impl FromStr for ModelChoice {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(name.into())
    }
}

impl fmt::Display for ModelChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().unwrap_or(AUTO))
    }
}

/// `[suits]` of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Suits {
    /// Files whose compression loses nothing.
    #[serde(default)]
    pub lossless: bool,
    /// Files whose compression loses something.
    #[serde(default)]
    pub lossy: bool,
    /// JPEGs of a quality from the first to the second, both included; with `lossy`, no other JPEGs whose quality is
    /// known.
    pub jpeg_quality: Option<(u8, u8)>,
    /// Of models that suit a file the one with the highest is taken.
    #[serde(default)]
    pub priority: i32,
}

impl Suits {
    /// What is wrong with it, and the remedy.
    pub fn fault(&self) -> Option<String> {
        match self.jpeg_quality {
            Some((low, high)) if !(1 <= low && low <= high && high <= 100) => Some(format!(
                "[suits] jpeg_quality = [{low}, {high}] must be two numbers from 1 to 100, the lower one first"
            )),
            None if !self.lossless && !self.lossy => Some(
                "[suits] suits nothing; set lossless, lossy or jpeg_quality, or leave [suits] out and the model runs only \
                 by name"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

impl fmt::Display for Suits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quality = self.jpeg_quality.map(|(low, high)| format!("JPEG {low}-{high}"));
        let words = [self.lossless.then(|| "lossless".to_owned()), self.lossy.then(|| "lossy".to_owned()), quality];
        f.write_str(&words.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}
