//! TCP connections: accepted, timed, and let go one by one when the server ends.
//!
//! axum's own `serve` has no header timeout and its graceful shutdown stops accepting at once. Here new connections
//! are still answered while old ones finish: a client that has not yet heard that this instance ends is told so with
//! a 503 and `Retry-After`, where a closed port would look like a crash.
//!
//! A connection that is closed between two requests resets the one that is on the wire, and an HTTP/1.1 client cannot
//! know whether it was begun. So a connection is told first, by `Connection: close` on its next answer, and closed
//! only once it has been silent for [`DRAIN_TIME`]; and the port is closed only when its queue is empty.
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
/// An HTTP/2 client that says nothing is asked this often whether it is still there, and has as long to answer.
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
    /// Connections without a request under way at `closing`, and all that come later: told that this server ends.
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
        let (mut asked, mut told, mut idle) = (false, false, false);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        debug!(%error, "a connection broke off");
                    }
                    return;
                }
                () = self.closing.cancelled(), if !told => {
                    told = true;
                    if requests.is_empty() {
                        _counted = self.late.token();
                    }
                    requests.close();
                }
                // HTTP/2 tells the client which of its requests are begun: nothing is lost by telling at once.
                () = multiplexed.cancelled(), if told && !idle => {
                    idle = true;
                    connection.as_mut().graceful_shutdown();
                }
                // One whose first request is still to come has the header timeout for it.
                () = async { began.cancelled().await; requests.wait().await }, if told && !idle => {
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

    /// Tells those that still come for [`DRAIN_TIME`], then accepts no more, and gives those that were told of the end
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

/// The last answer of its connection, where the protocol has a header that says so.
fn last(mut answer: Response, version: Version) -> Response {
    if version < Version::HTTP_2 {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// Errors of `accept` that say nothing about the next connection.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    fn connections(header_timeout: Duration, write_timeout: Duration) -> Connections {
        let unread = IntCounter::new("unread", "Answers that were not taken in time.").expect("a name");
        Connections::new(header_timeout, write_timeout, unread)
    }

    /// Of `/slow`: that a request is there, and that it is to be answered.
    #[derive(Default)]
    struct Gate {
        entered: Notify,
        open: Notify,
    }

    /// A server whose `/slow` answers when told to.
    async fn server(header_timeout: Duration) -> (Connections, SocketAddr, Arc<Gate>) {
        server_with(header_timeout, LONG).await
    }

    async fn server_with(header_timeout: Duration, answer_timeout: Duration) -> (Connections, SocketAddr, Arc<Gate>) {
        serve(connections(header_timeout, answer_timeout)).await
    }

    async fn draining_slowly(drain_time: Duration) -> (Connections, SocketAddr) {
        let (connections, address, _) = serve(Connections { drain_time, ..connections(LONG, LONG) }).await;
        (connections, address)
    }

    async fn serve(connections: Connections) -> (Connections, SocketAddr, Arc<Gate>) {
        let gate = Arc::new(Gate::default());
        let slow = Arc::clone(&gate);
        let endless = || async { Body::from_stream(futures::stream::repeat(Ok::<_, Infallible>(vec![0; 1 << 16]))) };
        let router = Router::new().route("/", get(|| async { "fast" })).route("/endless", get(endless)).route(
            "/slow",
            get(move || {
                let slow = Arc::clone(&slow);
                async move {
                    slow.entered.notify_one();
                    slow.open.notified().await;
                    "slow"
                }
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let switch = ServiceSwitch::new();
        switch.open(router);
        tokio::spawn(connections.clone().accept(listener, switch));
        (connections, address, gate)
    }

    async fn ask(address: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("the port is open");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        stream
    }

    /// All that comes until the server closes.
    async fn rest(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("text until the end");
        text
    }

    /// Until `n` connections work: what a client did is seen by the server a moment later.
    async fn until_working(connections: &Connections, n: usize) {
        while connections.working() != n {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_sends_nothing_is_let_go() {
        let (_connections, address, _) = server(Duration::from_millis(20)).await;
        let silent = TcpStream::connect(address).await.expect("the port is open");
        assert_eq!(rest(silent).await, "");
        let mut half = TcpStream::connect(address).await.expect("the port is open");
        half.write_all(b"GET / HTTP/1.1\r\nHost:").await.expect("the server reads");
        assert!(!rest(half).await.contains(" 200 "));
        let mut preface = TcpStream::connect(address).await.expect("the port is open");
        preface.write_all(b"PRI * HT").await.expect("the server reads");
        assert_eq!(rest(preface).await, "", "half of an HTTP/2 greeting");
    }

    #[tokio::test]
    async fn a_slow_answer_is_no_slow_header() {
        let (_connections, address, gate) = server(Duration::from_secs(1)).await;
        let mut slow = ask(address, "/slow").await;
        sleep(Duration::from_millis(1200)).await;
        gate.open.notify_one();
        let mut text = String::new();
        while !text.ends_with("slow") {
            let mut byte = [0];
            slow.read_exact(&mut byte).await.expect("it is not cut off");
            text.push(byte[0].into());
        }
    }

    /// How long a test waits for what must come.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn who_does_not_take_its_answer_is_let_go() {
        let (connections, address, _) = server_with(LONG, Duration::from_millis(50)).await;
        let unread = ask(address, "/endless").await;
        until_working(&connections, 1).await;
        let released = tokio::time::timeout(PATIENCE, until_working(&connections, 0)).await;
        assert!(released.is_ok(), "it never reads, and its stream is open");
        drop(unread);
    }

    #[tokio::test]
    async fn a_window_that_stays_shut_is_an_answer_not_taken() {
        let (_connections, address, _) = server_with(LONG, Duration::from_millis(50)).await;
        let mut stream = TcpStream::connect(address).await.expect("the port is open");
        let greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        // INITIAL_WINDOW_SIZE is 0.
        let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
        // `GET / http x` on stream 1, which ends with it.
        let get = [0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 1, b'x'];
        stream.write_all(&[&greeting[..], &settings, &get].concat()).await.expect("the server reads");
        let mut answer = Vec::new();
        // A frame of type 3, RST_STREAM, on stream 1: the connection may have others, so it stays.
        let reset = [0, 0, 4, 3, 0, 0, 0, 0, 1];
        let read = async {
            while !answer.windows(reset.len()).any(|bytes| bytes == reset) {
                assert!(stream.read_buf(&mut answer).await.expect("it is open") > 0, "it is not closed: {answer:?}");
            }
        };
        // Before the ping that this client does not answer would end the connection.
        let ended = tokio::time::timeout(PING, read).await;
        assert!(ended.is_ok(), "the server resets the stream");
        // A frame of type 1, HEADERS, on stream 1: there was an answer.
        assert!(answer.windows(7).any(|bytes| bytes[0] == 1 && bytes[2..6] == [0, 0, 0, 1]), "{answer:?}");
    }

    #[tokio::test]
    async fn who_closed_its_sending_side_is_answered() {
        let (_connections, address, gate) = server(LONG).await;
        let mut half = ask(address, "/slow").await;
        half.shutdown().await.expect("it is open");
        gate.entered.notified().await;
        let mut asked = [0; 25];
        half.read_exact(&mut asked).await.expect("the connection holds");
        assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n", "whether somebody is there");
        gate.open.notify_one();
        let answer = rest(half).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("slow"), "{answer}");
    }

    #[tokio::test]
    async fn the_work_for_who_left_ends() {
        let (connections, address, gate) = server(LONG).await;
        let left = ask(address, "/slow").await;
        gate.entered.notified().await;
        drop(left);
        let ended = tokio::time::timeout(PATIENCE, until_working(&connections, 0)).await;
        assert!(ended.is_ok(), "nobody waits, and the answer is never ready");
    }

    #[tokio::test]
    async fn an_answer_that_was_taken_is_not_overdue() {
        let (_connections, address, _) = server_with(LONG, Duration::from_millis(50)).await;
        let mut kept = ask(address, "/").await;
        let mut text = String::new();
        for _ in 0..2 {
            while !text.ends_with("fast") {
                let mut byte = [0];
                kept.read_exact(&mut byte).await.expect("the connection holds");
                text.push(byte[0].into());
            }
            sleep(Duration::from_millis(100)).await;
            kept.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("the server reads");
            text.clear();
        }
    }

    #[tokio::test]
    async fn a_drain_waits_for_the_request_under_way_and_for_nothing_else() {
        let (connections, address, gate) = server(LONG).await;
        let mut idle = TcpStream::connect(address).await.expect("the port is open");
        let mut kept = ask(address, "/").await;
        let mut head = [0; 12];
        kept.read_exact(&mut head).await.expect("an answer");
        let slow = ask(address, "/slow").await;
        gate.entered.notified().await;
        until_working(&connections, 3).await;

        let mut finished = pin!(connections.finish());
        until_working(&connections, 1).await;
        assert!(rest(kept).await.ends_with("fast"), "closed after its answer");
        assert!(futures::poll!(finished.as_mut()).is_pending());

        let late = ask(address, "/").await;
        assert!(rest(late).await.ends_with("fast"), "answered, then closed");
        idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("the server reads");
        assert!(rest(idle).await.ends_with("fast"), "its request was on the wire: answered, then closed");

        gate.open.notify_one();
        finished.await;
        assert!(rest(slow).await.ends_with("slow"));

        connections.close(LONG).await;
        assert!(connections.late.is_empty());
    }

    #[tokio::test]
    async fn a_request_on_the_wire_of_a_kept_connection_is_answered_as_its_last() {
        let (connections, address) = draining_slowly(LONG).await;
        let mut kept = ask(address, "/").await;
        let mut head = [0; 12];
        kept.read_exact(&mut head).await.expect("an answer");
        connections.finish().await;
        kept.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("the connection is not closed yet");
        let answers = rest(kept).await;
        assert_eq!(answers.matches("fast").count(), 2, "{answers}");
        assert_eq!(answers.matches("connection: close").count(), 1, "{answers}");
    }

    #[tokio::test]
    async fn a_connection_in_the_queue_of_the_port_is_answered() {
        use std::io::{Read, Write};
        let (connections, address) = draining_slowly(Duration::ZERO).await;
        tokio::task::yield_now().await;
        // Nothing of the server runs between these lines: the kernel alone has taken the connection.
        let mut queued = std::net::TcpStream::connect(address).expect("the port is open");
        queued.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("the kernel takes it");
        connections.close(LONG).await;
        let mut answer = String::new();
        queued.read_to_string(&mut answer).expect("no reset");
        assert!(answer.ends_with("fast"), "{answer}");
    }
}
