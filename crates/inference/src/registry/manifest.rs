//! One model folder: what its `model.toml` declares, and the checks that it and its files must pass.
//!
//! Every problem of a folder is reported, each with the place and the remedy, not only the first: a manifest is
//! written by hand or by a script, and nobody should have to restart a server five times to correct five lines.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Component, Path};

use images::units::Scale;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tiling::TileBounds;

use crate::registry::{AUTO, BICUBIC, Kind, ModelInfo, Network, NetworkId, ScaleInfo, Skip, Suits};

/// File name of a manifest.
pub const FILE: &str = "model.toml";

/// `model.toml` as it is written; unknown keys are errors, since a misspelt one would silently do nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    name: String,
    title: String,
    description: String,
    license: String,
    paper: String,
    range: f64,
    mean_inside: bool,
    skip: Option<Skip>,
    trained_on: String,
    training: String,
    suits: Option<Suits>,
    tile: TileBounds,
    scale: Vec<ScaleEntry>,
}

/// What a manifest had before tiles could be rectangles: its squares.
#[derive(Deserialize)]
struct Squares {
    tile: Vec<Square>,
}

#[derive(Deserialize)]
struct Square {
    width: u32,
    halo: u32,
}

impl Squares {
    /// The table to write in their place.
    fn remedy(&self) -> String {
        let sides = || self.tile.iter().map(|square| square.width);
        let (min_side, max_side) = (sides().min().unwrap_or(0), sides().max().unwrap_or(0));
        let (step, max_area) = (sides().fold(0, common_divisor), u64::from(max_side).pow(2));
        let halo = self.tile.iter().map(|square| square.halo).max().unwrap_or(0);
        format!(
            "[[tile]] lists squares, which is not read any more; write one table instead: [tile] with step = {step}, \
             min_side = {min_side}, max_side = {max_side}, max_area = {max_area}, halo = {halo}"
        )
    }
}

/// The greatest; that with 0 is the other.
const fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScaleEntry {
    factor: u8,
    file: String,
    sha256: String,
    fp16: Option<Half>,
    parameters: u64,
    steps: Option<u64>,
    #[serde(default)]
    psnr_y: BTreeMap<String, f64>,
}

/// A file with the network's convolutions in fp16.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Half {
    file: String,
    sha256: String,
}

/// Where problems go, each with the file it is about in front.
struct Problems<'a> {
    place: String,
    all: &'a mut Vec<String>,
}

impl Problems<'_> {
    fn add(&mut self, text: impl std::fmt::Display) {
        self.all.push(format!("{}: {text}", self.place));
    }
}

/// Reads and checks the model in `folder`. `None` if there was any problem; each was added to `problems`.
pub fn read(folder: &Path, problems: &mut Vec<String>) -> Option<(ModelInfo, Vec<Network>)> {
    let path = folder.join(FILE);
    let before = problems.len();
    let mut problems = Problems { place: path.display().to_string(), all: problems };
    let text = match open_regular(&path).and_then(io::read_to_string) {
        Ok(text) => text,
        Err(error) => {
            problems.add(format_args!("cannot be read: {error}; every model folder needs one"));
            return None;
        }
    };
    let manifest: Manifest = match toml::from_str(&text) {
        Ok(manifest) => manifest,
        Err(_) if let Ok(squares) = toml::from_str::<Squares>(&text) => {
            problems.add(squares.remedy());
            return None;
        }
        Err(error) => {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            problems.add(format_args!("line {line}: {}", error.message().replace('\n', "; ")));
            return None;
        }
    };
    check_head(&manifest, folder, &mut problems);
    for fault in manifest.tile.faults() {
        problems.add(format_args!("[tile] {fault}"));
    }
    let networks = check_scales(&manifest, folder, &mut problems);
    if problems.all.len() > before {
        return None;
    }
    Some((describe(manifest, &networks), networks))
}

fn check_head(manifest: &Manifest, folder: &Path, problems: &mut Problems<'_>) {
    let name = &manifest.name;
    if folder.file_name().is_none_or(|f| f != name.as_str()) {
        problems.add(format_args!("name = '{name}' must be the name of the folder"));
    }
    // Names are in headers and metric labels.
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if name.is_empty() || name.len() > 64 || name.starts_with(['-', '.']) || !name.chars().all(plain) {
        problems.add(format_args!(
            "name = '{name}' must be 1 to 64 of a-z, 0-9, '-' and '.', and begin with a letter or digit"
        ));
    }
    if name == AUTO {
        problems.add(format_args!("name = '{AUTO}' means that a model is chosen by the file; choose another"));
    }
    if name == BICUBIC {
        problems.add(format_args!("name = '{BICUBIC}' is taken by the built-in model; choose another"));
    }
    for (key, text) in [("title", &manifest.title), ("license", &manifest.license)] {
        if text.trim().is_empty() {
            problems.add(format_args!("{key} is empty; /v1/models shows it, so say it"));
        }
    }
    if let Some(fault) = manifest.suits.as_ref().and_then(Suits::fault) {
        problems.add(fault);
    }
    if as_range(manifest.range).is_none() {
        problems.add(format_args!("range = {} must be 1.0 or 255.0, the value that stands for white", manifest.range));
    }
    if !manifest.mean_inside {
        problems.add(
            "mean_inside = false: the server subtracts no mean; export the network with the subtraction inside \
             and write true",
        );
    }
}

fn as_range(range: f64) -> Option<f32> {
    [1.0_f32, 255.0].into_iter().find(|&r| f64::from(r) == range)
}

fn check_scales(manifest: &Manifest, folder: &Path, problems: &mut Problems<'_>) -> Vec<Network> {
    if manifest.scale.is_empty() {
        problems.add("there is no [[scale]]; at least one is needed");
    }
    let mut networks: Vec<Network> = Vec::new();
    for entry in &manifest.scale {
        let factor = entry.factor;
        let Some(scale) = Scale::new(factor) else {
            problems.add(format_args!("[[scale]] factor = {factor} must be 1 to {}", Scale::MAX));
            continue;
        };
        if networks.iter().any(|n| n.scale == scale) {
            problems.add(format_args!("[[scale]] factor = {factor} stands twice"));
        }
        if let Some((set, value)) = entry.psnr_y.iter().find(|(_, v)| !v.is_finite()) {
            problems.add(format_args!("[[scale]] {factor}: psnr_y.{set} = {value} is no number of decibels"));
        }
        check_file(factor, &entry.file, &entry.sha256, folder, problems);
        if let Some(Half { file, sha256 }) = &entry.fp16 {
            check_file(factor, file, sha256, folder, problems);
        }
        networks.push(Network {
            id: NetworkId(0),
            model: manifest.name.clone(),
            scale,
            tile: manifest.tile,
            kind: Kind::Onnx {
                path: folder.join(&entry.file),
                sha256: entry.sha256.clone(),
                fp16: entry.fp16.as_ref().map(|half| folder.join(&half.file)),
                skip: manifest.skip,
                range: as_range(manifest.range).unwrap_or(1.0),
            },
            parameters: entry.parameters,
        });
    }
    networks
}

fn check_file(factor: u8, file: &str, sha256: &str, folder: &Path, problems: &mut Problems<'_>) {
    let mut parts = Path::new(file).components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
        problems
            .add(format_args!("[[scale]] {factor}: file = '{file}' must name a file in this folder, without a path"));
        return;
    }
    if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        problems.add(format_args!("[[scale]] {factor}: sha256 = '{sha256}' must be 64 lower-case hexadecimal digits"));
        return;
    }
    match hash(&folder.join(file)) {
        Ok(actual) if actual == sha256 => {}
        Ok(actual) => problems.add(format_args!(
            "[[scale]] {factor}: {file} has SHA-256 {actual}, but the manifest says {sha256}; restore the file, or \
             write its hash if the change is meant"
        )),
        Err(error) => problems.add(format_args!("[[scale]] {factor}: {file} cannot be read: {error}")),
    }
}

/// Opening a FIFO would wait for its writer, and a device may never end.
fn open_regular(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file; put the file itself there, or a link to it"));
    }
    File::open(path)
}

/// Lower-case hexadecimal SHA-256 of a file.
fn hash(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut open_regular(path)?, &mut hasher)?;
    Ok(format!("{:x}", hasher.finalize()))
}

fn describe(manifest: Manifest, networks: &[Network]) -> ModelInfo {
    let mut scales: Vec<ScaleInfo> = networks
        .iter()
        .zip(manifest.scale)
        .map(|(network, entry)| ScaleInfo { steps: entry.steps, psnr_y: entry.psnr_y, ..ScaleInfo::of(network) })
        .collect();
    scales.sort_by_key(|s| s.scale);
    ModelInfo {
        name: manifest.name,
        title: manifest.title,
        description: manifest.description,
        license: manifest.license,
        paper: manifest.paper,
        trained_on: manifest.trained_on,
        training: manifest.training,
        suits: manifest.suits,
        tile: manifest.tile,
        scales,
    }
}
