//! TCP connections: accepted, timed, and let go one by one when the server ends.
//!
//! axum's own `serve` has no header timeout and its graceful shutdown stops accepting at once. Here new connections
//! are still answered while old ones finish: a client that has not yet heard that this instance ends is answered with
//! a 503 and `Retry-After`, where a closed port would look like a crash.
//!
//! A connection that is closed between two requests resets the one that is on the wire, and an HTTP/1.1 client cannot
//! know whether it was begun. So a connection is first announced as closed, by `Connection: close` on its next
//! answer, and closed only once it has been silent for [`DRAIN_TIME`]; and the port is closed only when its queue is empty.
//!
//! A client that does not take its answer is let go as well ([`WriteTimeout`]), and so is one that left while it is computed
//! ([`Peer`](super::peer::Peer)).

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Version, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus::IntCounter;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::log_limit::LogLimit;
use super::peer::observed;
use super::service_switch::ServiceSwitch;
use super::streams::StreamExecutor;
use super::write_timeout::WriteTimeout;

/// Bytes of a header at most, all its lines together; hyper's own bound is 400 kB a connection.
const HEADER_BYTES: usize = 64 << 10;
/// Requests at once on one HTTP/2 connection. The budgets of queue and memory bind long before.
const STREAMS: u32 = 64;
/// A connection that is kept alive may be silent for this long between two requests. Longer than the 60 s for which
/// proxies and load balancers keep theirs: the one that closes first must be the one that sends, or its next request
/// meets a closed connection.
const IDLE: Duration = Duration::from_secs(75);
/// A silent HTTP/2 client is asked this often whether it is still there, and has as long to answer.
const PING: Duration = Duration::from_secs(20);
/// When the server ends, a connection that has no request under way is closed after this long: longer than a request
/// that was sent before the client could know is on the wire.
const DRAIN_TIME: Duration = Duration::from_millis(500);
/// Where no file descriptor is left, accepting again at once would only spin.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// The connections of one server; cheap to clone.
#[derive(Clone, Debug)]
pub struct Connections {
    header_timeout: Duration,
    write_timeout: Duration,
    /// Answers that were not taken in time.
    unread_answers: IntCounter,
    drain_time: Duration,
    /// Canceled: connections finish the request under way, then close.
    closing: CancellationToken,
    /// Canceled: nothing is accepted any more.
    closed: CancellationToken,
    /// Connections that may carry accepted work.
    working: TaskTracker,
    /// Connections without a request under way at `closing`, and all that come later: closed as this server ends.
    late: TaskTracker,
}

impl Connections {
    /// None yet. The header of a connection's first request must be in within `header_timeout`, and every answer be
    /// taken within `write_timeout` of its request's deadline; those that are not count in `unread_answers`.
    pub fn new(header_timeout: Duration, write_timeout: Duration, unread_answers: IntCounter) -> Self {
        Self {
            header_timeout,
            write_timeout,
            unread_answers,
            drain_time: DRAIN_TIME,
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
            working: TaskTracker::new(),
            late: TaskTracker::new(),
        }
    }

    /// Accepts until [`Connections::close`], and then what waits in the port's queue: to the client it is connected.
    pub async fn accept(self, listener: TcpListener, switch: ServiceSwitch) {
        let _accepting = self.late.token();
        let mut refused = LogLimit::default();
        while let Some(accepted) = self.closed.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, _)) => self.spawn(stream, &switch),
                Err(error) if is_of_one_connection(&error) => debug!(%error, "a connection was lost before it began"),
                Err(error) => {
                    if let Some(before) = refused.due() {
                        warn!(%error, before, "no connection can be accepted");
                    }
                    sleep(AFTER_ERROR).await;
                }
            }
        }
        let queue = listener.into_std().inspect_err(|error| warn!(%error, "the port's queue cannot be emptied"));
        // Non-blocking still: an empty queue is an error.
        for stream in queue.iter().flat_map(std::net::TcpListener::incoming).map_while(Result::ok) {
            match stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                Ok(stream) => self.spawn(stream, &switch),
                Err(error) => debug!(%error, "a connection was lost before it began"),
            }
        }
    }

    /// Counted before the task runs: [`Connections::finish`] and [`Connections::close`] never miss one.
    fn spawn(&self, stream: TcpStream, switch: &ServiceSwitch) {
        let counted = if self.closing.is_cancelled() { self.late.token() } else { self.working.token() };
        drop(tokio::spawn(self.clone().serve(stream, switch.clone(), counted)));
    }

    async fn serve(self, stream: TcpStream, switch: ServiceSwitch, mut _counted: TaskTrackerToken) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "small answers may be late: the connection keeps its delay");
        }
        let began = CancellationToken::new();
        let multiplexed = CancellationToken::new();
        let requests = TaskTracker::new();
        let unread = WriteTimeout::new(self.write_timeout, self.unread_answers.clone());
        let (stream, peer) = observed(stream);
        let peer = &peer;
        let service = service_fn(|request: hyper::Request<Incoming>| {
            began.cancel();
            if request.version() == Version::HTTP_2 {
                multiplexed.cancel();
            }
            let (version, under_way) = (request.version(), requests.token());
            let (answer, answers, closing) =
                (switch.router().oneshot(request.map(Body::new)), unread.clone(), self.closing.clone());
            let computing = (version == Version::HTTP_11).then(|| peer.computing());
            async move {
                answers.room().await;
                let answer = answer.await.map(|answer| answers.watch(answer, under_way));
                drop(computing);
                answer.map(|answer| if closing.is_cancelled() { last(answer, version) } else { answer })
            }
        });
        let builder = self.builder();
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        // hyper's header timeout runs between requests as well, and begins only once the protocol is known from the
        // first bytes: a client that sends none would stay for good.
        let mut first = pin!(sleep(self.header_timeout));
        let mut silent = pin!(sleep(Duration::ZERO));
        let mut gone = pin!(peer.gone());
        let (mut asked, mut notified, mut idle) = (false, false, false);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        debug!(%error, "a connection broke off");
                    }
                    return;
                }
                () = self.closing.cancelled(), if !notified => {
                    notified = true;
                    if requests.is_empty() {
                        _counted = self.late.token();
                    }
                    requests.close();
                }
                // HTTP/2 reports to the client which of its requests are begun: nothing is lost by reporting at once.
                () = multiplexed.cancelled(), if notified && !idle => {
                    idle = true;
                    connection.as_mut().graceful_shutdown();
                }
                // One whose first request is still to come has the header timeout for it.
                () = async { began.cancelled().await; requests.wait().await }, if notified && !idle => {
                    idle = true;
                    silent.as_mut().reset(Instant::now() + self.drain_time);
                }
                () = silent.as_mut(), if idle && !silent.is_elapsed() => connection.as_mut().graceful_shutdown(),
                () = began.cancelled(), if !asked => asked = true,
                () = first.as_mut(), if !asked => {
                    debug!("a connection was closed that sent no request");
                    return;
                }
                () = gone.as_mut() => {
                    debug!("a connection was closed whose client left before its answer");
                    return;
                }
                () = unread.overdue() => {
                    debug!("a connection was closed whose client did not take its answer");
                    return;
                }
            }
        }
    }

    fn builder(&self) -> auto::Builder<StreamExecutor> {
        let mut builder = auto::Builder::new(StreamExecutor);
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout.max(IDLE))
            .half_close(true)
            .max_buf_size(HEADER_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_concurrent_streams(STREAMS);
        builder
    }

    /// Lets connections finish the request under way and close; those between two requests are answered once more,
    /// or closed after [`DRAIN_TIME`]; those whose first request is still to come are answered once. Resolves when nothing is under way that began before.
    pub fn finish(&self) -> impl Future<Output = ()> + use<'_> {
        self.closing.cancel();
        self.working.close();
        self.working.wait()
    }

    /// Connections that may carry accepted work.
    pub fn working(&self) -> usize {
        self.working.len()
    }

    /// Notifies those that still come for [`DRAIN_TIME`], then accepts no more, and gives those that were notified
    /// `time` to read it.
    pub async fn close(&self, time: Duration) {
        self.closing.cancel();
        sleep(self.drain_time).await;
        self.closed.cancel();
        self.late.close();
        if tokio::time::timeout(time, self.late.wait()).await.is_err() {
            debug!(connections = self.late.len(), "some did not read that the server ends");
        }
    }
}

/// The last answer of its connection, where the protocol has a header for it.
fn last(mut answer: Response, version: Version) -> Response {
    if version < Version::HTTP_2 {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// Errors of `accept` that mean nothing for the next connection.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests;
