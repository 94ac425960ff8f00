//! Work on blocking threads, and what becomes of it when nobody waits any more.
//!
//! A job may wait long for a thread while others have them all. If its request ends meanwhile, the job and all that it
//! owns go at once; the thread that comes by later finds nothing. A job that runs is not interrupted.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::{JoinError, spawn_blocking};
use tracing::Span;

use super::error::PipelineError;
use crate::telemetry::Metrics;

/// A job until it begins.
struct Slot<J>(Arc<Mutex<Option<J>>>);

impl<J> Slot<J> {
    fn take(&self) -> Option<J> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Takes the job back with anyone who waited for it.
struct Waiting<J>(Slot<J>);

impl<J> Drop for Waiting<J> {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

/// Runs `job` on a blocking thread, in the span of the caller. Dropping the future drops a job that has not begun.
pub(super) async fn spawn_blocking_cancellable<T, J>(metrics: &Metrics, job: J) -> Result<T, PipelineError>
where
    T: Send + 'static,
    J: FnOnce() -> T + Send + 'static,
{
    let shared = Arc::new(Mutex::new(Some(job)));
    let (slot, span) = (Slot(Arc::clone(&shared)), Span::current());
    let _waiting = Waiting(Slot(shared));
    match spawn_blocking(move || slot.take().map(|job| span.in_scope(job))).await {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(PipelineError::Internal("the request ended before its job began".into())),
        Err(error) => Err(unfinished(metrics, &error)),
    }
}

/// A job did not end: it panicked, or the runtime is going down.
fn unfinished(metrics: &Metrics, error: &JoinError) -> PipelineError {
    if error.is_panic() {
        metrics.panics.with_label_values(&["pipeline"]).inc();
        // The panic hook wrote where and why.
        return PipelineError::Internal("a stage of the pipeline panicked".into());
    }
    PipelineError::Internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A runtime with one blocking thread.
    fn narrow() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().expect("threads can be had")
    }

    #[test]
    fn a_job_that_waits_for_a_thread_goes_with_its_request() {
        narrow().block_on(async {
            let metrics = Metrics::new();
            let (release, held) = mpsc::channel::<()>();
            let other = spawn_blocking(move || held.recv());
            let owned = Arc::new(());
            let theirs = Arc::clone(&owned);
            let mut job = Box::pin(spawn_blocking_cancellable(&metrics, move || drop(theirs)));
            assert!(futures::poll!(&mut job).is_pending());
            assert_eq!(Arc::strong_count(&owned), 2);
            drop(job);
            assert_eq!(Arc::strong_count(&owned), 1, "what the job owned is gone before a thread is free");
            release.send(()).expect("it waits");
            other.await.expect("no panic").expect("sent");
        });
    }

    #[test]
    fn a_panic_is_an_error_and_is_counted() {
        narrow().block_on(async {
            let metrics = Metrics::new();
            let error =
                spawn_blocking_cancellable(&metrics, || std::panic::resume_unwind(Box::new(1))).await.map(|()| 0);
            assert!(matches!(error, Err(PipelineError::Internal(text)) if text.contains("panicked")));
            assert_eq!(metrics.panics.with_label_values(&["pipeline"]).get(), 1);
            assert_eq!(spawn_blocking_cancellable(&metrics, || 7).await.expect("the thread lives on"), 7);
        });
    }
}
