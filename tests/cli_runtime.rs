//! What an operator reads when there is nothing to run the networks, or a network that must not be served. Here and
//! not beside the code, because a process loads ONNX Runtime once.

use std::path::{Path, PathBuf};
use std::process::Command;

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder)
}

/// Exit code and standard error of a server that does not get to serve.
fn refused(models: &str, model: &str, more: &[&str]) -> (Option<i32>, String) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_san-upscaler"));
    server.env_clear().args(["serve", "--listen", "127.0.0.1:0", "--log-level", "error", "--models"]);
    server.arg(fixtures(models)).args(["--model", model, "--only", model]).args(more);
    let output = server.output().expect("the binary runs");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

/// Whether a test of networks must end here: `make test` fetches the library and lets none.
#[expect(clippy::disallowed_methods, reason = "a test has no settings to read it from")]
fn skipped(stderr: &str) -> bool {
    let missing = stderr.contains("ONNX Runtime was not found");
    if missing {
        assert!(std::env::var_os("UPSCALER_TEST_REQUIRE_RUNTIME").is_none(), "{stderr}");
        println!("skipped: no ONNX Runtime; run `make runtime`");
    }
    missing
}

#[test]
fn what_is_no_library_is_reported_with_the_remedy() {
    let script = fixtures("make.py");
    let (code, stderr) = refused("models", "nearest", &["--runtime", script.to_str().expect("UTF-8")]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("make.py cannot be used") && stderr.contains("run `make runtime`"), "{stderr}");
}

#[test]
fn a_folder_without_the_library_is_reported_what_it_lacks() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (code, stderr) = refused("models", "nearest", &["--runtime", folder.path().to_str().expect("UTF-8")]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("--runtime (UPSCALER_RUNTIME) names") && stderr.contains("onnxruntime"), "{stderr}");
}

#[test]
fn a_network_that_must_not_be_served_ends_the_start() {
    for (model, says) in [
        ("dark-is-nan", "at scale 2 cannot be served: the network gave a non-finite value"),
        ("wrong-scale", "at scale 4 cannot be served: inference failed: the network gave"),
        ("wrong-names", "at scale 2 cannot be served: the network's input must be"),
    ] {
        let (code, stderr) = refused("broken", model, &[]);
        if skipped(&stderr) {
            return;
        }
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(&format!("model '{model}' {says}")), "{stderr}");
    }
}

/// Asked for by name and missing: reported at start with the remedy, never replaced by another.
#[test]
fn a_provider_that_is_named_and_missing_ends_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let library = fixtures("../../.runtime");
    let plain = std::fs::read_dir(library).ok().into_iter().flatten().flatten().find_map(|entry| {
        let library =
            entry.path().join(format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX));
        library.is_file().then_some(library)
    });
    let Some(plain) = plain else {
        let (_, stderr) = refused("models", "nearest", &[]);
        assert!(skipped(&stderr), "{stderr}");
        return;
    };
    // Alone, so without the libraries of other providers beside it.
    let alone = folder.path().join(plain.file_name().expect("a file"));
    std::fs::copy(plain, &alone).expect("a copy");
    let alone = alone.to_str().expect("UTF-8");
    for (provider, remedy) in [("cuda", "run `runtime/fetch.sh cuda`"), ("openvino", "run `runtime/fetch.sh openvino`")]
    {
        let (code, stderr) = refused("models", "nearest", &["--runtime", alone, "--provider", provider]);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(
            stderr.contains(&format!("{provider} (--provider, UPSCALER_PROVIDER)")) && stderr.contains(remedy),
            "{stderr}"
        );
    }
    // With a library of CUDA's name beside it, in which there is nothing: the session cannot be made.
    let provider =
        format!("{}onnxruntime_providers_cuda{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    std::fs::write(folder.path().join(provider), "").expect("a new file");
    let (code, stderr) = refused("models", "nearest", &["--runtime", alone, "--provider", "cuda"]);
    assert_eq!(code, Some(1), "{stderr}");
    let says =
        ["cannot be served: cuda cannot run the network: ", "NVIDIA device", "; leave --provider and --precision"];
    assert!(says.iter().all(|says| stderr.contains(says)), "{stderr}");
    // So is it reported to the server that has a process of its own try it.
    for (provider, code) in [("cuda", 1), ("cpu", 0)] {
        let mut probe = Command::new(env!("CARGO_BIN_EXE_san-upscaler"));
        probe.env_clear().args(["probe", "--model", "nearest", "--only", "nearest", "--models"]);
        probe.arg(fixtures("models")).args(["--runtime", alone, "--provider", provider]);
        let output = probe.output().expect("the binary runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert_eq!(stderr.contains("error: model 'nearest' at scale"), code == 1, "{stderr}");
    }
}

#[test]
fn a_precision_that_the_provider_has_not_ends_the_start() {
    let (code, stderr) = refused("models", "nearest", &["--provider", "cpu", "--precision", "bf16"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("--provider openvino or auto"), "{stderr}");
}

#[test]
fn an_unknown_default_model_is_reported_with_the_known_ones() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut serve = Command::new(env!("CARGO_BIN_EXE_san-upscaler"));
    serve.env_clear().args(["serve", "--listen", "127.0.0.1:0", "--model", "sans"]).arg("--models").arg(folder.path());
    let output = serve.output().expect("the binary runs");
    let err = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("'sans'") && err.contains("bicubic") && err.contains("UPSCALER_MODEL"), "{err}");
}
