//! Wrong parameters, all of them reported, and the same by plan and upscale.

use serde_json::Value;

use crate::support::{Server, drawing, image, png, problem, refused};

#[tokio::test]
async fn a_wrong_query_is_reported_in_full() {
    let server = Server::start(&[]);
    let sent = png(&drawing(8, 8));
    for (query, parameters) in [
        ("scael=2", &["scael"][..]),
        ("scale=2&scale=2", &["scale"]),
        ("scale=0.5", &["scale"]),
        ("scale=2&width=9", &["scale"]),
        ("width=0", &["width"]),
        ("width=65&fit=inside", &["fit"]),
        ("height=65", &["height"]),
        ("width=9&height=9&fit=contain", &["fit"]),
        ("scale=9", &["scale"]),
        ("scale=", &["scale"]),
        ("model=esrgan", &["model"]),
        ("ensemble=yes", &["ensemble"]),
        ("format=gif", &["format"]),
        ("deadline=0", &["deadline"]),
        ("deadline=301", &["deadline"]),
        ("x=1&scale=99&ensemble=2", &["x", "scale", "ensemble"]),
    ] {
        let document = refused(server.upscale(query, sent.clone()).await, 400, "invalid_parameter").await;
        let found: Vec<&str> =
            document["errors"].as_array().expect("errors").iter().filter_map(|e| e["parameter"].as_str()).collect();
        assert_eq!(found, parameters, "{query}");
    }
    let document = problem(server.upscale("scale=9", sent).await).await;
    assert!(
        document["detail"].as_str().is_some_and(|detail| detail.contains("'9'") && detail.contains("from 1 to 8")),
        "{document}"
    );
}

#[tokio::test]
async fn accept_is_honored_where_no_format_is_asked_for() {
    let server = Server::start(&[]);
    let ask = async |query: &str, accept: &str| {
        let request = server.post(&format!("/v1/upscale?{query}"), png(&drawing(8, 8))).header("accept", accept);
        request.send().await.expect("an answer")
    };
    for (query, accept, expected) in [
        ("", "*/*", "image/png"),
        ("", "image/*", "image/png"),
        ("", "image/webp,image/jpeg;q=0.5", "image/webp"),
        ("", "image/webp;q=0.5,image/jpeg", "image/jpeg"),
        ("format=png", "image/webp", "image/png"),
    ] {
        let response = ask(query, accept).await;
        assert_eq!(response.headers()["content-type"], expected, "{query} {accept}");
        assert_eq!(response.headers()["vary"], "accept");
    }
    refused(ask("", "image/avif").await, 406, "not_acceptable").await;
}

#[tokio::test]
async fn a_plan_tells_what_upscale_does() {
    let server = Server::start(&[]);
    let sent = png(&drawing(300, 200));
    // The header alone: signature, IHDR, and the beginning of what follows.
    let head = sent[..64].to_vec();
    for (query, body) in [("scale=3&format=webp", sent.clone()), ("scale=3&format=webp", head)] {
        let response = server.post(&format!("/v1/plan?{query}"), body).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        let plan: Value = response.json().await.expect("JSON");
        assert_eq!(plan["input"], serde_json::json!({"width": 300, "height": 200}));
        assert_eq!(plan["output"], serde_json::json!({"width": 900, "height": 600}));
        assert_eq!((&plan["model"], &plan["scale"]), (&"bicubic".into(), &3.into()));
        assert_eq!((&plan["input_format"], &plan["output_format"]), (&"png".into(), &"webp".into()));
        assert!(plan["estimated_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{plan}");
        let done = server.upscale(query, sent.clone()).await;
        assert_eq!(plan["tiles"].to_string(), done.headers()["x-upscale-tiles"].to_str().expect("text"));
    }
}

#[tokio::test]
async fn any_size_is_met_to_the_pixel_and_planned() {
    let server = Server::start(&[]);
    let sent = png(&drawing(61, 40));
    for (query, size, passes, reduced) in [
        ("scale=2.5", (153, 100), &["bicubic-x3"][..], true),
        ("scale=8", (488, 320), &["bicubic-x8"], false),
        ("scale=1", (61, 40), &[], false),
        ("width=122", (122, 80), &["bicubic-x2"], false),
        ("height=70", (107, 70), &["bicubic-x2"], true),
        ("width=30", (30, 20), &[], true),
        ("width=100&height=100", (100, 66), &["bicubic-x2"], true),
        ("width=100&height=100&fit=cover", (100, 100), &["bicubic-x3"], true),
        ("width=100&height=100&fit=fill", (100, 100), &["bicubic-x3"], true),
    ] {
        let plan = server.post(&format!("/v1/plan?{query}"), sent.clone()).send().await.expect("an answer");
        let plan: Value = plan.json().await.expect("JSON");
        assert_eq!(plan["output"], serde_json::json!({"width": size.0, "height": size.1}), "{query}");
        assert_eq!(plan["reduced"], reduced, "{query}");
        let asked = query.strip_prefix("scale=").and_then(|scale| scale.parse::<f64>().ok());
        assert_eq!(plan["scale"].as_f64(), asked, "{query}");
        let answer = server.upscale(query, sent.clone()).await;
        let made = answer.headers()["x-upscale-model"].to_str().expect("text").to_owned();
        let networks: Vec<&str> = made.split(", ").filter_map(|pass| pass.split(';').next()).collect();
        assert_eq!(networks, if passes.is_empty() { &["none"] } else { passes }, "{query}");
        assert_eq!(plan["passes"].as_array().map(Vec::len), Some(passes.len()), "{query}");
        assert_eq!(plan["tiles"].to_string(), answer.headers()["x-upscale-tiles"].to_str().expect("text"), "{query}");
        assert_eq!(image(answer).await.dimensions(), size, "{query}");
    }
}

#[tokio::test]
async fn a_plan_refuses_what_upscale_refuses_in_the_same_words() {
    let server =
        Server::start(&["--max-body", "20kB", "--queue-tiles", "8", "--max-input", "1MP", "--max-output", "1MP"]);
    let small = png(&drawing(8, 8));
    let cases: Vec<(&str, &str, Vec<u8>, &str)> = vec![
        ("scale=7&y=1", "image/png", small.clone(), "invalid_parameter"),
        ("width=65", "image/png", small.clone(), "invalid_parameter"),
        ("width=1100&height=1000&fit=fill", "image/png", png(&drawing(200, 150)), "image_too_large"),
        ("", "image/png", Vec::new(), "empty_body"),
        ("", "multipart/form-data; boundary=b", b"--b--\r\n".to_vec(), "invalid_form"),
        ("", "image/png", vec![0; 20_001], "body_too_large"),
        ("", "text/html", small.clone(), "unsupported_media_type"),
        ("", "image/png", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "unsupported_image"),
        ("", "image/png", small[..20].to_vec(), "damaged_image"),
        ("scale=4", "image/png", png(&drawing(300, 300)), "image_too_large"),
        ("scale=2&ensemble=true", "image/png", png(&drawing(200, 150)), "work_too_large"),
    ];
    for (query, content_type, body, code) in cases {
        let mut found = Vec::new();
        for path in ["/v1/upscale", "/v1/plan"] {
            let request = server.post(&format!("{path}?{query}"), body.clone()).header("content-type", content_type);
            let mut document = problem(request.header("x-request-id", "same").send().await.expect("an answer")).await;
            assert_eq!(document["code"], code, "{path}: {document}");
            document["request_id"].take();
            found.push(document);
        }
        assert_eq!(found[0], found[1], "{code}");
    }
}
