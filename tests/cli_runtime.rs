//! What an operator is told when there is nothing to run the networks, or a network that must not be served. Here and
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
fn what_is_no_library_is_told_with_the_remedy() {
    let script = fixtures("make.py");
    let (code, stderr) = refused("models", "nearest", &["--runtime", script.to_str().expect("UTF-8")]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("make.py cannot be used") && stderr.contains("run `make runtime`"), "{stderr}");
}

#[test]
fn a_folder_without_the_library_is_told_what_it_lacks() {
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
        ("wrong-names", "at scale 2 cannot be served: inference failed: the network's input must be"),
    ] {
        let (code, stderr) = refused("broken", model, &[]);
        if skipped(&stderr) {
            return;
        }
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(&format!("model '{model}' {says}")), "{stderr}");
    }
}
