//! What is recorded of requests and batches, with an exporter that keeps it.

use std::collections::HashSet;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::SpanData;

use super::*;

#[derive(Clone, Debug, Default)]
struct OutputMetadata(Arc<Mutex<Vec<SpanData>>>);

impl opentelemetry_sdk::trace::SpanExporter for OutputMetadata {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("no panic under it").extend(spans);
        Ok(())
    }
}

impl OutputMetadata {
    fn spans(&self) -> Vec<SpanData> {
        self.0.lock().expect("no panic under it").clone()
    }

    fn named(&self, name: &str) -> SpanData {
        let all = self.spans();
        let found: Vec<_> = all.iter().filter(|span| span.name == name).collect();
        let [one] = found[..] else { panic!("{} spans are called {name}: {all:?}", found.len()) };
        one.clone()
    }
}

fn traces(ratio: f64) -> (Traces, OutputMetadata) {
    let kept = OutputMetadata::default();
    let provider =
        SdkTracerProvider::builder().with_simple_exporter(kept.clone()).with_sampler(Sampler::new(ratio)).build();
    (Traces(Some(Arc::new(provider))), kept)
}

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNRECORDED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn headers(values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(TRACEPARENT, value.parse().expect("a header value"));
    }
    headers
}

fn request(traces: &Traces, values: &[&str]) -> Trace {
    traces.request(&headers(values), &Method::POST, "/v1/upscale")
}

#[test]
fn stages_lie_below_their_request_and_it_below_its_caller() {
    let (traces, kept) = traces(1.0);
    let trace = request(&traces, &[CALLER]);
    let began = Instant::now();
    std::thread::sleep(Duration::from_millis(2));
    let ended = Instant::now();
    trace.stage_since("queue", began).end_at(ended);
    let mut failing = trace.stage("decode");
    failing.failed("decode");
    drop(failing);
    trace.end(500, Some("internal_error"), &[Fact::Number("upscaler.tiles", 7)]);
    trace.end(200, None, &[]);

    let whole = kept.named("POST /v1/upscale");
    assert_eq!(whole.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(whole.parent_span_id.to_string(), "b7ad6b7169203331");
    assert!(whole.parent_span_is_remote && whole.span_kind == SpanKind::Server);
    assert!(matches!(whole.status, Status::Error { .. }));
    assert!(whole.attributes.contains(&KeyValue::new("upscaler.tiles", 7)));
    assert_eq!(trace.id(), Some("0af7651916cd43dd8448eb211c80319c"));
    let expected = format!("00-{}-{}-01", whole.span_context.trace_id(), whole.span_context.span_id());
    assert_eq!(trace.traceparent(), Some(expected));
    for name in ["queue", "decode"] {
        let stage = kept.named(name);
        assert_eq!(stage.parent_span_id, whole.span_context.span_id());
        assert_eq!(stage.span_context.trace_id(), whole.span_context.trace_id());
    }
    let queue = kept.named("queue");
    let took = queue.end_time.duration_since(queue.start_time).expect("it ends after its begin");
    assert!(took >= Duration::from_millis(1) && took < Duration::from_secs(60), "{took:?}");
    assert!(matches!(kept.named("decode").status, Status::Error { .. }));
}

#[test]
fn a_batch_is_a_trace_of_its_own_with_links_both_ways() {
    let (traces, kept) = traces(1.0);
    let (one, other) = (request(&traces, &[CALLER]), request(&traces, &[]));
    drop(Stage::batch(&[one.clone(), other.clone()], &[Fact::Text("upscaler.model", "bicubic")]));
    let mut infer = one.stage("infer");
    infer.links_batches_of(&one);
    drop(infer);
    let ids = |trace: &Trace| trace.live.as_ref().expect("it is traced").context.span_id();
    let batch = kept.named("batch");
    assert_eq!(batch.parent_span_id, opentelemetry::trace::SpanId::INVALID);
    let linked: HashSet<_> = batch.links.iter().map(|link| link.span_context.span_id()).collect();
    assert_eq!(linked, HashSet::from([ids(&one), ids(&other)]));
    let back: Vec<_> = kept.named("infer").links.iter().map(|link| link.span_context.clone()).collect();
    assert_eq!(back, [batch.span_context]);

    for _ in 0..BATCHES + 3 {
        drop(Stage::batch(std::slice::from_ref(&other), &[]));
    }
    let mut infer = other.stage("many");
    infer.links_batches_of(&other);
    drop(infer);
    assert_eq!(kept.named("many").links.len(), BATCHES);
}

#[test]
fn who_calls_decides_what_is_recorded_and_the_share_where_nobody_does() {
    let (traces, kept) = traces(0.0);
    let (unrecorded, none, recorded) =
        (request(&traces, &[UNRECORDED]), request(&traces, &[]), request(&traces, &[CALLER]));
    for trace in [&unrecorded, &none] {
        assert!(!trace.is_recorded());
        drop(trace.stage("decode"));
        trace.end(200, None, &[]);
        assert!(trace.traceparent().is_some_and(|text| text.ends_with("-00")), "who is called next does as we do");
    }
    drop(Stage::batch(&[unrecorded.clone(), none], &[]));
    assert!(kept.spans().is_empty());
    // In a batch of both kinds, the one that is recorded keeps it.
    drop(Stage::batch(&[unrecorded, recorded.clone()], &[]));
    recorded.end(200, None, &[]);
    assert_eq!(kept.named("batch").links.len(), 1);
    assert_eq!(kept.spans().len(), 2);
}

#[test]
fn a_traceparent_that_is_not_one_begins_a_new_trace() {
    let (traces, _) = traces(1.0);
    let wrong = [
        &[""][..],
        &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"],
        &["00-00000000000000000000000000000000-b7ad6b7169203331-01"],
        &["00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"],
        &["ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
        &["00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"],
        &[CALLER, CALLER],
    ];
    for values in wrong {
        let trace = request(&traces, values);
        let id = trace.id().expect("a new one").to_owned();
        assert!(id.len() == 32 && !id.starts_with("0af76519"), "{values:?}: {id}");
    }
}

#[test]
fn without_a_collector_the_callers_id_is_logged_and_nothing_answered() {
    let traces = Traces::default();
    let trace = request(&traces, &[CALLER]);
    assert_eq!((trace.id(), trace.traceparent()), (Some("0af7651916cd43dd8448eb211c80319c"), None));
    assert_eq!(request(&traces, &[]).id(), None);
    drop(trace.stage("decode"));
    drop(Stage::batch(std::slice::from_ref(&trace), &[]));
    trace.end(200, None, &[]);
    traces.end(Duration::ZERO);
}

#[tokio::test]
async fn a_task_finds_the_trace_of_its_request() {
    let (traces, _) = traces(1.0);
    let trace = request(&traces, &[CALLER]);
    assert_eq!(Trace::current().id(), None);
    let inside = trace.clone().scope(async { Trace::current() }).await;
    assert_eq!(inside.id(), trace.id());
    assert_eq!(Trace::current().id(), None);
}
