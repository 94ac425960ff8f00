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

/// A server whose `/slow` answers on a signal.
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
