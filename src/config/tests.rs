//! Both sides of every limit. The environment of the test process is not touched: flags win over variables, and what no
//! flag sets here no UPSCALER_* variable should set either.

use std::time::Duration;

use clap::{Args as _, FromArgMatches as _, Parser};
use inference::registry::ModelChoice;
use proptest::prelude::*;

use super::*;

#[derive(Parser)]
struct Serve {
    #[command(flatten)]
    serve: ServeArgs,
}

const MACHINE: Machine = Machine { cores: 4, memory: Some(8_000_000_000) };

/// Or the text of the error, of clap or of the checks across settings.
fn serve_words<'a>(machine: Machine, words: impl IntoIterator<Item = &'a str>) -> Result<Settings, String> {
    let args = Serve::try_parse_from(std::iter::once("serve").chain(words)).map_err(|error| error.to_string())?;
    args.serve.settings(&machine).map_err(|error| error.to_string())
}

fn serve_on(machine: Machine, line: &str) -> Result<Settings, String> {
    serve_words(machine, line.split_whitespace())
}

fn serve(line: &str) -> Result<Settings, String> {
    serve_on(MACHINE, line)
}

/// The flag that the error names first.
fn wrong(line: &str) -> String {
    let text = serve(line).expect_err(line);
    let flag = text.split_once("--").expect(&text).1;
    format!("--{}", flag.split([' ', '\'']).next().unwrap_or_default())
}

#[test]
fn defaults_are_as_documented() {
    let settings = serve("").expect("defaults are right");
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.http.max_body, 25_000_000);
    assert_eq!(settings.http.deadline, Duration::from_mins(5));
    assert_eq!(settings.http.drain_grace, Duration::ZERO);
    assert_eq!(settings.http.drain_cap(), Duration::from_secs(305), "every accepted request can finish");
    assert!(settings.http.cors_origins.is_none() && settings.http.metrics_listen.is_none());
    let engine = settings.engine;
    assert_eq!((engine.model, engine.provider, engine.precision), (ModelChoice::Auto, Provider::Auto, Precision::Auto));
    assert_eq!((engine.workers, engine.threads), (1, 4));
    assert_eq!(engine.input.input_pixels, 4096 * 4096);
    assert_eq!(engine.input.output_pixels, 16384 * 16384);
    assert_eq!(engine.scheduler.queue_bytes, 1_000_000_000);
    assert!(engine.only.is_empty() && engine.runtime.is_none());
}

#[test]
fn a_wrong_value_is_reported_with_its_flag_and_the_remedy() {
    for (flag, value, remedy) in [
        ("--listen", "8080", "127.0.0.1:8080"),
        ("--max-body", "25XB", "25MB"),
        ("--deadline", "0s", "more than 0"),
        ("--header-timeout", "10", "300s"),
        ("--body-timeout", "x", "300s"),
        ("--write-timeout", "0s", "more than 0"),
        ("--drain-grace", "never", "300s"),
        ("--cors-origins", "shop", "https://shop.example"),
        ("--provider", "fast", "auto, cpu, openvino, cuda"),
        ("--precision", "int3", "auto, fp32, bf16, fp16"),
        ("--workers", "0", "1.."),
        ("--threads", "x", "invalid digit"),
        ("--max-batch", "65", "1..=64"),
        ("--max-batch-delay", "2s", "0 to 1s"),
        ("--queue-tiles", "0", "1.."),
        ("--memory", "0", "more than 0"),
        ("--gpu-memory", "x", "25MB"),
        ("--max-input", "0", "more than 0"),
        ("--max-output", "big", "16MP"),
        ("--trace-ratio", "2", "0.05"),
    ] {
        let text = serve_words(MACHINE, [flag, value]).expect_err(flag);
        assert!(text.contains(&format!("'{value}' for '{flag} <")) && text.contains(remedy), "{text}");
    }
    let text = serve("--memory 24MB").expect_err("no upload of 25 MB fits");
    assert_eq!(
        text,
        "--max-body (UPSCALER_MAX_BODY) is '25.0 MB': no such upload fits into the memory budget of 24.0 MB; lower it or raise --memory"
    );
    assert_eq!(wrong("--max-output 15MP"), "--max-output");
    assert!(serve("--drain-grace 5s --drain-cap 5s").is_ok());
    assert_eq!(wrong("--drain-grace 5s --drain-cap 4s"), "--drain-cap");
}

/// An empty variable reaches clap as an empty value.
#[test]
fn what_is_empty_is_an_error_where_a_value_is_needed() {
    for flag in ["--deadline", "--max-body", "--models", "--model", "--runtime", "--workers", "--api-keys-file"] {
        assert!(serve_words(MACHINE, [flag, ""]).is_err_and(|text| text.contains(flag)), "{flag}");
    }
    let settings = serve_words(MACHINE, ["--only", "", "--cors-origins", ""]).expect("lists may be empty");
    assert!(settings.engine.only.is_empty() && settings.http.cors_origins.is_some_and(|origins| origins.is_empty()));
}

#[test]
fn batches_and_queue_have_bounds() {
    assert!(serve("--max-batch 1").is_ok() && serve("--max-batch 64").is_ok());
    assert_eq!(wrong("--max-batch 0"), "--max-batch");
    assert!(serve("--max-batch-delay 1s").is_ok());
    assert_eq!(wrong("--max-batch-delay 1001ms"), "--max-batch-delay");
    assert!(serve("--max-batch 8 --queue-tiles 8").is_ok());
    assert_eq!(wrong("--max-batch 8 --queue-tiles 7"), "--queue-tiles", "smaller than a batch");
}

#[test]
fn compute_threads_never_exceed_the_cores() {
    assert!(serve("--workers 2 --threads 2").is_ok());
    assert_eq!(wrong("--workers 2 --threads 3"), "--threads");
    assert_eq!(wrong("--workers 5"), "--workers");
    assert_eq!(wrong("--threads 5"), "--threads");
    let engine = serve("--workers 3").expect("three of four").engine;
    assert_eq!((engine.workers, engine.threads), (3, 1));
    let engine = serve("--threads 2").expect("two of four").engine;
    assert_eq!((engine.workers, engine.threads), (2, 2));
}

#[test]
fn workers_and_threads_follow_the_cores() {
    let plan = |cores, line| {
        let engine = serve_on(Machine { cores, memory: None }, line).expect("defaults suit any machine").engine;
        (engine.workers, engine.threads)
    };
    assert_eq!([1, 2, 4, 8, 16].map(|cores| plan(cores, "")), [(1, 1), (1, 2), (1, 4), (1, 8), (2, 8)]);
    assert_eq!([1, 2, 4, 16].map(|cores| plan(cores, "--provider cuda")), [(1, 1), (2, 1), (2, 2), (2, 8)]);
    assert_eq!(plan(16, "--workers 4"), (4, 4));
    assert_eq!(plan(16, "--threads 2"), (8, 2));
}

#[test]
fn a_precision_that_a_provider_never_has_is_refused_at_once() {
    for right in [
        "--provider auto --precision fp16",
        "--provider cpu --precision fp32",
        "--provider openvino --precision bf16",
        "--provider cuda --precision fp16",
    ] {
        assert!(serve(right).is_ok(), "{right}");
    }
    for line in ["cpu --precision bf16", "cpu --precision fp16", "openvino --precision fp16", "cuda --precision bf16"] {
        assert_eq!(wrong(&format!("--provider {line}")), "--precision");
    }
    let text = serve("--provider cpu --precision bf16").expect_err("fp32 only");
    assert!(text.contains("take --provider openvino or auto for bf16"), "{text}");
    assert_eq!(wrong("--gpu-memory 0"), "--gpu-memory");
    assert_eq!(serve("--gpu-memory 6GiB").expect("right").engine.gpu_memory, 6 << 30);
}

#[test]
fn memory_is_at_most_what_there_is() {
    let memory = |machine, line| serve_on(machine, line).map(|settings| settings.engine.scheduler.queue_bytes);
    assert_eq!(memory(MACHINE, "--memory 8GB"), Ok(8_000_000_000));
    assert!(memory(MACHINE, "--memory 8.1GB").is_err());
    let small = Machine { cores: 1, memory: Some(512 << 20) };
    assert_eq!(memory(small, ""), Ok(256 << 20), "half of a small machine");
    let unknown = Machine { cores: 1, memory: None };
    assert_eq!(memory(unknown, ""), Ok(1_000_000_000));
    assert_eq!(memory(unknown, "--memory 64GB"), Ok(64_000_000_000));
}

#[test]
fn uploads_have_an_eighth_of_the_memory_and_always_room_for_one() {
    let room = |memory, line| serve_on(Machine { cores: 1, memory }, line).expect("it fits").upload_bytes;
    assert_eq!(room(None, ""), 400_000_000, "16 bodies");
    assert_eq!(room(Some(3_200_000_000), ""), 400_000_000, "both bounds meet");
    assert_eq!(room(Some(3_200_000_000 - 8), ""), 399_999_999);
    assert_eq!(room(Some(512 << 20), ""), 64 << 20);
    assert_eq!(room(Some(512 << 20), "--max-body 200MB"), 200_000_000, "one body");
}

#[test]
fn the_default_model_is_among_those_loaded() {
    assert_eq!(serve("--model bicubic --only bicubic").expect("the same").engine.only, ["bicubic"]);
    assert_eq!(serve("--only san,san-light").expect("a list").engine.only, ["san", "san-light"], "auto is no model");
    assert_eq!(wrong("--model san-light --only bicubic"), "--only");
}

#[test]
fn api_keys_are_read_and_not_shown() {
    let key = "0123456789abcdef";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("keys");
    std::fs::write(&file, "# shops\nshop fedcba9876543210\n").expect("a file");
    let settings = serve(&format!("--api-keys {key} --api-keys-file {}", file.display())).expect("both may be given");
    assert_eq!(settings.api_keys.as_ref().map(ApiKeys::count), Some(2));
    let typed = Serve::try_parse_from(["serve", "--api-keys", key]).expect("text");
    assert!(!format!("{:?} {settings:?}", typed.serve).contains(key));
    let settings = serve("").expect("none is asked for");
    assert!(settings.api_keys.is_none());
    // A variable that is set and empty does not mean that everybody may call.
    for wrong in ["", "0123456789abcde", "one two 0123456789abcdef"] {
        let text = serve_words(MACHINE, ["--api-keys", wrong]).expect_err(wrong);
        assert!(text.starts_with("--api-keys (UPSCALER_API_KEYS) is '(hidden)'") && !text.contains("01234"), "{text}");
    }
}

#[test]
fn metrics_do_not_share_a_port() {
    assert_eq!(wrong("--listen 0.0.0.0:80 --metrics-listen 0.0.0.0:80"), "--metrics-listen");
    assert!(serve("--listen 0.0.0.0:80 --metrics-listen 127.0.0.1:9090").is_ok());
    assert!(serve("--listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0").is_ok(), "two free ports");
}

#[test]
fn logs_are_checked_too() {
    let logs = |words: &[&str]| {
        let matches = LogArgs::augment_args(clap::Command::new("serve")).try_get_matches_from(words);
        matches.and_then(|matches| LogArgs::from_arg_matches(&matches)).map_err(|error| error.to_string())
    };
    assert_eq!(logs(&["serve", "--log-format", "JSON"]).expect("right").log_format, LogFormat::Json);
    assert!(logs(&["serve", "--log-level", "warn,san_upscaler=trace"]).is_ok());
    assert!(logs(&["serve", "--log-format", "xml"]).is_err_and(|text| text.contains("human, json")));
    assert!(logs(&["serve", "--log-level", "san_upscaler=loud"]).is_err_and(|text| text.contains("write error, warn")));
}

proptest! {
    #[test]
    fn threads_by_default_use_the_cores_and_no_more(cores in 1usize..512) {
        let engine = serve_on(Machine { cores, memory: None }, "").expect("defaults suit any machine").engine;
        let used = engine.workers * engine.threads;
        prop_assert!(used <= cores && engine.threads >= 1);
        prop_assert!(cores - used < engine.workers, "{} of {cores}", used);
    }
}
