//! One OS thread with its engines: pull, run, deliver.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use super::batch;
use super::shared::Shared;
use inference::engine::EngineSet;

/// Starts the worker `number`, which owns `engines` until the scheduler is stopped.
pub(super) fn spawn(number: usize, engines: EngineSet, shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    Builder::new().name(format!("upscale-worker-{number}")).spawn(move || work(engines, &shared))
}

fn work(mut engines: EngineSet, shared: &Shared) {
    while let Some(batch) = shared.next_batch() {
        let engine = engines.get_mut(&batch.class.network).map(|engine| &mut **engine);
        let wanted = |flow| shared.read(|ledger| ledger.wanted(flow));
        let ended = shared.begins(&batch);
        let report = batch::run(engine, batch.class.shape, batch.jobs, wanted);
        if let Some(ended) = ended {
            ended(report.outcomes.iter().any(|outcome| outcome.result.is_err()));
        }
        shared.settle(batch.class, report);
    }
}
