//! Traces, as a collector sees them.

use std::collections::{HashMap, HashSet};

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::support::collector::{Collector, attribute, digits};
use crate::support::{Server, drawing, image, noise, png, refused};

const KEY: &str = "k1-0123456789abcdef";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// The one span of a trace with this name.
fn named<'a>(spans: &'a [Span], trace: &str, name: &str) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| digits(&span.trace_id) == trace && span.name == name).collect();
    let [one] = found[..] else { panic!("{} spans of {trace} are called {name}", found.len()) };
    one
}

#[tokio::test]
async fn a_request_is_a_tree_linked_to_the_batches_that_ran_it() {
    let collector = Collector::start(200).await;
    let mut server = Server::start(&["--api-keys", KEY, "--otlp-endpoint", &collector.url]);
    let ask = |query: &str, body: Vec<u8>| server.post(&format!("/v1/upscale?{query}"), body).bearer_auth(KEY);
    let sent = png(&noise(200, 150));
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let request = ask("scale=2", sent.clone()).header("traceparent", &parent).header("x-request-id", "r-1");
    let answer = request.send().await.expect("an answer");
    let answered = answer.headers()["traceparent"].to_str().expect("text").to_owned();
    let tiles = answer.headers()["x-upscale-tiles"].to_str().expect("text").to_owned();
    image(answer).await;
    // Of a caller that does not record, and of none.
    let unrecorded = "00-11111111111111111111111111111111-b7ad6b7169203331-00";
    let answer = ask("scale=2", sent.clone()).header("traceparent", unrecorded).send().await.expect("an answer");
    assert!(
        answer.headers()["traceparent"]
            .to_str()
            .is_ok_and(|text| text.starts_with(&unrecorded[..36]) && text.ends_with("-00"))
    );
    image(answer).await;
    let damaged = ask("scale=2", sent[..sent.len() / 2].to_vec()).send().await.expect("an answer");
    let other = damaged.headers()["traceparent"].to_str().expect("text")[3..35].to_owned();
    refused(damaged, 422, "damaged_image").await;
    refused(server.upscale("scale=2", sent.clone()).await, 401, "unauthorized").await;
    assert!(!server.get("/health/ready").await.headers().contains_key("traceparent"), "probes are not traced");
    server.signal("TERM");
    assert!(server.ended().await.success());

    let spans = collector.spans();
    let whole = named(&spans, TRACE, "POST /v1/upscale");
    assert_eq!((digits(&whole.parent_span_id), whole.kind), (CALLER.to_owned(), 2), "a server's, below the caller's");
    assert_eq!(answered, format!("00-{TRACE}-{}-01", digits(&whole.span_id)));
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/v1/upscale"),
        ("http.response.status_code", "200"),
        ("http.request.body.size", &sent.len().to_string()),
        ("upscaler.request_id", "r-1"),
        ("upscaler.model", "bicubic"),
        ("upscaler.scale", "2"),
        ("upscaler.tiles", &tiles),
    ] {
        assert_eq!(attribute(&whole.attributes, name).as_deref(), Some(value), "{name}");
    }
    let mut begun = whole.start_time_unix_nano;
    for name in ["decode", "queue", "infer"] {
        let stage = named(&spans, TRACE, name);
        assert_eq!(stage.parent_span_id, whole.span_id, "{name}");
        // Clocks of two kinds are read, a moment apart.
        assert!(stage.start_time_unix_nano + 1_000_000 >= begun, "{name} begins before what comes before it");
        begun = stage.start_time_unix_nano;
    }
    let encode = named(&spans, TRACE, "encode");
    assert_eq!(encode.parent_span_id, whole.span_id);

    let batches: HashMap<&[u8], &Span> =
        spans.iter().filter(|span| span.name == "batch").map(|span| (&span.span_id[..], span)).collect();
    let run: u64 = batches
        .values()
        .map(|batch| {
            attribute(&batch.attributes, "upscaler.batch.tiles").expect("it is there").parse::<u64>().expect("a number")
        })
        .sum();
    assert_eq!(run.to_string(), tiles, "the batches of the request that is recorded, and no others");
    for batch in batches.values() {
        let side =
            |name: &str| attribute(&batch.attributes, name).expect("it is there").parse::<u32>().expect("a number");
        assert_eq!(
            (side("upscaler.tile.width") % 16, side("upscaler.tile.height") % 16),
            (0, 0),
            "sides of bicubic's tiles"
        );
        assert!(batch.parent_span_id.is_empty() && digits(&batch.trace_id) != TRACE, "a trace of its own");
        let linked: Vec<_> = batch.links.iter().map(|link| (digits(&link.trace_id), &link.span_id)).collect();
        assert_eq!(linked, [(TRACE.to_owned(), &whole.span_id)]);
    }
    let back: HashSet<&[u8]> = named(&spans, TRACE, "infer").links.iter().map(|link| &link.span_id[..]).collect();
    assert!(!back.is_empty() && back.is_subset(&batches.keys().copied().collect()));

    assert!(spans.iter().all(|span| digits(&span.trace_id) != unrecorded[3..35]), "its caller does not record");
    assert_eq!(
        attribute(&named(&spans, &other, "POST /v1/upscale").attributes, "error.type").as_deref(),
        Some("damaged_image")
    );
    assert_eq!(named(&spans, &other, "decode").status.as_ref().map(|status| status.code), Some(2));

    for span in &spans {
        assert!(span.encoded_len() < 4096, "{} has {} bytes: is there an image in it?", span.name, span.encoded_len());
    }
    let found = format!("{:?}", collector.taken());
    assert!(!found.contains(&KEY[3..]), "a key is shown");
    let resource = collector.taken()[0].resource_spans[0].resource.clone().expect("it says who sends");
    assert_eq!(attribute(&resource.attributes, "service.name").as_deref(), Some("san-upscaler"));

    let lines = server.log();
    let of_it: Vec<_> = lines.iter().filter(|line| line["request_id"] == "r-1").collect();
    assert!(of_it.iter().any(|line| line["message"] == "request"));
    assert!(of_it.iter().all(|line| line["trace_id"] == TRACE), "{of_it:?}");
}

#[tokio::test]
async fn a_share_of_none_traces_only_whom_the_caller_records() {
    let collector = Collector::start(200).await;
    let mut server = Server::start(&["--otlp-endpoint", &collector.url, "--trace-ratio", "0"]);
    let body = png(&drawing(30, 30));
    image(server.upscale("scale=2", body.clone()).await).await;
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let answer = server.post("/v1/upscale?scale=2", body).header("traceparent", parent).send().await;
    image(answer.expect("an answer")).await;
    server.signal("TERM");
    assert!(server.ended().await.success());
    let spans = collector.spans();
    let of_requests: HashSet<_> =
        spans.iter().filter(|span| span.name != "batch").map(|span| digits(&span.trace_id)).collect();
    assert_eq!(of_requests, HashSet::from([TRACE.to_owned()]));
    assert_eq!(spans.len(), 6, "the request, its four stages, one batch");
}

#[tokio::test]
async fn a_collector_that_refuses_or_hangs_hurts_nobody() {
    let refusing = Collector::start(503).await;
    // Takes connections, and sends nothing.
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let hanging = (format!("http://{}", hanging.local_addr().expect("bound")), hanging);
    for url in [&refusing.url, &hanging.0] {
        let mut server = Server::start(&["--otlp-endpoint", url]);
        for _ in 0..3 {
            image(server.upscale("scale=2", png(&drawing(30, 30))).await).await;
        }
        server.signal("TERM");
        assert!(server.ended().await.success(), "it ends all the same");
        let found = server
            .log()
            .iter()
            .filter(|line| line["message"].as_str().is_some_and(|text| text.contains("takes no spans")))
            .count();
        assert!(found <= 1, "reported {found} times");
        assert_eq!(found, usize::from(*url == refusing.url), "who hangs had not failed yet");
    }
    assert!(refusing.taken().len() > 1, "it was tried again");
}
