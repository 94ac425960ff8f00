//! Whose traces a batch belongs to.
//!
//! Apart from the ledger, which knows no request but by its number: most servers trace nothing, and those that do a share.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::batch::Job;
use super::queue::FlowId;
use crate::telemetry::traces::Trace;

/// The recorded traces of the requests that are admitted.
#[derive(Debug, Default)]
pub(super) struct Traced(Mutex<HashMap<FlowId, Trace>>);

impl Traced {
    /// A request was admitted.
    pub(super) fn open(&self, flow: FlowId, trace: Trace) {
        if trace.is_recorded() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(flow, trace);
        }
    }

    /// Nobody waits for it any more.
    pub(super) fn close(&self, flow: FlowId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&flow);
    }

    /// The recorded requests with tiles among these, each once, and how many requests there are in all.
    pub(super) fn of(&self, jobs: &[Job]) -> (Vec<Trace>, usize) {
        let mut flows: Vec<FlowId> = jobs.iter().map(|job| job.flow).collect();
        flows.sort_unstable();
        flows.dedup();
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (flows.iter().filter_map(|flow| open.get(flow).cloned()).collect(), flows.len())
    }
}
