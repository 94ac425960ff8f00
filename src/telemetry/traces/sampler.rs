//! Which traces are recorded: those whose caller records, a share of those that begin here, and the batches of either.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler as Standard, SamplingResult, ShouldSample};

/// Parent-based, and by the trace id where there is no parent. A batch has links in the place of a parent, and by its
/// own id it would be recorded without its requests or they without it.
#[derive(Clone, Debug)]
pub(super) struct Sampler(Standard);

impl Sampler {
    /// Records this share of the traces that begin here, 0 to 1.
    pub(super) fn new(ratio: f64) -> Self {
        Self(Standard::ParentBased(Box::new(Standard::TraceIdRatioBased(ratio))))
    }
}

impl ShouldSample for Sampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let is_root = !parent.is_some_and(|parent| parent.span().span_context().is_valid());
        let linked = is_root && links.iter().any(|link| link.span_context.is_sampled());
        let sampler = if linked { &Standard::AlwaysOn } else { &self.0 };
        sampler.should_sample(parent, trace_id, name, kind, attributes, links)
    }
}
