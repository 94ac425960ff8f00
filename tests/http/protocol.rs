//! What the protocol asks of any server, on bare connections.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::support::{PATIENCE, Server, drawing, png};

/// All that a server answers to these bytes, and whether it had to close the connection for it.
async fn answer(server: &Server, bytes: &[u8]) -> String {
    let mut stream = server.connect().await;
    stream.write_all(bytes).await.expect("the server reads");
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it closes").expect("no reset");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_request_names_one_host() {
    let server = Server::start(&[]);
    let get = async |version: &str, hosts: &str| {
        answer(&server, format!("GET /v1/limits HTTP/{version}\r\n{hosts}Connection: close\r\n\r\n").as_bytes()).await
    };
    for (version, hosts) in [("1.1", "Host: x\r\n"), ("1.1", "Host:\r\n"), ("1.1", "Host: [::1]:80\r\n"), ("1.0", "")] {
        let text = get(version, hosts).await;
        assert!(text.starts_with(&format!("HTTP/{version} 200")), "{hosts:?}: {text}");
    }
    for (version, hosts) in [
        ("1.1", ""),
        ("1.1", "Host: x\r\nHost: x\r\n"),
        ("1.1", "Host: x\r\nhost: y\r\n"),
        ("1.1", "Host: a b\r\n"),
        ("1.0", "Host: x\r\nHost: y\r\n"),
    ] {
        let text = get(version, hosts).await;
        assert!(text.starts_with(&format!("HTTP/{version} 400")), "{hosts:?}: {text}");
        assert!(text.contains("invalid_host") && text.to_ascii_lowercase().contains("x-request-id"), "{text}");
    }
    assert_eq!(server.metric("upscaler_refusals_total", "invalid_host").await, 5.0);
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_gets_its_answer() {
    let server = Server::start(&[]);
    let body = png(&drawing(300, 200));
    let headers = format!("Content-Length: {}\r\n", body.len());
    let mut stream = server.send_head("POST /v1/upscale?scale=4", &headers).await;
    stream.write_all(&body).await.expect("the server reads");
    stream.shutdown().await.expect("it is open");
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it closes").expect("no reset");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("HTTP/1.1 200"), "{}", &text[..text.len().min(500)]);
    assert!(answer.windows(8).any(|bytes| bytes == b"IEND\xaeB\x60\x82"), "the whole file");
    assert_eq!(server.metric("upscaler_requests_total", "499").await, 0.0);
}
