//! Whose traces a batch belongs to.
//!
//! The scheduler knows no request but by its number: most servers trace nothing, and those that do a share.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use scheduler::FlowId;
use scheduler::observer::{BatchEnd, BatchStart, Observer};

use super::{Fact, Stage, Trace};

/// The recorded traces of the requests that are admitted.
#[derive(Debug, Default)]
pub struct Batches(Mutex<HashMap<FlowId, Trace>>);

impl Observer for Batches {
    fn admitted(&self, request: FlowId) {
        let trace = Trace::current();
        if trace.is_recorded() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(request, trace);
        }
    }

    fn left(&self, request: FlowId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&request);
    }

    fn begins(&self, batch: &BatchStart<'_>) -> BatchEnd {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let traces: Vec<Trace> = batch.requests.iter().filter_map(|request| open.get(request).cloned()).collect();
        drop(open);
        if traces.is_empty() {
            return None;
        }
        let facts = [
            Fact::Text("upscaler.model", batch.model),
            Fact::Number("upscaler.scale", batch.scale.into()),
            Fact::Number("upscaler.tile.width", batch.shape.width.into()),
            Fact::Number("upscaler.tile.height", batch.shape.height.into()),
            Fact::Number("upscaler.batch.tiles", batch.tiles as u64),
            Fact::Number("upscaler.batch.requests", batch.requests.len() as u64),
        ];
        let mut stage = Stage::batch(&traces, &facts);
        Some(Box::new(move |failed| {
            if failed {
                stage.failed("engine");
            }
        }))
    }
}
