//! What surrounds every request: its id, its one log line, its metrics, and the writing of problem documents.
//!
//! A request is over when the last byte of its answer was handed on, not when the handler returned. So the [`Record`]
//! travels into the body, and whatever drops it unfinished (a client that left, before or during the answer) is
//! counted as status 499, a number that is never sent.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use images::geometry::Resize;
use inference::registry::ModelChoice;
use tracing::{Instrument, Span, debug, error_span, info, warn};
use uuid::Uuid;

use super::App;
use super::problem::Problem;
use crate::pipeline::Plan;
use crate::telemetry::Metrics;
use crate::telemetry::traces::{Fact, TRACEPARENT, Trace};

/// Header that carries the request id both ways.
pub const REQUEST_ID: &str = "x-request-id";

/// Status of a request whose client left; nginx's number.
const CLIENT_GONE: u16 = 499;

/// The one route that answers with images.
const UPSCALE_ROUTE: &str = "/v1/upscale";

/// What is known about one request; handlers reach it as an extension and add to it.
#[derive(Debug)]
pub struct Record {
    /// The client's if well-formed, else made here.
    pub id: String,
    trace: Trace,
    route: &'static str,
    method: Method,
    started: Instant,
    bytes_in: AtomicU64,
    asked: OnceLock<(ModelChoice, Resize)>,
    chosen: OnceLock<(String, Option<String>)>,
    tiles: OnceLock<usize>,
    client: OnceLock<String>,
    code: OnceLock<&'static str>,
}

impl Record {
    fn new(id: String, trace: Trace, route: &'static str, method: Method) -> Self {
        Self {
            id,
            trace,
            route,
            method,
            started: Instant::now(),
            bytes_in: AtomicU64::new(0),
            asked: OnceLock::new(),
            chosen: OnceLock::new(),
            tiles: OnceLock::new(),
            client: OnceLock::new(),
            code: OnceLock::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn for_test() -> Self {
        Self::new("test".into(), Trace::default(), UPSCALE_ROUTE, Method::POST)
    }

    /// Counts bytes of the upload.
    pub fn received(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes for the log line what is asked for; the first call counts.
    pub fn asks_for(&self, model: &ModelChoice, resize: Resize) {
        let _ = self.asked.set((model.clone(), resize));
    }

    /// Notes for the log line which model runs, why, and how many tiles that takes; the first call counts.
    pub fn goes_by(&self, plan: &Plan) {
        let _ = self.chosen.set((plan.model.clone(), plan.reason.clone()));
        let _ = self.tiles.set(plan.tiles);
    }

    /// The model that runs, or would by its name; one that the registry has, since what is asked for is noted once it
    /// is found there. `None` also where the file was not read far enough to choose one.
    fn model(&self) -> Option<&str> {
        let named = || self.asked.get().and_then(|(choice, _)| choice.name());
        self.chosen.get().map(|(model, _)| model.as_str()).or_else(named)
    }

    /// Notes for the log line whose key it came with, if that has a name; the first call counts.
    pub fn comes_from(&self, client: Option<String>) {
        if let Some(client) = client {
            let _ = self.client.set(client);
        }
    }

    fn is_work(&self) -> bool {
        is_work(self.route)
    }
}

/// Paths where images are worked on. Probes and scrapes would drown them in logs, gauges and traces.
fn is_work(route: &str) -> bool {
    route.starts_with("/v1/")
}

/// 1 to 64 of `A-Z a-z 0-9 . _ -`: safe in logs, headers and shells. Anything else is replaced, not refused.
pub(super) fn request_id(headers: &HeaderMap) -> String {
    let mut values = headers.get_all(REQUEST_ID).iter();
    let given = values.next().and_then(|value| value.to_str().ok()).filter(|id| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    });
    match given {
        Some(id) if values.next().is_none() => id.to_owned(),
        _ => Uuid::now_v7().to_string(),
    }
}

/// The outermost layer. `route` is a label of metrics and traces: one of few.
pub async fn observe(app: App, route: &'static str, mut request: Request, next: Next) -> Response {
    let (id, method) = (request_id(request.headers()), request.method().clone());
    let trace = if is_work(route) { app.traces.request(request.headers(), &method, route) } else { Trace::default() };
    let record = Arc::new(Record::new(id, trace.clone(), route, method));
    request.extensions_mut().insert(Arc::clone(&record));
    // Of the highest level, or lines of errors would have no ids where the log is set to errors alone.
    let span = error_span!("request", request_id = %record.id, trace_id = trace.id());
    let end = End::new(Arc::clone(&record), Arc::clone(&app.metrics), span.clone());
    let mut response = trace.clone().scope(next.run(request)).instrument(span).await;

    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let code = problem.code.name();
        if record.is_work() {
            app.metrics.refusals.with_label_values(&[code]).inc();
        }
        let _ = record.code.set(code);
        *response.body_mut() = Body::from(problem.document(&record.id));
    }
    let headers = response.headers_mut();
    let id = HeaderValue::from_str(&record.id).expect("request ids are ASCII letters, digits and '.', '_', '-'");
    headers.insert(REQUEST_ID, id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(traceparent) = trace.traceparent().and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.insert(TRACEPARENT, traceparent);
    }

    let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let status = response.status();
    response.map(|body| Body::new(Watched::new(body, status, length, end)))
}

/// Ends the record exactly once, whichever way the request goes.
struct End {
    record: Arc<Record>,
    metrics: Arc<Metrics>,
    span: Span,
    bytes_out: u64,
    over: bool,
}

impl End {
    fn new(record: Arc<Record>, metrics: Arc<Metrics>, span: Span) -> Self {
        if record.is_work() {
            metrics.inflight_requests.inc();
        }
        Self { record, metrics, span, bytes_out: 0, over: false }
    }

    fn finish(&mut self, status: u16, outcome: &'static str) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let record = &*self.record;
        let took = record.started.elapsed();
        if record.is_work() {
            self.metrics.inflight_requests.dec();
        }
        self.metrics.requests.with_label_values(&[record.route, &status.to_string()]).inc();
        self.metrics
            .request_duration
            .with_label_values(&[record.route, record.model().unwrap_or_default()])
            .observe(took.as_secs_f64());
        if record.route == UPSCALE_ROUTE {
            let received = record.bytes_in.load(Ordering::Relaxed);
            self.metrics.body_bytes.with_label_values(&["input"]).inc_by(received);
            // With a code, what was sent is a problem document.
            if record.code.get().is_none() {
                self.metrics.body_bytes.with_label_values(&["output"]).inc_by(self.bytes_out);
            }
        }
        self.trace(status);
        let asked = record.asked.get();
        // The level is part of a log statement's static data, hence one statement a level.
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    method = %record.method,
                    route = record.route,
                    status,
                    outcome,
                    code = record.code.get(),
                    duration_ms = took.as_secs_f64() * 1e3,
                    bytes_in = record.bytes_in.load(Ordering::Relaxed),
                    bytes_out = self.bytes_out,
                    model = record.model(),
                    reason = record.chosen.get().and_then(|(_, reason)| reason.as_deref()),
                    scale = asked.and_then(|(_, resize)| resize.factor()),
                    size = asked.filter(|(_, resize)| resize.factor().is_none()).map(|(_, resize)| tracing::field::display(resize)),
                    tiles = record.tiles.get(),
                    client = record.client.get(),
                    "request"
                )
            };
        }
        // The ids are the span's.
        self.span.in_scope(|| match (status, record.is_work()) {
            (500.., true) => line!(warn),
            (_, true) => line!(info),
            (_, false) => line!(debug),
        });
    }

    fn trace(&self, status: u16) {
        let record = &*self.record;
        let mut facts = vec![
            Fact::Text("upscaler.request_id", &record.id),
            Fact::Number("http.request.body.size", record.bytes_in.load(Ordering::Relaxed)),
            Fact::Number("http.response.body.size", self.bytes_out),
        ];
        let resize = record.asked.get().map(|(_, resize)| resize.to_string());
        facts.extend(record.model().map(|model| Fact::Text("upscaler.model", model)));
        facts.extend(resize.as_ref().map(|resize| Fact::Text("upscaler.scale", resize)));
        facts.extend(record.tiles.get().map(|tiles| Fact::Number("upscaler.tiles", *tiles as u64)));
        record.trace.end(status, record.code.get().copied(), &facts);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.finish(CLIENT_GONE, "client_gone");
    }
}

/// A body that knows when it was handed on whole.
struct Watched {
    inner: Body,
    status: StatusCode,
    length: Option<u64>,
    end: End,
}

impl Watched {
    fn new(inner: Body, status: StatusCode, length: Option<u64>, end: End) -> Self {
        let mut watched = Self { inner, status, length, end };
        // The server does not poll what has nothing to send: answers to HEAD, empty bodies.
        if watched.end.record.method == Method::HEAD || watched.inner.is_end_stream() {
            watched.finish();
        }
        watched
    }

    fn finish(&mut self) {
        self.end.finish(self.status.as_u16(), "answered");
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                self.end.bytes_out += frame.data_ref().map_or(0, Bytes::len) as u64;
                // The server may stop polling at the announced length.
                if self.inner.is_end_stream() || self.length == Some(self.end.bytes_out) {
                    self.finish();
                }
            }
            // The head said 200 and is gone; the cut connection and this line report what became of it.
            Some(Err(_)) => self.end.finish(StatusCode::INTERNAL_SERVER_ERROR.as_u16(), "cut_off"),
            None => self.finish(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(values: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(REQUEST_ID, HeaderValue::from_bytes(value).expect("a header value"));
        }
        request_id(&headers)
    }

    #[test]
    fn a_well_formed_id_is_taken_over() {
        let longest = [b'a'; 64];
        for id in [&b"x"[..], b"0a.B_c-9", &longest] {
            assert_eq!(ids(&[id]).as_bytes(), id);
        }
    }

    #[test]
    fn any_other_id_is_replaced() {
        let too_long = [b'a'; 65];
        for id in [&b""[..], b"a b", b"a\"b", b"\xff", &too_long] {
            let made = ids(&[id]);
            assert_eq!(Uuid::parse_str(&made).map(|id| id.get_version_num()), Ok(7), "{made}");
        }
        assert_eq!(ids(&[b"one", b"two"]).len(), 36, "two ids are none");
        assert_eq!(ids(&[]).len(), 36);
    }
}
