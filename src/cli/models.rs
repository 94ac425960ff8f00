//! Lists the models and what would run them.

use std::io::Write;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use inference::engine::TileEngine;
use inference::engine::bicubic::Bicubic;
use inference::registry::{AUTO, Kind, Registry};

use super::failure::{Failure, StartError};
use super::{library, start};
use crate::config::{EngineArgs, Machine};
use crate::http::models::{AtScale, Model, Models};

/// What `models` takes.
#[derive(ClapArgs, Clone, Debug)]
pub struct Args {
    /// JSON as of GET /v1/models, instead of a table
    #[arg(long, env = "UPSCALER_JSON")]
    pub json: bool,
    /// Folder, provider, precision.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Prints the table. Models that nothing here can run are listed all the same, and why is said on standard error.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut settings = args.engine.settings(&Machine::here())?;
    let registry = Registry::load(&settings.models, &settings.only).map_err(StartError::from)?;
    settings.runtime = library::chosen(&settings, &registry);
    let executions = match inference::engine::start::build_worker(&registry, &settings) {
        Ok(engines) => start::executions(&registry, &engines),
        Err(error) => {
            eprintln!("warning: {}", StartError::from(error));
            Vec::new()
        }
    };
    let models = Models::of(&settings.model, &registry, |network| match network.kind {
        Kind::Bicubic => Some(Bicubic::new(network.scale).execution()),
        Kind::Onnx { .. } => executions.get(network.id.0).cloned(),
    });
    let text = if args.json {
        let json = serde_json::to_string_pretty(&models);
        json.map_err(|error| Failure::Other(format!("the list cannot be written as JSON: {error}")))? + "\n"
    } else {
        table(&models)
    };
    // Who closed our output, as `head` does, has read enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// One line for scales of a model that differ in nothing else.
fn table(models: &Models) -> String {
    let mut rows = vec![["MODEL", "SCALES", "SUITS", "PARAMETERS", "TILES", "RUNS ON"].map(str::to_owned)];
    for model in &models.models {
        for scales in model.scales.chunk_by(|a, b| row_of(a) == row_of(b)) {
            let (parameters, runs_on) = row_of(&scales[0]);
            let name = if model.info.name == models.default {
                format!("{} (default)", model.info.name)
            } else {
                model.info.name.clone()
            };
            let scales: Vec<_> = scales.iter().map(|scale| format!("x{}", scale.info.scale)).collect();
            let suits = model.info.suits.as_ref().map(ToString::to_string).unwrap_or_default();
            rows.push([name, scales.join(" "), suits, parameters, tiles(model), runs_on]);
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..6).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    let by_file = if models.default == AUTO { "default: auto, the model that suits each file\n" } else { "" };
    rows.iter().map(line).collect::<String>() + by_file
}

fn row_of(scale: &AtScale) -> (String, String) {
    let runs_on = scale.execution.as_ref().map(|e| format!("{}, {}", e.provider, e.precision));
    (parameters(scale.info.parameters), runs_on.unwrap_or_else(|| "nothing here".into()))
}

fn parameters(count: u64) -> String {
    match count {
        0 => "none".into(),
        1..1_000_000 => format!("{:.0} k", count as f64 / 1e3),
        _ => format!("{:.2} M", count as f64 / 1e6),
    }
}

fn tiles(model: &Model) -> String {
    let tile = model.info.tile;
    format!("{} to {} halo {}", tile.smallest(), tile.largest(), tile.halo)
}

#[cfg(test)]
mod tests {
    use images::units::Scale;
    use inference::engine::Execution;
    use inference::registry::{Network, NetworkId, Suits};
    use tiling::TileBounds;

    use super::*;

    fn network(model: &str, scale: u8, parameters: u64) -> Network {
        Network {
            id: NetworkId(0),
            model: model.into(),
            scale: Scale::new(scale).expect("1 to 8"),
            tile: TileBounds { step: 16, min_side: 32, max_side: 96, max_area: 96 * 64, halo: 4 },
            kind: Kind::Bicubic,
            parameters,
        }
    }

    #[test]
    fn scales_that_differ_in_nothing_share_a_line() {
        let networks = [
            network("san", 2, 1_340_000),
            network("san", 4, 1_360_000),
            network("plain", 2, 0),
            network("plain", 3, 0),
        ];
        let registry = Registry::new(networks.to_vec());
        let suits = Suits { lossless: true, lossy: false, jpeg_quality: Some((96, 100)), priority: 0 };
        let registry = registry.suiting([Some(suits), None].into_iter());
        let cpu = |network: &Network| {
            (network.model == "plain").then(|| Execution { provider: "builtin".into(), precision: "fp32".into() })
        };
        assert_eq!(
            table(&Models::of(&"plain".into(), &registry, cpu)),
            "MODEL            SCALES  SUITS                  PARAMETERS  TILES                  RUNS ON\n\
             san              x2      lossless, JPEG 96-100  1.34 M      32x32 to 96x64 halo 4  nothing here\n\
             san              x4      lossless, JPEG 96-100  1.36 M      32x32 to 96x64 halo 4  nothing here\n\
             plain (default)  x2 x3                          none        32x32 to 96x64 halo 4  builtin, fp32\n"
        );
        let by_file = table(&Models::of(&"auto".into(), &registry, cpu));
        assert!(
            !by_file.contains("(default)") && by_file.ends_with("\ndefault: auto, the model that suits each file\n")
        );
    }

    #[test]
    fn parameters_are_short() {
        assert_eq!(
            [0, 999_000, 15_860_512].map(parameters),
            ["none".to_owned(), "999 k".to_owned(), "15.86 M".to_owned()]
        );
    }
}
