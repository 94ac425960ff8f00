//! Streams of HTTP/2 that can be ended one by one.
//!
//! hyper has no way to reset a stream from outside, but runs each as a future on the executor that it is given. Dropping
//! that future drops hyper's handles on the stream, on which h2 resets it (CANCEL) and frees what it had buffered.

use std::future::Future;

use hyper::rt::Executor;
use tokio_util::sync::CancellationToken;

tokio::task_local! {
    static CUT: CancellationToken;
}

/// Runs each stream as a task that [`current`] can end.
#[derive(Clone, Copy, Debug)]
pub struct StreamExecutor;

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for StreamExecutor {
    fn execute(&self, stream: F) {
        let cut = CancellationToken::new();
        let until_cut = cut.clone().run_until_cancelled_owned(stream);
        drop(tokio::spawn(CUT.scope(cut, until_cut)));
    }
}

/// Canceled, it ends the stream that asks; `None` in HTTP/1, where there are none.
pub fn current() -> Option<CancellationToken> {
    CUT.try_with(Clone::clone).ok()
}
