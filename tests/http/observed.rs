//! What is seen of a request: headers, ids, metrics, the one log line.

use crate::support::{Server, drawing, png, problem};

#[tokio::test]
async fn an_answer_says_how_it_was_made() {
    let server = Server::start(&[]);
    let sent = png(&drawing(150, 90));
    let ask = async |query: &str| server.upscale(query, sent.clone()).await;
    let response = ask("scale=2").await;
    let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("x-upscale-model"), "bicubic-x2; provider=builtin; precision=fp32");
    assert_eq!(header("x-content-type-options"), "nosniff");
    let timing = header("server-timing");
    for stage in ["decode;dur=", "queue;dur=", "infer;dur=", "encode;dur="] {
        assert!(timing.contains(stage), "a small answer is whole when it leaves: {timing}");
    }
    let tag = |response: &reqwest::Response| response.headers()["etag"].to_str().expect("text").to_owned();
    let first = tag(&response);
    assert!(first.starts_with('"') && first.ends_with('"') && first.len() > 10, "{first}");
    assert_eq!(tag(&ask("scale=2").await), first, "the same request, the same tag");
    assert_ne!(tag(&ask("scale=3").await), first);
}

#[tokio::test]
async fn an_id_is_taken_over_or_made() {
    let server = Server::start(&[]);
    let longest = "a".repeat(64);
    let too_long = "a".repeat(65);
    for (sent, kept) in [("order-4711", true), (&longest, true), (&too_long, false), ("a b", false), ("a;b", false)] {
        for path in ["/v1/models", "/nothing", "/health/live"] {
            let request = server.client.get(server.url(path)).header("x-request-id", sent);
            let response = request.send().await.expect("an answer");
            let id = response.headers()["x-request-id"].to_str().expect("text");
            assert_eq!(id == sent, kept, "{path}: {sent} became {id}");
            assert!(kept || uuid::Uuid::parse_str(id).is_ok(), "{id}");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let server = Server::start(&[]);
    let document = problem(server.get("/v1/nothing").await).await;
    assert_eq!(document["code"], "not_found");
    let response = server.get("/v1/upscale").await;
    assert_eq!(response.headers()["allow"], "POST");
    assert_eq!(problem(response).await["code"], "method_not_allowed");
}

#[tokio::test]
async fn one_request_is_one_line_and_never_its_image() {
    let server = Server::start(&[]);
    let sent = png(&drawing(150, 90));
    let ask = server.post("/v1/upscale?scale=2", sent.clone()).header("x-request-id", "find-me");
    let length = ask.send().await.expect("an answer").bytes().await.expect("a body").len();
    let bad = server.post("/v1/upscale?scale=nine", sent.clone()).header("x-request-id", "find-me-too");
    problem(bad.send().await.expect("an answer")).await;

    let log = server.log_until(|line| fields(line)["request_id"] == "find-me-too").await;
    let line = |id: &str| {
        let lines: Vec<_> = log.iter().map(fields).filter(|fields| fields["request_id"] == id).collect();
        assert_eq!(lines.len(), 1, "{id}: {log:?}");
        lines[0].clone()
    };
    let good = line("find-me");
    assert_eq!((&good["route"], &good["status"]), (&"/v1/upscale".into(), &200.into()));
    assert_eq!((&good["bytes_in"], &good["bytes_out"]), (&sent.len().into(), &length.into()));
    assert_eq!((&good["model"], &good["scale"], &good["tiles"]), (&"bicubic".into(), &2.0.into(), &2.into()));
    assert!(good["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{good}");
    let bad = line("find-me-too");
    assert_eq!((&bad["status"], &bad["code"]), (&400.into(), &"invalid_parameter".into()));
    assert!(log.iter().all(|line| line.to_string().len() < 2000), "no line holds an image");
}

/// JSON logs may keep the fields of an event beside or under its head.
fn fields(line: &serde_json::Value) -> &serde_json::Value {
    if line["fields"].is_object() { &line["fields"] } else { line }
}

#[tokio::test]
async fn metrics_tell_of_requests_stages_and_the_build() {
    let server = Server::start(&[]);
    for _ in 0..3 {
        server.upscale("scale=2", png(&drawing(20, 20))).await.bytes().await.expect("a body");
    }
    let count = server.metric("upscaler_requests_total", "route=\"/v1/upscale\",status=\"200\"").await;
    assert_eq!(count, 3.0);
    for (name, labels, expected) in [
        ("upscaler_request_duration_seconds_count", "route=\"/v1/upscale\"", 3.0),
        ("upscaler_stage_duration_seconds_count", "stage=\"decode\"", 3.0),
        ("upscaler_stage_duration_seconds_count", "stage=\"encode\"", 3.0),
        ("upscaler_tiles_total", "outcome=\"done\"", 3.0),
        ("upscaler_pixels_total", "direction=\"output\"", 3.0 * 1600.0),
        ("upscaler_inflight_requests", "", 0.0),
        ("upscaler_inflight_bytes", "", 0.0),
        ("upscaler_queued_tiles", "", 0.0),
        ("upscaler_ready", "", 1.0),
        ("upscaler_build_info", env!("CARGO_PKG_VERSION"), 1.0),
    ] {
        assert_eq!(server.metric(name, labels).await, expected, "{name}{{{labels}}}");
    }
    let text = server.get("/metrics").await.text().await.expect("text");
    assert!(text.contains("upscaler_model_info{model=\"bicubic\""), "{text}");
}
