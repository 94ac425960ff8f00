//! Clients that do not take their answers, by HTTP/2 with windows that stay shut, written by hand: no client's library
//! would do so. All of it is bounded in count and time.

use std::time::{Duration, Instant};

use image::ImageFormat;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{PATIENCE, Server, file, noise, refused};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
/// RFC 9113, 7.
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// `:status 200` in HPACK's static table; any other is written otherwise.
const OK: u8 = 0x88;
const FRAME: usize = 16_384;

/// A client of HTTP/2 that opens this window for each answer, and no further.
struct Client {
    stream: TcpStream,
    next: u32,
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Client {
    async fn connect(server: &Server, window: u32) -> Self {
        let mut client = Self { stream: server.connect().await, next: 1 };
        client.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("the server reads");
        let mut settings = vec![0, 4];
        settings.extend(window.to_be_bytes());
        client.write(SETTINGS, 0, 0, &settings).await;
        client
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame).await.expect("the server reads");
    }

    /// The next frame; `None` at the end. Answers the server's pings on the way.
    async fn read(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            timeout(PATIENCE, self.stream.read_exact(&mut head)).await.expect("something comes").ok()?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.stream.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes(head[5..].try_into().expect("four bytes"));
            let frame = Frame { kind: head[3], flags: head[4], stream, payload };
            if frame.kind == PING && frame.flags & ACK == 0 {
                self.write(PING, ACK, 0, &frame.payload).await;
            } else {
                return Some(frame);
            }
        }
    }

    /// Reads on until a frame of this kind of this stream.
    async fn until(&mut self, kind: u8, stream: u32) -> Frame {
        loop {
            let frame = self.read().await.expect("the connection holds");
            if (frame.kind, frame.stream) == (kind, stream) {
                return frame;
            }
            assert!(frame.kind != RST_STREAM, "{frame:?}");
        }
    }

    /// Sends a request and gives its stream.
    async fn send(&mut self, method: u8, path: &str, body: &[u8]) -> u32 {
        let stream = self.next;
        self.next += 2;
        // `:method`, `:scheme http`, `:path` and `:authority`, the latter as literals.
        let mut fields = vec![method, 0x86, 0x04, path.len() as u8];
        fields.extend(path.as_bytes());
        fields.extend([0x01, 1, b'x']);
        let end = if body.is_empty() { END_STREAM } else { 0 };
        self.write(HEADERS, END_HEADERS | end, stream, &fields).await;
        let mut chunks = body.chunks(FRAME).peekable();
        while let Some(chunk) = chunks.next() {
            let end = if chunks.peek().is_none() { END_STREAM } else { 0 };
            self.write(DATA, end, stream, chunk).await;
        }
        stream
    }

    async fn get(&mut self, path: &str) -> u32 {
        self.send(0x82, path, &[]).await
    }

    async fn upscale(&mut self, query: &str, body: &[u8]) -> u32 {
        self.send(0x83, &format!("/v1/upscale?{query}"), body).await
    }

    async fn is_answered_well(&mut self, stream: u32) -> bool {
        self.until(HEADERS, stream).await.payload[0] == OK
    }
}

/// A small file whose answer at scale 4 has just less than a mebibyte: it is whole before its head leaves.
fn small() -> Vec<u8> {
    file(&noise(140, 140), ImageFormat::Jpeg)
}

async fn answer_bytes(server: &Server) -> f64 {
    let answer = server.upscale("scale=4", small()).await;
    let bytes = answer.content_length().expect("it was whole");
    assert!((600_000..1 << 20).contains(&bytes), "{bytes}");
    answer.bytes().await.expect("a body");
    bytes as f64
}

#[tokio::test]
async fn what_is_unread_is_in_the_budget_and_refuses_others_when_that_is_spent() {
    const BUDGET: f64 = 40e6;
    let server = Server::start(&["--memory", "40MB"]);
    let bytes = answer_bytes(&server).await;
    let mut client = Client::connect(&server, 0).await;
    let mut answered = 0.0;
    loop {
        let stream = client.upscale("scale=4", &small()).await;
        if !client.is_answered_well(stream).await {
            break;
        }
        answered += 1.0;
        let held = answered * bytes;
        assert!(held < BUDGET, "{answered} answers of {bytes} bytes");
        // The work's own bytes come back a moment after the answer.
        server.until_metric("upscaler_inflight_bytes", "", |bytes| bytes == held).await;
    }
    assert!(answered > 1.0, "some fit");
    refused(server.upscale("scale=4", small()).await, 429, "memory_full").await;
    drop(client);
    server.until_metric("upscaler_inflight_bytes", "", |bytes| bytes == 0.0).await;
    assert_eq!(server.upscale("scale=4", small()).await.status(), 200);
}

#[tokio::test]
async fn an_answer_is_cut_a_moment_after_its_own_deadline_and_no_other_stream_is() {
    const DEADLINE: Duration = Duration::from_secs(5);
    let server = Server::start(&["--write-timeout", "300ms"]);
    let mut client = Client::connect(&server, 0).await;
    let began = Instant::now();
    let stalled = client.upscale("scale=4&deadline=5", &small()).await;
    assert!(client.is_answered_well(stalled).await);
    let later = client.upscale("scale=4&deadline=60", &small()).await;
    assert!(client.is_answered_well(later).await);
    let reset = client.until(RST_STREAM, stalled).await;
    assert_eq!(reset.payload, CANCEL);
    assert!(began.elapsed() >= DEADLINE + Duration::from_millis(300), "after {:?}", began.elapsed());
    let bytes = answer_bytes(&server).await;
    server.until_metric("upscaler_inflight_bytes", "", |held| held == bytes).await;
    assert_eq!(server.metric("upscaler_unread_answers_total", "").await, 1.0);
    // The other is taken still.
    client.write(WINDOW_UPDATE, 0, 0, &(1_u32 << 24).to_be_bytes()).await;
    client.write(WINDOW_UPDATE, 0, later, &(1_u32 << 24).to_be_bytes()).await;
    let mut taken = 0.0;
    loop {
        let data = client.until(DATA, later).await;
        taken += data.payload.len() as f64;
        if data.flags & END_STREAM != 0 {
            break;
        }
    }
    assert_eq!(taken, bytes);
    server.until_metric("upscaler_inflight_bytes", "", |held| held == 0.0).await;
}

#[tokio::test]
async fn bytes_that_only_the_protocol_holds_are_unread_as_well() {
    let server = Server::start(&["--write-timeout", "100ms"]);
    // One byte is taken, so all that is left lies with h2, and hyper is done with the stream.
    let mut client = Client::connect(&server, 1).await;
    let stream = client.get("/v1/limits").await;
    assert!(client.is_answered_well(stream).await);
    while client.read().await.is_some() {}
    assert_eq!(server.metric("upscaler_unread_answers_total", "").await, 1.0);
}

#[tokio::test]
async fn a_connection_with_much_unread_waits_with_its_next_requests() {
    const BOUND: f64 = (32 << 20) as f64;
    let server = Server::start(&[]);
    let bytes = answer_bytes(&server).await;
    let mut client = Client::connect(&server, 0).await;
    let mut unread = 0.0;
    while unread <= BOUND {
        let stream = client.upscale("scale=4", &small()).await;
        assert!(client.is_answered_well(stream).await);
        unread += bytes;
    }
    let waiting = client.upscale("scale=4", &small()).await;
    client.write(PING, 0, 0, b"are you?").await;
    let frame = client.until(PING, 0).await;
    assert_eq!((frame.flags & ACK, &frame.payload[..]), (ACK, &b"are you?"[..]));
    assert_eq!(server.metric("upscaler_inflight_requests", "").await, (waiting / 2) as f64, "it was not begun");
    // Who gives one up has room for another.
    client.write(RST_STREAM, 0, 1, &CANCEL).await;
    assert!(client.is_answered_well(waiting).await);
}
