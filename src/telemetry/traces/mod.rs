//! Traces, by OpenTelemetry over OTLP; off unless a collector is named.
//!
//! A request is one span from its header to the last byte of its answer, with `decode`, `queue`, `infer` and `encode`
//! below it. A batch holds tiles of several requests, so it belongs to none of them: it is a trace of its own, linked to
//! each of its requests, and their `infer` spans link back to it.
//!
//! Spans are made here by hand and not from those of `tracing`. Those hold what a log line needs, cannot begin in the
//! past (that a tile was taken by a worker is known once it is back), and would hand over whatever a library logs; here
//! nothing leaves but the attributes that this module's calls name.
//!
//! What is not recorded costs a comparison. Spans wait in a bounded queue, and a full one drops them: no request ever
//! waits for a collector.

mod batches;
mod collector;
mod sampler;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::http::{HeaderMap, Method};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use tokio::runtime::Handle;

pub use batches::Batches;

use crate::config::TraceSettings;
use collector::Collector;
use sampler::Sampler;

/// Header of the W3C Trace Context, in and out.
pub const TRACEPARENT: &str = "traceparent";

/// Batches that a request's `infer` span links to: a large request has thousands, which no page would show.
const BATCHES: usize = 32;

/// Makes traces, or does not; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<SdkTracerProvider>>);

impl Traces {
    /// To the collector of the settings; without one, none. Spans are sent on the runtime of the caller.
    ///
    /// # Errors
    /// If a standard variable of OpenTelemetry that is read here is wrong.
    pub fn start(settings: Option<&TraceSettings>) -> Result<Self, String> {
        let Some(settings) = settings else { return Ok(Self(None)) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new(Handle::current()))
            .with_endpoint(settings.endpoint.to_string())
            .with_protocol(Protocol::HttpBinary)
            .build()
            .map_err(|error| error.to_string())?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::new(settings.ratio))
            .with_resource(resource())
            .build();
        Ok(Self(Some(Arc::new(provider))))
    }

    /// The trace of a request with these headers: the caller's if they name one, else a new one.
    pub fn request(&self, headers: &HeaderMap, method: &Method, route: &'static str) -> Trace {
        let parent = remote(headers);
        let Some(provider) = &self.0 else {
            return Trace { id: parent.map(|context| context.trace_id().to_string()), live: None };
        };
        // A client may invent methods, and names of spans are few.
        let method =
            if [Method::GET, Method::HEAD, Method::POST].contains(method) { method.as_str() } else { "_OTHER" };
        let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
        let context = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let builder =
            SpanBuilder::from_name(format!("{method} {route}")).with_kind(SpanKind::Server).with_attributes([
                KeyValue::new("http.request.method", method.to_owned()),
                KeyValue::new("http.route", route),
            ]);
        let span = tracer.build_with_context(builder, &context);
        let context = span.span_context().clone();
        let live = Live { tracer, context, span: Mutex::new(Some(span)), batches: Mutex::default() };
        Trace { id: Some(live.context.trace_id().to_string()), live: Some(Arc::new(live)) }
    }

    /// Hands over what is left, within `time` or so; waits, so call it where that is allowed. Nothing is recorded from
    /// here on.
    pub fn end(&self, time: Duration) {
        if let Some(provider) = &self.0 {
            // What went wrong on the way to the collector was logged by `collector`.
            let _ = provider.shutdown_with_timeout(time);
        }
    }
}

/// Who sends: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are read, and take precedence over the names here.
fn resource() -> Resource {
    let name = Key::from_static_str("service.name");
    let said = Resource::builder().build().get(&name).filter(|said| !said.as_str().starts_with("unknown_service"));
    let said = said.map_or_else(|| env!("CARGO_PKG_NAME").to_owned(), |said| said.as_str().into_owned());
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    Resource::builder().with_attribute(version).with_service_name(said).build()
}

/// The span that a request comes from, by the headers of the W3C Trace Context. One that is malformed or there
/// twice is none, as the recommendation asks.
fn remote(headers: &HeaderMap) -> Option<SpanContext> {
    let once = headers.get_all(TRACEPARENT).iter().count() == 1;
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers));
    let context = context.span().span_context().clone();
    (once && context.is_valid()).then_some(context)
}

/// What a span may carry: short names and numbers, no bytes of images and no keys.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    /// A name.
    Text(&'static str, &'a str),
    /// A number.
    Number(&'static str, u64),
    /// A time, in seconds.
    Seconds(&'static str, Duration),
}

impl From<Fact<'_>> for KeyValue {
    fn from(fact: Fact<'_>) -> Self {
        match fact {
            Fact::Text(name, text) => Self::new(name, text.to_owned()),
            Fact::Number(name, number) => Self::new(name, i64::try_from(number).unwrap_or(i64::MAX)),
            Fact::Seconds(name, time) => Self::new(name, time.as_secs_f64()),
        }
    }
}

/// One request's trace; cheap to clone. [`Default`] is none.
#[derive(Clone, Default)]
pub struct Trace {
    id: Option<String>,
    live: Option<Arc<Live>>,
}

struct Live {
    tracer: SdkTracer,
    context: SpanContext,
    /// Until its end.
    span: Mutex<Option<Span>>,
    /// Those that ran its tiles, the first of them.
    batches: Mutex<Vec<SpanContext>>,
}

tokio::task_local! {
    static CURRENT: Trace;
}

impl Trace {
    /// The trace of the request that this task works for; none outside of [`Trace::scope`].
    pub fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Runs `work` so that it finds this as the current trace.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// The id for log lines, 32 digits: the caller's even where nothing is traced here.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What the answer carries as `traceparent`: this request's own span. None where nothing is traced.
    pub fn traceparent(&self) -> Option<String> {
        let context = &self.live.as_ref()?.context;
        let sampled = u8::from(context.is_sampled());
        Some(format!("00-{}-{}-{sampled:02x}", context.trace_id(), context.span_id()))
    }

    /// Whether anything that is recorded of this request will be handed over.
    pub fn is_recorded(&self) -> bool {
        self.recorded().is_some()
    }

    fn recorded(&self) -> Option<&Arc<Live>> {
        self.live.as_ref().filter(|live| live.context.is_sampled())
    }

    /// A part of the request's way that began just now.
    pub fn stage(&self, name: &'static str) -> Stage {
        self.stage_since(name, Instant::now())
    }

    /// A part of the request's way that began then.
    pub fn stage_since(&self, name: &'static str, began: Instant) -> Stage {
        Stage(self.recorded().map(|live| {
            let parent = Context::new().with_remote_span_context(live.context.clone());
            live.tracer.build_with_context(SpanBuilder::from_name(name).with_start_time(clock(began)), &parent)
        }))
    }

    /// Notes a batch that ran tiles of this request.
    fn ran_in(&self, batch: &SpanContext) {
        if let Some(live) = self.recorded() {
            let mut batches = live.batches.lock().unwrap_or_else(PoisonError::into_inner);
            if batches.len() < BATCHES {
                batches.push(batch.clone());
            }
        }
    }

    /// Ends the request's span; the first call counts.
    pub fn end(&self, status: u16, code: Option<&'static str>, facts: &[Fact<'_>]) {
        let span = self.live.as_ref().and_then(|live| live.span.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(mut span) = span else { return };
        span.set_attribute(Fact::Number("http.response.status_code", status.into()).into());
        span.set_attributes(facts.iter().map(|fact| KeyValue::from(*fact)));
        if let Some(code) = code {
            span.set_attribute(KeyValue::new("error.type", code));
        }
        // The convention for servers: what the client did wrong is no failure of ours.
        if status >= 500 {
            span.set_status(Status::error(code.unwrap_or("internal_error")));
        }
        span.end();
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trace").field(&self.id).finish()
    }
}

/// A part of a request's way, or a batch; ends when dropped.
#[derive(Debug, Default)]
#[must_use]
pub struct Stage(Option<Span>);

impl Stage {
    /// A batch that begins now, with tiles of these requests.
    pub fn batch(requests: &[Trace], facts: &[Fact<'_>]) -> Self {
        let Some(first) = requests.iter().find_map(Trace::recorded) else { return Self(None) };
        let links = requests.iter().filter_map(Trace::recorded);
        let links = links.map(|live| Link::new(live.context.clone(), Vec::new(), 0)).collect();
        let facts = facts.iter().map(|fact| KeyValue::from(*fact));
        let builder = SpanBuilder::from_name("batch").with_links(links).with_attributes(facts);
        let span = first.tracer.build_with_context(builder, &Context::new());
        for request in requests {
            request.ran_in(span.span_context());
        }
        Self(Some(span))
    }

    /// Adds what became known.
    pub fn knows(&mut self, facts: &[Fact<'_>]) {
        if let Some(span) = &mut self.0 {
            span.set_attributes(facts.iter().map(|fact| KeyValue::from(*fact)));
        }
    }

    /// It failed; `what` is a name and no text of a library.
    pub fn failed(&mut self, what: &'static str) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new("error.type", what));
            span.set_status(Status::error(what));
        }
    }

    /// Links to the batches that ran tiles of the request.
    pub fn links_batches_of(&mut self, request: &Trace) {
        if let (Some(span), Some(live)) = (&mut self.0, request.recorded()) {
            for batch in live.batches.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                span.add_link(batch.clone(), Vec::new());
            }
        }
    }

    /// It was over then.
    pub fn end_at(mut self, ended: Instant) {
        if let Some(span) = &mut self.0 {
            span.end_with_timestamp(clock(ended));
        }
    }
}

/// The wall clock's time of an instant that has passed.
fn clock(instant: Instant) -> SystemTime {
    let now = SystemTime::now();
    now.checked_sub(instant.elapsed()).unwrap_or(now)
}

#[cfg(test)]
mod tests;
