//! How bytes come in: slowly, endlessly, not at all, in forms, and with a question first.

use reqwest::multipart::{Form, Part};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{PATIENCE, Server, drawing, image, png, refused};

/// All that comes until the server closes; what a reset cuts off is not missed.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the server closes");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What comes until `end` has come.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let byte = timeout(PATIENCE, stream.read_u8()).await.expect("an answer").expect("the connection holds");
        bytes.push(byte);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn an_empty_body_is_a_problem_of_its_own() {
    let server = Server::start(&[]);
    refused(server.upscale("", "").await, 400, "empty_body").await;
    let answer = rest(server.send_head("POST /v1/upscale", "Connection: close\r\n").await).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("empty_body"), "no length is no body: {answer}");
}

#[tokio::test]
async fn an_upload_that_is_too_slow_is_ended() {
    let server = Server::start(&["--body-timeout", "300ms"]);
    let mut stream = server.send_head("POST /v1/upscale", "Content-Length: 1000\r\n").await;
    stream.write_all(&[0; 10]).await.expect("the server reads");
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("upload_timeout") && answer.to_lowercase().contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_chunked_body_without_end_is_cut_off() {
    let server = Server::start(&["--max-body", "100kB"]);
    let mut stream = server.send_head("POST /v1/upscale", "Transfer-Encoding: chunked\r\n").await;
    let (mut reading, mut writing) = stream.split();
    let mut chunk = b"2710\r\n".to_vec();
    chunk.resize(chunk.len() + 10_000, b'x');
    chunk.extend(b"\r\n");
    // The client goes on sending, as such a client would, and still gets to read why not.
    let send = async { while writing.write_all(&chunk).await.is_ok() {} };
    let mut answer = Vec::new();
    let read = async {
        let mut piece = [0; 1024];
        while !String::from_utf8_lossy(&answer).contains("body_too_large") {
            let count = reading.read(&mut piece).await.expect("an answer before the end");
            assert!(count > 0, "closed after {}", String::from_utf8_lossy(&answer));
            answer.extend(&piece[..count]);
        }
    };
    timeout(PATIENCE, async {
        tokio::select! { () = send => panic!("no answer"), () = read => {} }
    })
    .await
    .expect("soon");
    assert!(answer.starts_with(b"HTTP/1.1 413"));
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_reported_so() {
    let server = Server::start(&[]);
    let mut stream = server.send_head("POST /v1/upscale", "Transfer-Encoding: chunked\r\n").await;
    stream.write_all(b"5\r\nhello\r\nnot a length\r\n").await.expect("the server reads");
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("broken_upload"), "{answer}");
}

#[tokio::test]
async fn who_asks_before_sending_is_answered_before_sending() {
    let server = Server::start(&["--max-body", "100kB"]);
    let body = png(&drawing(8, 8));
    let expect = |length: usize| format!("Content-Length: {length}\r\nExpect: 100-continue\r\nConnection: close\r\n");

    let mut welcome = server.send_head("POST /v1/upscale?scale=2", &expect(body.len())).await;
    assert!(until(&mut welcome, "\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
    welcome.write_all(&body).await.expect("the server reads");
    assert!(until(&mut welcome, "\r\n\r\n").await.starts_with("HTTP/1.1 200 "));

    for (line, length, code) in
        [("POST /v1/upscale", 100_001, "body_too_large"), ("POST /v1/upscale?scale=77", 1000, "invalid_parameter")]
    {
        let answer = rest(server.send_head(line, &expect(length)).await).await;
        assert!(answer.starts_with("HTTP/1.1 4") && answer.contains(code), "{answer}");
    }
}

#[tokio::test]
async fn forms_hold_one_image_and_nothing_else() {
    let server = Server::start(&[]);
    let send = async |form: Form| {
        server.client.post(server.url("/v1/upscale?scale=2")).multipart(form).send().await.expect("an answer")
    };
    let part = || Part::bytes(png(&drawing(8, 8))).file_name("a.png");
    image(send(Form::new().part("image", part())).await).await;
    for (form, word) in [
        (Form::new().part("photo", part()), "'photo'"),
        (Form::new().part("image", part()).text("scale", "2"), "'scale'"),
        (Form::new().part("image", part()).part("file", part()), "exactly one"),
    ] {
        let document = refused(send(form).await, 400, "invalid_form").await;
        assert!(document["detail"].as_str().is_some_and(|detail| detail.contains(word)), "{word}: {document}");
    }
    refused(send(Form::new().part("image", Part::bytes(Vec::new()))).await, 400, "empty_body").await;
}

#[tokio::test]
async fn what_is_announced_as_no_image_is_refused_unread() {
    let server = Server::start(&[]);
    for (name, value) in [("content-type", "application/json"), ("content-encoding", "gzip")] {
        let request = server.post("/v1/upscale", png(&drawing(8, 8))).header(name, value);
        refused(request.send().await.expect("an answer"), 415, "unsupported_media_type").await;
    }
}
