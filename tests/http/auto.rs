//! `model=auto` over the port: which of two small networks a file gets, and where that is reported. Needs ONNX Runtime.

use std::path::Path;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use serde_json::{Value, json};

use crate::support::{Server, drawing, png, refused};

const CLEAN: &str = "lossless = true\njpeg_quality = [96, 100]";
const REAL: &str = "lossy = true";

/// A server of the fixture `nearest` under these names, each with what it suits, that chooses among them.
#[expect(clippy::disallowed_methods, reason = "a test has no settings to read it from")]
async fn server(models: &[(&str, &str)], default: &str) -> Option<Server> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let nearest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/nearest");
    for (name, suits) in models {
        let model = folder.path().join(name);
        std::fs::create_dir(&model).expect("a new folder");
        for file in ["x2.onnx", "x4.onnx"] {
            std::fs::copy(nearest.join(file), model.join(file)).expect("a copy");
        }
        let manifest = std::fs::read_to_string(nearest.join("model.toml")).expect("a manifest");
        let manifest = manifest.replacen("name = \"nearest\"", &format!("name = \"{name}\""), 1);
        let suits = if suits.is_empty() { String::new() } else { format!("\n[suits]\n{suits}\n") };
        std::fs::write(model.join("model.toml"), manifest + &suits).expect("a new file");
    }
    match Server::of_models(folder.path(), default, &[]).await {
        Ok(server) => Some(server),
        Err(log) => {
            assert!(log.contains("ONNX Runtime was not found"), "{log}");
            assert!(std::env::var_os("UPSCALER_TEST_REQUIRE_RUNTIME").is_none(), "{log}");
            println!("skipped: no ONNX Runtime; run `make runtime`");
            None
        }
    }
}

/// A JPEG by none of our code.
fn jpeg(quality: u8) -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, quality);
    image::ImageEncoder::write_image(encoder, &drawing(24, 16), 24, 16, ExtendedColorType::Rgb8).expect("memory");
    file
}

/// Model and reason by `X-Upscale-Model`, held to the plan.
async fn chosen_for(server: &Server, query: &str, file: &[u8]) -> (String, Option<String>) {
    let plan = server.post(&format!("/v1/plan?{query}"), file.to_vec()).send().await.expect("an answer");
    let plan: Value = plan.json().await.expect("JSON");
    let answer = server.upscale(query, file.to_vec()).await;
    assert_eq!(answer.status(), 200, "{query}");
    let header = answer.headers()["x-upscale-model"].to_str().expect("text").to_owned();
    let model = header.split(';').next().and_then(|pass| pass.rsplit_once("-x")).expect("a model and its scale").0;
    let reason = header.split("; reason=\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned);
    assert_eq!((&plan["model"], &plan["reason"]), (&json!(model), &json!(reason)), "{header}");
    (model.to_owned(), reason)
}

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../fixtures/images/", $name))
    };
}

#[tokio::test]
async fn each_file_gets_the_model_that_suits_it() {
    let Some(server) = server(&[("clean", CLEAN), ("real", REAL), ("other", "")], "auto").await else { return };
    let cases: &[(&[u8], &str, &str)] = &[
        (&png(&drawing(24, 16)), "clean", "PNG, lossless"),
        (&jpeg(30), "real", "JPEG, quality about 30"),
        (&jpeg(75), "real", "JPEG, quality about 75"),
        (&jpeg(95), "real", "JPEG, quality about 95"),
        (&jpeg(96), "clean", "JPEG, quality about 96"),
        (&jpeg(100), "clean", "JPEG, quality about 100"),
        (fixture!("lossless.webp"), "clean", "WebP, lossless"),
        (fixture!("lossy.webp"), "real", "WebP, lossy"),
        (fixture!("kinds/rgb.bmp"), "clean", "BMP, lossless"),
        (fixture!("kinds/still.gif"), "clean", "GIF, lossless"),
        (fixture!("kinds/rgb.tif"), "clean", "TIFF, lossless"),
        (fixture!("kinds/rgb.jxl"), "clean", "JPEG XL, lossless"),
        (fixture!("kinds/lossy.jxl"), "real", "JPEG XL, lossy"),
    ];
    for (file, model, reason) in cases {
        assert_eq!(chosen_for(&server, "scale=2", file).await, ((*model).to_owned(), Some((*reason).to_owned())));
    }
    let (model, reason) = chosen_for(&server, "scale=2", fixture!("kinds/jpeg.tif")).await;
    assert!(model == "real" && reason.is_some_and(|reason| reason.starts_with("TIFF with JPEG, quality about ")));
    // By one network after the other, and by none at all.
    assert_eq!(chosen_for(&server, "scale=8", &jpeg(75)).await.0, "real");
    let plain = server.upscale("scale=1", jpeg(75)).await;
    assert_eq!(plain.headers()["x-upscale-model"], "none");
}

#[tokio::test]
async fn a_model_that_is_named_is_never_overruled() {
    let Some(server) = server(&[("clean", CLEAN), ("real", REAL)], "clean").await else { return };
    assert_eq!(chosen_for(&server, "", &jpeg(50)).await, ("clean".to_owned(), None), "--model fixes it");
    assert_eq!(chosen_for(&server, "model=real", &png(&drawing(9, 9))).await, ("real".to_owned(), None));
    let chosen = ("real".to_owned(), Some("JPEG, quality about 50".to_owned()));
    assert_eq!(chosen_for(&server, "model=auto", &jpeg(50)).await, chosen, "it can be asked for all the same");
    let document = refused(server.upscale("model=none", jpeg(50)).await, 400, "invalid_parameter").await;
    assert!(document["detail"].as_str().is_some_and(|detail| detail.contains("clean, real, bicubic, or auto")));
}

#[tokio::test]
async fn the_same_bytes_have_the_same_tag_however_their_model_was_chosen() {
    let Some(server) = server(&[("clean", CLEAN), ("real", REAL)], "auto").await else { return };
    let file = jpeg(75);
    let tag = async |query: &str| {
        let answer = server.upscale(query, file.clone()).await;
        answer.headers()["etag"].to_str().expect("text").to_owned()
    };
    assert_eq!(tag("").await, tag("model=real").await);
    assert_ne!(tag("").await, tag("model=clean").await);
}

#[tokio::test]
async fn without_a_model_for_it_a_file_is_answered_by_another_and_reported_so() {
    let Some(server) = server(&[("clean", CLEAN)], "auto").await else { return };
    let reason = "JPEG, quality about 75, which no model here suits".to_owned();
    assert_eq!(chosen_for(&server, "", &jpeg(75)).await, ("clean".to_owned(), Some(reason)));
    assert_eq!(chosen_for(&server, "", &png(&drawing(9, 9))).await.1.as_deref(), Some("PNG, lossless"));
}

#[tokio::test]
async fn logs_metrics_and_the_list_name_the_model_that_ran() {
    let Some(server) = server(&[("clean", CLEAN), ("real", REAL)], "auto").await else { return };
    let ask = server.post("/v1/upscale?scale=2", jpeg(75)).header("x-request-id", "find-me");
    ask.send().await.expect("an answer").bytes().await.expect("a body");
    // A file that is refused before a model is chosen has none.
    server.upscale("", b"nonsense".to_vec()).await.bytes().await.expect("a body");
    server.until_metric("upscaler_requests_total", "status=\"415\"", |count| count == 1.0).await;

    let log = server.log_until(|line| line["request_id"] == "find-me").await;
    let line = log.iter().find(|line| line["request_id"] == "find-me").expect("a line");
    assert_eq!((&line["model"], &line["reason"]), (&json!("real"), &json!("JPEG, quality about 75")), "{line}");
    let requests = async |model: &str| {
        let labels = format!("model=\"{model}\",route=\"/v1/upscale\"");
        server.metric("upscaler_request_duration_seconds_count", &labels).await
    };
    assert_eq!((requests("real").await, requests("").await, requests("auto").await), (1.0, 1.0, 0.0));

    let models: Value = server.get("/v1/models").await.json().await.expect("JSON");
    assert_eq!(models["default"], "auto");
    let suits = |at: usize| models["models"][at]["suits"].clone();
    let clean = json!({"lossless": true, "lossy": false, "jpeg_quality": [96, 100], "priority": 0});
    assert_eq!((suits(0), suits(1)["lossy"].clone(), suits(2)), (clean, json!(true), Value::Null));
}
