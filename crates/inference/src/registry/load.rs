//! All model folders of `--models`: which of them are models, and their problems gathered.

use std::path::{Path, PathBuf};

use crate::registry::{BICUBIC, Registry, bicubic, manifest};

/// Everything that is wrong with the models, one problem a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("\n"))]
pub struct RegistryError {
    /// Each names its file and the remedy.
    pub problems: Vec<String>,
}

impl Registry {
    /// The models of a folder and the built-in bicubic. With `only`, no other folder is looked at; names that do not
    /// exist are an error. A broken model is an error too: a server that left it out would answer "unknown model" to
    /// those who rely on it.
    pub fn load(models: &Path, only: &[String]) -> Result<Self, RegistryError> {
        let mut problems = Vec::new();
        let mut networks = Vec::new();
        let mut infos = Vec::new();
        for folder in folders(models, only, &mut problems) {
            if let Some((info, of_model)) = manifest::read(&folder, &mut problems) {
                infos.push(info);
                networks.extend(of_model);
            }
        }
        if !problems.is_empty() {
            return Err(RegistryError { problems });
        }
        let (info, built_in) = bicubic();
        infos.push(info);
        networks.extend(built_in);
        Ok(Self::assemble(networks, infos))
    }
}

/// Folders to read, by name. A folder counts as a model if it holds a manifest or an ONNX file, so that scripts may
/// live beside the models and yet a model that lost its manifest is noticed. The built-in bicubic needs no folder.
fn folders(models: &Path, only: &[String], problems: &mut Vec<String>) -> Vec<PathBuf> {
    if !only.is_empty() && only.iter().all(|name| name == BICUBIC) {
        return Vec::new();
    }
    let entries = match std::fs::read_dir(models) {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(format!(
                "{}: cannot be read: {error}; --models (UPSCALER_MODELS) must name the folder of models",
                models.display()
            ));
            return Vec::new();
        }
    };
    let mut folders: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| holds_model(p)).collect();
    folders.sort();
    if only.is_empty() {
        return folders;
    }
    let named = |folder: &PathBuf, name: &str| folder.file_name().is_some_and(|f| f == name);
    for name in only.iter().filter(|n| *n != BICUBIC) {
        if !folders.iter().any(|f| named(f, name)) {
            let known: Vec<_> = folders.iter().filter_map(|f| f.file_name()?.to_str()).collect();
            problems.push(format!("{}: has no model '{name}'; it has {}", models.display(), known.join(", ")));
        }
    }
    folders.retain(|f| only.iter().any(|name| named(f, name)));
    folders
}

fn holds_model(folder: &Path) -> bool {
    let hidden = folder.file_name().is_none_or(|f| f.as_encoded_bytes().starts_with(b"."));
    !hidden
        && std::fs::read_dir(folder).is_ok_and(|entries| {
            entries.flatten().map(|e| e.path()).any(|p| {
                p.file_name().is_some_and(|f| f == manifest::FILE) || p.extension().is_some_and(|e| e == "onnx")
            })
        })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use images::units::Scale;
    use sha2::{Digest, Sha256};
    use tempfile::TempDir;

    use super::*;
    use crate::registry::Suits;

    const ONNX: &[u8] = b"not a network, but a file with a hash";

    /// A folder of models with one good model `net`, of which `edit` may change the manifest.
    fn models(edit: impl Fn(String) -> String) -> TempDir {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = dir.path().join("net");
        fs::create_dir(&folder).expect("a new folder");
        fs::write(folder.join("x4.onnx"), ONNX).expect("a new file");
        fs::write(folder.join("x2.onnx"), ONNX).expect("a new file");
        let hash = format!("{:x}", Sha256::digest(ONNX));
        let manifest = format!(
            r#"name = "net"
title = "A net"
description = "Catches"
license = "Apache-2.0"
paper = "none"
range = 255.0
mean_inside = true
trained_on = "nothing"
training = "none"

[tile]
step = 8
min_side = 32
max_side = 96
max_area = 4096
halo = 4

[[scale]]
factor = 4
file = "x4.onnx"
sha256 = "{hash}"
parameters = 12
steps = 9
psnr_y = {{ Set5 = 30.5, Set14 = 28.0 }}

[[scale]]
factor = 2
file = "x2.onnx"
sha256 = "{hash}"
parameters = 11
"#
        );
        fs::write(folder.join(manifest::FILE), edit(manifest)).expect("a new file");
        dir
    }

    fn problems(edit: impl Fn(String) -> String) -> Vec<String> {
        Registry::load(models(edit).path(), &[]).expect_err("the manifest is broken").problems
    }

    #[test]
    fn a_good_model_and_bicubic() {
        let dir = models(|m| m);
        let registry = Registry::load(dir.path(), &[]).expect("the model is good");
        let names: Vec<_> = registry.models().iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["net", BICUBIC]);
        let info = &registry.models()[0];
        assert_eq!(info.scales.iter().map(|s| s.scale.factor()).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(info.scales[1].psnr_y["Set5"], 30.5);
        assert_eq!(info.scales[1].steps, Some(9));
        assert_eq!(info.scales[0].parameters, 11);
        let four = Scale::new(4).expect("4 is a scale");
        let network = registry.find("net", four).expect("net has 4");
        assert_eq!((network.tile, network.tile.largest().pixels()), (info.tile, 4096));
        assert!(registry.find(BICUBIC, four).is_ok());
    }

    #[test]
    fn what_a_model_suits_is_in_its_manifest() {
        let suits = |text: &str| {
            let dir = models(|m| m.replacen("[tile]", &format!("{text}\n[tile]"), 1));
            Registry::load(dir.path(), &[]).expect("the model is good").models()[0].suits.clone()
        };
        assert_eq!(suits(""), None);
        let found = suits("[suits]\nlossless = true\njpeg_quality = [96, 100]");
        let expected = Suits { lossless: true, lossy: false, jpeg_quality: Some((96, 100)), priority: 0 };
        assert_eq!(found, Some(expected));
        let lossy = suits("[suits]\nlossy = true\npriority = 7").expect("it is there");
        assert_eq!((lossy.to_string().as_str(), lossy.priority), ("lossy", 7));
    }

    #[test]
    fn no_model_may_be_called_auto() {
        let found = problems(|m| m.replace("name = \"net\"", "name = \"auto\""));
        assert!(found.iter().any(|p| p.contains("name = 'auto' means that a model is chosen")), "{found:#?}");
    }

    #[test]
    fn a_whole_number_may_stand_for_the_range() {
        assert!(Registry::load(models(|m| m.replace("range = 255.0", "range = 255")).path(), &[]).is_ok());
        assert!(Registry::load(models(|m| m.replace("range = 255.0", "range = 1")).path(), &[]).is_ok());
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let found = problems(|m| {
            m.replace("name = \"net\"", "name = \"other\"")
                .replace("range = 255.0", "range = 2.0")
                .replace("mean_inside = true", "mean_inside = false")
                .replace("halo = 4", "halo = 3")
        });
        assert_eq!(found.len(), 4, "{found:#?}");
        for (problem, part) in found.iter().zip(["name = 'other'", "range = 2", "mean_inside", "halo = 3"]) {
            assert!(problem.contains(part) && problem.contains("model.toml"), "{problem}");
        }
    }

    #[test]
    fn each_rule_bites() {
        let cases: &[(&str, &str, &str)] = &[
            ("title = \"A net\"", "title = \" \"", "title is empty"),
            ("title = \"A net\"", "titel = \"A net\"", "line 2: unknown field `titel`"),
            ("max_area = 4096", "max_area = 1023", "[tile] max_area = 1023 must hold"),
            ("max_side = 96", "max_side = 1032", "[tile] max_side = 1032 must be"),
            ("max_area = 4096\n", "", "missing field `max_area`"),
            ("halo = 4", "halo = 10", "[tile] halo = 10 must be even"),
            ("halo = 4", "halo = 4\nwidth = 64", "unknown field `width`"),
            ("factor = 4", "factor = 9", "factor = 9 must be 1 to 8"),
            ("factor = 4", "factor = 0", "factor = 0 must be 1 to 8"),
            ("factor = 4", "factor = 2", "stands twice"),
            ("file = \"x4.onnx\"", "file = \"../net/x4.onnx\"", "without a path"),
            ("file = \"x4.onnx\"", "file = \"/x4.onnx\"", "without a path"),
            ("file = \"x4.onnx\"", "file = \"\"", "without a path"),
            ("file = \"x4.onnx\"", "file = \"x8.onnx\"", "x8.onnx cannot be read"),
            ("Set5 = 30.5", "Set5 = nan", "psnr_y.Set5"),
            ("[tile]", "[suits]\njpeg_quality = [0, 50]\n[tile]", "jpeg_quality = [0, 50] must be"),
            ("[tile]", "[suits]\njpeg_quality = [90, 101]\n[tile]", "from 1 to 100"),
            ("[tile]", "[suits]\njpeg_quality = [51, 50]\n[tile]", "the lower one first"),
            ("[tile]", "[suits]\npriority = 3\n[tile]", "[suits] suits nothing"),
            ("[tile]", "[suits]\nscans = true\n[tile]", "unknown field `scans`"),
        ];
        for (from, to, says) in cases {
            let found = problems(|m| {
                assert!(m.contains(from), "the case must change something: {from}");
                m.replacen(from, to, 1)
            });
            assert!(found.iter().any(|p| p.contains(says)), "{to}: {found:#?}");
        }
    }

    #[test]
    fn the_squares_of_before_are_refused_with_the_table_to_write() {
        let square = |side| format!("[[tile]]\nwidth = {side}\nheight = {side}\nhalo = 4\n");
        let found = problems(|m| {
            let table = m[m.find("[tile]").expect("it is there")..m.find("[[scale]]").expect("it is there")].to_owned();
            m.replace(&table, &[108, 72, 48].map(square).concat())
        });
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].ends_with("[tile] with step = 12, min_side = 48, max_side = 108, max_area = 11664, halo = 4"),
            "{found:#?}"
        );
    }

    #[test]
    fn limits_of_the_rules_are_inside() {
        for (from, to) in [
            ("halo = 4", "halo = 8"),
            ("max_side = 96", "max_side = 1024"),
            ("max_area = 4096", "max_area = 1024"),
            ("[tile]", "[suits]\njpeg_quality = [1, 100]\n[tile]"),
            ("[tile]", "[suits]\njpeg_quality = [96, 96]\npriority = -1\n[tile]"),
        ] {
            let dir = models(|m| m.replacen(from, to, 1));
            assert!(Registry::load(dir.path(), &[]).is_ok(), "{to}");
        }
    }

    #[test]
    fn a_changed_file_is_noticed() {
        let dir = models(|m| m);
        fs::write(dir.path().join("net/x4.onnx"), b"something else").expect("a new file");
        let error = Registry::load(dir.path(), &[]).expect_err("the hash differs");
        assert_eq!(error.problems.len(), 1);
        assert!(error.problems[0].contains("x4.onnx has SHA-256"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_fifo_is_reported_and_not_waited_for() {
        for name in ["net/model.toml", "net/x4.onnx"] {
            let dir = models(|m| m);
            let path = dir.path().join(name);
            fs::remove_file(&path).expect("it is there");
            assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo is there").success());
            let error = Registry::load(dir.path(), &[]).expect_err("nothing can be read");
            assert!(error.to_string().contains("no regular file"), "{error}");
        }
        let dir = models(|m| m);
        let beside = dir.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&beside).status().expect("mkfifo is there").success());
        assert!(Registry::load(dir.path(), &[]).is_ok(), "one beside the models is no model");
    }

    #[test]
    fn a_hash_that_is_none_is_reported_as_such() {
        let found = problems(|m| m.replace("sha256 = \"", "sha256 = \"F"));
        assert_eq!(found.iter().filter(|p| p.contains("64 lower-case hexadecimal digits")).count(), 2, "{found:#?}");
    }

    #[test]
    fn folders_that_hold_no_model_are_passed_over() {
        let dir = models(|m| m);
        fs::create_dir(dir.path().join("training")).expect("a new folder");
        fs::create_dir(dir.path().join(".cache")).expect("a new folder");
        fs::write(dir.path().join(".cache/x.onnx"), ONNX).expect("a new file");
        fs::write(dir.path().join("README.md"), "").expect("a new file");
        assert!(Registry::load(dir.path(), &[]).is_ok());
    }

    #[test]
    fn a_model_without_its_manifest_refuses_the_start() {
        let dir = models(|m| m);
        fs::create_dir(dir.path().join("lost")).expect("a new folder");
        fs::write(dir.path().join("lost/x4.onnx"), ONNX).expect("a new file");
        let error = Registry::load(dir.path(), &[]).expect_err("lost has no manifest");
        assert!(error.to_string().contains("every model folder needs one"), "{error}");
        assert!(
            Registry::load(dir.path(), &["net".to_owned()]).is_ok(),
            "but a model that is not wanted may be broken"
        );
    }

    #[test]
    fn only_the_wanted() {
        let dir = models(|m| m);
        let bare = Registry::load(dir.path(), &[BICUBIC.to_owned()]).expect("bicubic is always there");
        assert_eq!(bare.models().len(), 1);
        let error = Registry::load(dir.path(), &["nit".to_owned()]).expect_err("there is no nit");
        assert!(error.to_string().contains("has no model 'nit'; it has net"), "{error}");
    }

    #[test]
    fn a_missing_folder_names_the_flag() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let error = Registry::load(&dir.path().join("nowhere"), &[]).expect_err("nowhere is not there");
        assert!(error.to_string().contains("--models (UPSCALER_MODELS)"), "{error}");
    }
}
