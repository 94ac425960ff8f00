//! Answers on their way on one connection: until when each must be taken, and how much of them may wait.
//!
//! A client that never reads, or opens no window in HTTP/2, would keep what its answers hold. hyper asks a body for more
//! only once the client has taken what came before, and its buffers keep bytes whose body is gone: so a timer that
//! nobody polls watches each answer until its last byte is dropped. An overdue answer of HTTP/2 ends its stream alone
//! ([`streams`]); where that frees nothing, and in HTTP/1, the connection ends.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use prometheus::IntCounter;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::streams;
use crate::pipeline::UnreadBytes;

/// While this much waits on a connection, its next requests wait, too. More than any client leaves that reads, and
/// what a third of the streams of an HTTP/2 connection may hold.
const UNREAD_BYTES: u64 = 32 << 20;
/// A stream that was cut has its buffers freed by the connection's task, within this.
const AFTER_CUT: Duration = Duration::from_secs(1);
/// How often a request that waits for others looks at their progress; their ends wake it at once.
const LOOK: Duration = Duration::from_millis(100);

/// Of an upscaled image's answer, as an extension of it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// When its request's time is over.
    pub deadline: Instant,
    /// What of it waits.
    pub unread: Arc<UnreadBytes>,
}

/// The answers of one connection; cheap to clone.
#[derive(Clone, Debug)]
pub struct WriteTimeout(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    time: Duration,
    cut: IntCounter,
    overdue: CancellationToken,
    answers: Mutex<Vec<Weak<Waiting>>>,
    taken: Arc<Notify>,
}

impl WriteTimeout {
    /// None yet. Each is to be taken within `time` of its request's deadline, or of its head if it has none; those that
    /// are not are counted in `cut`.
    pub fn new(time: Duration, cut: IntCounter) -> Self {
        let (overdue, answers, taken) = <(_, Mutex<_>, _)>::default();
        Self(Arc::new(Connection { time, cut, overdue, answers, taken }))
    }

    /// Waits until the answers on their way leave room for another.
    pub async fn room(&self) {
        loop {
            let taken = self.0.taken.notified();
            if self.bytes() <= UNREAD_BYTES {
                return;
            }
            // A timeout: some may be taken without any being at its end.
            let _ = timeout(LOOK, taken).await;
        }
    }

    /// Bytes of answers that wait.
    fn bytes(&self) -> u64 {
        let mut answers = self.0.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|answer| answer.strong_count() > 0);
        answers.iter().filter_map(Weak::upgrade).map(|answer| answer.bytes()).sum()
    }

    /// Starts the clock of an answer; it stops when the last byte is gone, and `under_way` with it.
    pub fn watch(&self, mut answer: Response, under_way: TaskTrackerToken) -> Response {
        if answer.body().is_end_stream() {
            return answer;
        }
        let delivery: Option<Delivery> = answer.extensions_mut().remove();
        let until = delivery.as_ref().map_or_else(Instant::now, |delivery| delivery.deadline) + self.0.time;
        let taken = CancellationToken::new();
        let waiting = Arc::new(Waiting {
            size: match delivery {
                Some(delivery) => Size::Counted(delivery.unread),
                None => Size::Left(AtomicU64::new(announced(&answer))),
            },
            connection: Arc::clone(&self.0.taken),
            _taken: taken.clone().drop_guard(),
            _under_way: under_way,
        });
        self.0.answers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&waiting));
        let (stream, cut, overdue) = (streams::current(), self.0.cut.clone(), self.0.overdue.clone());
        tokio::spawn(async move {
            if taken.run_until_cancelled(sleep_until(until)).await.is_none() {
                return;
            }
            cut.inc();
            if let Some(stream) = stream {
                stream.cancel();
                if taken.run_until_cancelled(sleep(AFTER_CUT)).await.is_none() {
                    return;
                }
            }
            overdue.cancel();
        });
        answer.map(|body| Body::new(Watched { body, waiting }))
    }

    /// Resolves when an answer has not been taken in time and the connection has to end.
    pub async fn overdue(&self) {
        self.0.overdue.cancelled().await;
    }
}

/// The length of a body that is not an image's; unknown ones are streams of pages, which hold nothing.
fn announced(answer: &Response) -> u64 {
    let length = answer.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.or_else(|| answer.body().size_hint().exact()).unwrap_or(0)
}

/// An answer until its last byte is dropped: held by its body and by each of its bytes.
#[derive(Debug)]
struct Waiting {
    size: Size,
    connection: Arc<Notify>,
    _taken: DropGuard,
    _under_way: TaskTrackerToken,
}

#[derive(Debug)]
enum Size {
    Counted(Arc<UnreadBytes>),
    Left(AtomicU64),
}

impl Waiting {
    fn bytes(&self) -> u64 {
        match &self.size {
            Size::Counted(unread) => unread.bytes(),
            Size::Left(bytes) => bytes.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.connection.notify_waiters();
    }
}

/// A body whose bytes hold what it waits with.
struct Watched {
    body: Body,
    waiting: Arc<Waiting>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let waiting = &self.waiting;
        frame.map_ok(|frame| frame.map_data(|bytes| Bytes::from_owner(Piece { bytes, waiting: Arc::clone(waiting) })))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

struct Piece {
    bytes: Bytes,
    waiting: Arc<Waiting>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Size::Left(left) = &self.waiting.size {
            let taken = self.bytes.len() as u64;
            // An announced length that is too small counts as nothing left.
            let _ = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(taken)));
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use tokio_util::task::TaskTracker;

    use super::*;

    fn unread() -> (WriteTimeout, IntCounter) {
        let cut = IntCounter::new("cut", "Answers that were cut.").expect("a name");
        (WriteTimeout::new(Duration::from_secs(30), cut.clone()), cut)
    }

    fn answer(unread: &WriteTimeout, bytes: u64) -> Response {
        unread.watch(Response::new(Body::from(vec![7; bytes as usize])), TaskTracker::new().token())
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_while_more_than_the_bound_is_unread() {
        let (unread, _) = unread();
        let most = answer(&unread, UNREAD_BYTES);
        timeout(LOOK, unread.room()).await.expect("the bound itself leaves room");
        let one_more = answer(&unread, 1);
        assert!(timeout(LOOK * 9, unread.room()).await.is_err(), "one byte more does not");
        drop(one_more);
        timeout(LOOK, unread.room()).await.expect("room again");
        drop(most);
        assert_eq!(unread.bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_count_until_they_are_dropped_and_not_until_their_body_is() {
        let (unread, cut) = unread();
        let bytes = to_bytes(answer(&unread, 1000).into_body(), 1000).await.expect("memory");
        assert_eq!(unread.bytes(), 1000);
        assert!(timeout(Duration::from_secs(29), unread.overdue()).await.is_err(), "it still has a second");
        assert_eq!(cut.get(), 0);
        timeout(Duration::from_secs(2), unread.overdue()).await.expect("its body is gone, and yet it is overdue");
        assert_eq!(cut.get(), 1);
        drop(bytes);
        assert_eq!(unread.bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_was_taken_is_never_overdue() {
        let (unread, cut) = unread();
        drop(to_bytes(answer(&unread, 1000).into_body(), 1000).await.expect("memory"));
        assert!(timeout(Duration::from_secs(60), unread.overdue()).await.is_err());
        assert_eq!(cut.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_image_has_its_own_deadline_and_the_time_after_it() {
        let (unread, _) = unread();
        let mut image = Response::new(Body::from(vec![7; 10]));
        let deadline = Instant::now() + Duration::from_secs(5);
        let delivery = Delivery { deadline, unread: UnreadBytes::new(None) };
        image.extensions_mut().insert(delivery);
        let _image = unread.watch(image, TaskTracker::new().token());
        assert!(timeout(Duration::from_secs(34), unread.overdue()).await.is_err());
        timeout(Duration::from_secs(2), unread.overdue()).await.expect("35 s are over");
    }
}
