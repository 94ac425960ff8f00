//! `model=auto`: which model a file gets, by its header and by what each `model.toml` declares to suit.
//!
//! Of the models that reach the size and suit the file, the one with the highest `priority` is taken; of equals one
//! whose `jpeg_quality` names the file's quality before one that suits lossy files in general, then the first by name.
//! Where none suits, the request is answered all the same, by the first that suits files of another kind, then by any
//! other network, then by bicubic; and the reason names it. A model that is named is never overruled.

use std::cmp::Reverse;

use images::geometry::passes::passes;
use images::units::Scale;
use images::{InputFormat, Loss};
use inference::registry::{BICUBIC, LookupError, ModelChoice, ModelInfo, Registry, Suits};

/// The model that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Its name.
    pub model: String,
    /// Why it was chosen; absent where it was named.
    pub reason: Option<String>,
}

/// The model for a file of this kind that must become at least `times` as large.
pub fn select(
    registry: &Registry,
    choice: &ModelChoice,
    (format, loss): (InputFormat, Loss),
    times: u32,
) -> Result<Selection, LookupError> {
    if let ModelChoice::Named(name) = choice {
        return Ok(Selection { model: registry.model(name)?.name.clone(), reason: None });
    }
    let file = described(format, loss);
    let reaching = registry.models().iter().filter(|info| passes(&natives(info), times).is_some());
    let suiting = reaching.clone().filter_map(|info| {
        let suits = info.suits.as_ref()?;
        let general = !fit(suits, loss)?.is_specific();
        Some(((Reverse(suits.priority), general), info))
    });
    // Of equals the first counts; models are sorted by name.
    if let Some((_, info)) = suiting.min_by_key(|(rank, _)| *rank) {
        return Ok(Selection { model: info.name.clone(), reason: Some(file) });
    }
    let instead = reaching.min_by_key(|info| {
        let priority = info.suits.as_ref().map(|suits| Reverse(suits.priority));
        (info.suits.is_none(), info.name == BICUBIC, priority)
    });
    // For one that reaches nothing the error names the scale it has not.
    let info = instead
        .or(registry.models().first())
        .ok_or_else(|| LookupError::UnknownModel { name: choice.to_string(), known: Vec::new() })?;
    Ok(Selection { model: info.name.clone(), reason: Some(format!("{file}, which no model here suits")) })
}

/// The models that `auto` takes for files of one kind or another: those that suit anything; if none does, any network; if
/// there is none, bicubic.
pub fn candidates(registry: &Registry) -> Vec<&ModelInfo> {
    let all = registry.models();
    let [suiting, networks] = [|info: &&ModelInfo| info.suits.is_some(), |info: &&ModelInfo| info.name != BICUBIC]
        .map(|takes| all.iter().filter(takes).collect::<Vec<_>>());
    let found = [suiting, networks].into_iter().find(|found| !found.is_empty());
    found.unwrap_or_else(|| all.iter().collect())
}

fn natives(info: &ModelInfo) -> Vec<Scale> {
    info.scales.iter().map(|info| info.scale).collect()
}

/// How a model came to suit a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// By the kind of its compression.
    Kind,
    /// By the quality of a JPEG.
    Quality,
}

impl Fit {
    const fn is_specific(self) -> bool {
        matches!(self, Self::Quality)
    }
}

fn fit(suits: &Suits, loss: Loss) -> Option<Fit> {
    match (loss, suits.jpeg_quality) {
        (Loss::Lossless, _) => suits.lossless.then_some(Fit::Kind),
        (Loss::Jpeg { quality: Some(quality) }, Some((low, high))) => {
            (low..=high).contains(&quality).then_some(Fit::Quality)
        }
        (Loss::Lossy | Loss::Jpeg { .. }, _) => suits.lossy.then_some(Fit::Kind),
    }
}

/// The file in words, e.g. `JPEG, quality about 75`: ASCII without quotes, since it is sent in a header.
fn described(format: InputFormat, loss: Loss) -> String {
    let name = match (format, loss) {
        (InputFormat::Tiff, Loss::Jpeg { .. }) => "TIFF with JPEG",
        _ => format.name(),
    };
    match loss {
        Loss::Lossless => format!("{name}, lossless"),
        Loss::Lossy => format!("{name}, lossy"),
        Loss::Jpeg { quality: Some(quality) } => format!("{name}, quality about {quality}"),
        Loss::Jpeg { quality: None } => format!("{name}, quality unknown"),
    }
}

#[cfg(test)]
mod tests {
    use inference::registry::{Kind, Network, NetworkId};
    use tiling::TileBounds;

    use super::*;

    const LOSSLESS: Suits = Suits { lossless: true, lossy: false, jpeg_quality: None, priority: 0 };
    const LOSSY: Suits = Suits { lossless: false, lossy: true, ..LOSSLESS };
    const CLEAN: Suits = Suits { jpeg_quality: Some((96, 100)), ..LOSSLESS };

    /// Models by name, their scales and what they suit, and bicubic.
    fn registry(models: &[(&str, &[u8], Option<Suits>)]) -> Registry {
        let bicubic: &[u8] = &[2, 3, 4];
        let all = models.iter().cloned().chain([(BICUBIC, bicubic, None)]);
        let networks = all.clone().flat_map(|(model, scales, _)| {
            scales.iter().map(move |scale| Network {
                id: NetworkId(0),
                model: model.into(),
                scale: Scale::new(*scale).expect("a scale"),
                tile: TileBounds::square(16, 2),
                kind: Kind::Bicubic,
                parameters: 0,
            })
        });
        let suits = all.map(|(.., suits)| suits);
        Registry::new(networks.collect()).suiting(suits)
    }

    fn jpeg(quality: u8) -> (InputFormat, Loss) {
        (InputFormat::Jpeg, Loss::Jpeg { quality: Some(quality) })
    }

    fn chosen(registry: &Registry, file: (InputFormat, Loss), times: u32) -> (String, String) {
        let selection = select(registry, &ModelChoice::Auto, file, times).expect("there is always one");
        (selection.model, selection.reason.expect("there is always one"))
    }

    fn pair(model: &str, reason: &str) -> (String, String) {
        (model.to_owned(), reason.to_owned())
    }

    const PNG: (InputFormat, Loss) = (InputFormat::Png, Loss::Lossless);
    const ALL: &[u8] = &[2, 3, 4];

    #[test]
    fn each_kind_of_file_gets_what_suits_it() {
        let registry = registry(&[("clean", ALL, Some(CLEAN)), ("real", ALL, Some(LOSSY)), ("unasked", ALL, None)]);
        assert_eq!(chosen(&registry, PNG, 4), pair("clean", "PNG, lossless"));
        for (format, name) in [(InputFormat::WebP, "WebP"), (InputFormat::Jxl, "JPEG XL")] {
            assert_eq!(chosen(&registry, (format, Loss::Lossless), 4), pair("clean", &format!("{name}, lossless")));
            assert_eq!(chosen(&registry, (format, Loss::Lossy), 4), pair("real", &format!("{name}, lossy")));
        }
        for (quality, model) in [(1, "real"), (75, "real"), (95, "real"), (96, "clean"), (100, "clean")] {
            let reason = format!("JPEG, quality about {quality}");
            assert_eq!(chosen(&registry, jpeg(quality), 2), pair(model, &reason));
        }
        let unknown = Loss::Jpeg { quality: None };
        assert_eq!(chosen(&registry, (InputFormat::Jpeg, unknown), 4), pair("real", "JPEG, quality unknown"));
        let tiff = (InputFormat::Tiff, Loss::Jpeg { quality: Some(60) });
        assert_eq!(chosen(&registry, tiff, 4), pair("real", "TIFF with JPEG, quality about 60"));
    }

    #[test]
    fn a_range_beside_lossy_narrows_the_jpegs() {
        let narrow = Suits { jpeg_quality: Some((1, 40)), ..LOSSY };
        let registry = registry(&[("bad", ALL, Some(narrow)), ("real", ALL, Some(LOSSY))]);
        assert_eq!(chosen(&registry, jpeg(40), 4).0, "bad", "named before general");
        assert_eq!(chosen(&registry, jpeg(41), 4).0, "real");
        assert_eq!(chosen(&registry, (InputFormat::WebP, Loss::Lossy), 4).0, "bad", "both do, and it is the first");
    }

    #[test]
    fn priority_goes_before_all_else() {
        let own = Suits { priority: 1, ..LOSSY };
        let registry = registry(&[("clean", ALL, Some(CLEAN)), ("own", ALL, Some(own)), ("real", ALL, Some(LOSSY))]);
        assert_eq!(chosen(&registry, jpeg(98), 4).0, "own");
        assert_eq!(chosen(&registry, PNG, 4).0, "clean", "but it does not suit everything");
    }

    #[test]
    fn what_nothing_suits_is_answered_all_the_same() {
        let none = "JPEG, quality about 75, which no model here suits";
        let one = registry(&[("any", ALL, None), ("clean", ALL, Some(CLEAN))]);
        assert_eq!(chosen(&one, jpeg(75), 4), pair("clean", none), "one that suits something");
        assert_eq!(chosen(&registry(&[("b", ALL, None), ("a", ALL, None)]), jpeg(75), 4), pair("b", none), "the first");
        assert_eq!(chosen(&registry(&[]), jpeg(75), 4), pair(BICUBIC, none));
    }

    #[test]
    fn a_model_that_does_not_reach_the_size_is_passed_over() {
        let registry = registry(&[("clean", ALL, Some(CLEAN)), ("real", &[1], Some(LOSSY))]);
        assert_eq!(chosen(&registry, jpeg(75), 1).0, "real");
        assert_eq!(chosen(&registry, jpeg(75), 2), pair("clean", "JPEG, quality about 75, which no model here suits"));
        // Nor is one whose only scale is more than is asked for: it is reduced.
        let large = super::tests::registry(&[("clean", ALL, Some(CLEAN)), ("real", &[4], Some(LOSSY))]);
        assert_eq!(chosen(&large, jpeg(75), 2).0, "real");
    }

    #[test]
    fn a_name_is_never_overruled() {
        let registry = registry(&[("clean", ALL, Some(CLEAN)), ("real", ALL, Some(LOSSY))]);
        for (name, file) in [("clean", jpeg(10)), ("real", PNG), (BICUBIC, PNG)] {
            let selection = select(&registry, &name.into(), file, 8).expect("it is there");
            assert_eq!(selection, Selection { model: name.to_owned(), reason: None });
        }
        assert!(select(&registry, &"gone".into(), PNG, 2).is_err());
    }

    #[test]
    fn candidates_suit_something_if_anything_does() {
        let names = |registry: &Registry| {
            candidates(registry).iter().map(|info| info.name.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&registry(&[("a", ALL, None), ("b", ALL, Some(LOSSY))])), "b");
        assert_eq!(names(&registry(&[("a", ALL, None), ("b", ALL, None)])), "a b");
        assert_eq!(names(&registry(&[])), BICUBIC);
    }
}
