//! API keys, through the port: who may call, and that none is ever shown.

use std::process::Command;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::support::{PATIENCE, Server, drawing, image, noise, png, refused};

const KEY: &str = "k1-0123456789abcdef";
const NEXT: &str = "k2-fedcba9876543210";
const WRONG: &str = "k3-0000000000000000";

#[tokio::test]
async fn each_key_of_the_file_is_accepted_and_no_line_shows_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("keys");
    std::fs::write(&file, format!("# the old and the new one of a shop\nshop {KEY}\n{NEXT}\n")).expect("a file");
    let keys = format!("--api-keys-file={}", file.display());
    let mut server = Server::start(&[&keys, "--log-level", "trace"]);
    let body = png(&drawing(30, 20));
    let ask = async |key: &str| {
        let request = server.post("/v1/upscale?scale=2", body.clone()).bearer_auth(key);
        request.header("x-request-id", &key[..2]).send().await.expect("an answer")
    };

    let mut documents = vec![refused(server.upscale("scale=2", body.clone()).await, 401, "unauthorized").await];
    documents.push(refused(ask(WRONG).await, 401, "unauthorized").await);
    assert_eq!(image(ask(KEY).await).await.dimensions(), (60, 40));
    assert_eq!(ask(NEXT).await.status(), 200);

    let lines = server.log_until(|line| line["message"] == "request" && line["request_id"] == "k2").await;
    let named = lines.iter().filter(|line| line["message"] == "request" && line["client"] == "shop").count();
    assert_eq!(named, 1, "the name of the key is logged");
    server.signal("TERM");
    assert!(server.ended().await.success());
    let shown = format!("{documents:?}{}", server.log_text());
    for key in [KEY, NEXT, WRONG] {
        assert!(!shown.contains(&key[3..]), "a key is shown");
    }
}

#[test]
fn a_file_without_keys_ends_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("keys");
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_san-upscaler"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--model", "bicubic", "--api-keys-file"]).arg(&file);
        let output = command.output().expect("the binary starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let name = file.display().to_string();
    let (code, text) = start();
    assert!(
        code == Some(2) && text.contains(&name) && text.contains("name a file that this process may read"),
        "{text}"
    );
    std::fs::write(&file, format!("shop {KEY}\nk2-fedcba98765\n")).expect("a file");
    let (code, text) = start();
    assert!(code == Some(2) && text.contains(&name) && text.contains("entry 2"), "{text}");
    assert!(text.contains("openssl rand -base64 32") && !text.contains("fedcba") && !text.contains(KEY), "{text}");
}

#[tokio::test]
async fn a_large_upload_without_a_key_hears_why() {
    let server = Server::start(&["--api-keys", KEY]);
    let large = png(&noise(1000, 1000));
    refused(server.upscale("scale=2", large).await, 401, "unauthorized").await;
    // One that waits to be asked is not asked.
    let mut waiting = server.send_head("POST /v1/upscale", "Content-Length: 1000000\r\nExpect: 100-continue\r\n").await;
    let mut answer = [0; 12];
    timeout(PATIENCE, waiting.read_exact(&mut answer)).await.expect("an answer").expect("the connection holds");
    assert_eq!(&answer, b"HTTP/1.1 401");
    waiting.shutdown().await.expect("the connection holds");
    assert_eq!(server.metric("upscaler_refusals_total", "unauthorized").await, 2.0);
    assert_eq!(server.get("/health/ready").await.status(), 200);
    assert_eq!(server.get("/v1/models").await.status(), 401);
}
