//! Answers that are on their way on one connection, and whether one of them is overdue.
//!
//! What a request holds is given back when its answer is gone. A client that never reads, or opens no window in
//! HTTP/2, would keep it for good. The other answers of an HTTP/2 connection end with the overdue one: hyper has no way
//! to reset a single stream from outside.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The answers of one connection; cheap to clone.
#[derive(Clone, Debug)]
pub struct Unread {
    time: Duration,
    overdue: CancellationToken,
}

impl Unread {
    /// None yet. Each is to be taken within `time` of its head.
    pub fn new(time: Duration) -> Self {
        Self { time, overdue: CancellationToken::new() }
    }

    /// Starts the clock of an answer; it stops when the body is dropped, and `under_way` with it.
    pub fn watch(&self, answer: Response, under_way: TaskTrackerToken) -> Response {
        if answer.body().is_end_stream() {
            return answer;
        }
        let taken = CancellationToken::new();
        let guard = taken.clone().drop_guard();
        let Self { time, overdue } = self.clone();
        tokio::spawn(async move {
            if taken.run_until_cancelled(sleep(time)).await.is_some() {
                overdue.cancel();
            }
        });
        answer.map(|body| Body::new(Timed { body, _taken: guard, _under_way: under_way }))
    }

    /// Resolves when an answer has not been taken in time.
    pub async fn overdue(&self) {
        self.overdue.cancelled().await;
    }
}

/// A body that is taken when it is dropped.
struct Timed {
    body: Body,
    _taken: DropGuard,
    _under_way: TaskTrackerToken,
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
