//! Both sides of every limit, and all complaints at once. The environment of the test process is not touched: flags
//! win over variables, and what no flag sets here no UPSCALER_* variable should set either.

use std::time::Duration;

use clap::Parser;
use proptest::prelude::*;

use super::*;
use inference::registry::ModelChoice;

#[derive(Parser)]
struct Serve {
    #[command(flatten)]
    serve: ServeArgs,
}

const MACHINE: Machine = Machine { cores: 4, memory: Some(8_000_000_000) };

fn serve_on(machine: Machine, line: &str) -> Result<Settings, Problems> {
    let words = std::iter::once("serve").chain(line.split_whitespace());
    Serve::try_parse_from(words).expect("clap reads text").serve.settings(&machine)
}

fn serve(line: &str) -> Result<Settings, Problems> {
    serve_on(MACHINE, line)
}

/// The flags complained of.
fn wrong(line: &str) -> Vec<&'static str> {
    serve(line).expect_err(line).0.iter().map(|problem| problem.flag).collect()
}

#[test]
fn defaults_are_as_documented() {
    let settings = serve("").expect("defaults are right");
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.max_body_bytes, 25_000_000);
    assert_eq!(settings.deadline, Duration::from_mins(5));
    assert_eq!(settings.drain_grace, Duration::ZERO);
    assert_eq!(settings.drain_cap, Duration::from_secs(305), "every accepted request can finish");
    assert!(settings.cors_origins.is_empty() && settings.metrics_listen.is_none());
    let engine = settings.engine;
    assert_eq!((engine.model, engine.provider, engine.precision), (ModelChoice::Auto, Provider::Auto, Precision::Auto));
    assert_eq!((engine.workers, engine.threads), (1, 4));
    assert_eq!(engine.input.input_pixels, 4096 * 4096);
    assert_eq!(engine.input.output_pixels, 16384 * 16384);
    assert_eq!(engine.scheduler.queue_bytes, 1_000_000_000);
    assert!(engine.only.is_empty() && engine.runtime.is_none());
}

#[test]
fn every_wrong_setting_is_told_at_once() {
    let line = "--listen 8080 --max-body 25XB --deadline 0s --header-timeout 10 --body-timeout x --write-timeout 0s --drain-grace never \
                --cors-origins shop --provider fast --precision int3 --workers 0 --threads x --max-batch 0 \
                --max-batch-delay 2s --queue-tiles 0 --memory 0 --max-input 0 --max-output big";
    let flags = wrong(line);
    let typed: Vec<_> = line.split_whitespace().filter(|word| word.starts_with("--")).collect();
    for flag in &typed {
        // Threads cannot be judged without workers: `--workers 0` speaks for both.
        assert!(flags.contains(flag) || *flag == "--threads", "{flag} is not in {flags:?}");
    }
    assert_eq!(flags.len(), typed.len() - 1, "one complaint each: {flags:?}");
    let text = serve(line).expect_err("all wrong").to_string();
    assert!(text.contains("--deadline (UPSCALER_DEADLINE) is '0s': no request could be in time"), "{text}");
}

#[test]
fn one_mistake_makes_one_complaint() {
    assert_eq!(wrong("--max-batch 65"), ["--max-batch"], "and not the queue as well");
    assert_eq!(wrong("--memory x"), ["--memory"], "and not the body as well");
    assert_eq!(wrong("--max-output 15MP"), ["--max-output"]);
    assert_eq!(wrong("--drain-grace 5s --drain-cap 4s"), ["--drain-cap"]);
}

#[test]
fn batches_and_queue_have_bounds() {
    assert!(serve("--max-batch 1").is_ok() && serve("--max-batch 64").is_ok());
    assert_eq!(wrong("--max-batch 0"), ["--max-batch"]);
    assert!(serve("--max-batch-delay 1s").is_ok());
    assert_eq!(wrong("--max-batch-delay 1001ms"), ["--max-batch-delay"]);
    assert!(serve("--max-batch 8 --queue-tiles 8").is_ok());
    assert_eq!(wrong("--max-batch 8 --queue-tiles 7"), ["--queue-tiles"], "smaller than a batch");
}

#[test]
fn compute_threads_never_exceed_the_cores() {
    assert!(serve("--workers 2 --threads 2").is_ok());
    assert_eq!(wrong("--workers 2 --threads 3"), ["--threads"]);
    assert_eq!(wrong("--workers 5"), ["--workers"]);
    assert_eq!(wrong("--threads 5"), ["--threads"]);
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
        assert_eq!(wrong(&format!("--provider {line}")), ["--precision"]);
    }
    let text = serve("--provider cpu --precision bf16").expect_err("fp32 only").to_string();
    assert!(text.contains("take --provider openvino or auto for bf16"), "{text}");
    assert_eq!(wrong("--gpu-memory 0"), ["--gpu-memory"]);
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
    assert_eq!(wrong("--memory 24MB"), ["--max-body"], "no upload of 25 MB fits");
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
    assert_eq!(wrong("--model san-light --only bicubic"), ["--only"]);
    assert!(Serve::try_parse_from(["serve", "--model", ""]).expect("text").serve.settings(&MACHINE).is_err());
}

#[test]
fn origins_are_origins() {
    for right in ["*", "https://shop.example", "http://localhost:3000,https://shop.example"] {
        assert!(serve(&format!("--cors-origins {right}")).is_ok(), "{right}");
    }
    for wrong in ["shop.example", "https://shop.example/", "https://shop.example/page", "*,https://shop.example"] {
        assert!(serve(&format!("--cors-origins {wrong}")).is_err(), "{wrong}");
    }
}

#[test]
fn api_keys_are_read_and_not_shown() {
    let key = "0123456789abcdef";
    let settings = serve(&format!("--api-keys {key} --api-keys-file /run/keys")).expect("both may be given");
    assert_eq!(settings.api_keys.as_ref().map(ApiKeys::count), Some(1));
    assert_eq!(settings.api_keys_file.as_deref(), Some(std::path::Path::new("/run/keys")));
    let typed = Serve::try_parse_from(["serve", "--api-keys", key]).expect("text");
    assert!(!format!("{:?} {settings:?}", typed.serve).contains(key));
    let settings = serve("").expect("none is asked for");
    assert!(settings.api_keys.is_none() && settings.api_keys_file.is_none());
    // A variable that is set and empty is no wish for an open door.
    for wrong in ["", "0123456789abcde", "one two 0123456789abcdef"] {
        let typed = Serve::try_parse_from(["serve", "--api-keys", wrong]).expect("text");
        let problems = typed.serve.settings(&MACHINE).expect_err(wrong);
        assert_eq!(problems.0.iter().map(|problem| problem.flag).collect::<Vec<_>>(), ["--api-keys"]);
        assert!(problems.to_string().contains("(hidden)") && !problems.to_string().contains("01234"), "{problems}");
    }
    assert!(Serve::try_parse_from(["serve", "--api-keys-file", ""]).expect("text").serve.settings(&MACHINE).is_err());
}

#[test]
fn metrics_do_not_share_a_port() {
    assert_eq!(wrong("--listen 0.0.0.0:80 --metrics-listen 0.0.0.0:80"), ["--metrics-listen"]);
    assert!(serve("--listen 0.0.0.0:80 --metrics-listen 127.0.0.1:9090").is_ok());
    assert!(serve("--listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0").is_ok(), "two free ports");
}

#[test]
fn logs_are_read_too() {
    let logs = |format: &str, level: &str| LogArgs { log_format: format.into(), log_level: level.into() }.settings();
    assert_eq!(logs("json", "debug").expect("right").format, LogFormat::Json);
    assert!(logs("Human", "warn,san_upscaler=trace").is_ok());
    let problems = logs("xml", "san_upscaler=loud").expect_err("both wrong").0;
    assert_eq!(problems.iter().map(|problem| problem.flag).collect::<Vec<_>>(), ["--log-format", "--log-level"]);
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
