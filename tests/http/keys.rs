//! API keys, through the port: who is let in, how keys are changed, and that none is ever shown.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::support::{PATIENCE, Server, drawing, noise, picture, png, refused};

const KEY: &str = "k1-0123456789abcdef";
const NEXT: &str = "k2-fedcba9876543210";
const WRONG: &str = "k3-0000000000000000";

#[tokio::test]
async fn keys_are_changed_while_it_runs_and_no_line_shows_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("keys");
    std::fs::write(&file, format!("# one shop\nshop {KEY}\n")).expect("a file");
    let keys = format!("--api-keys-file={}", file.display());
    let mut server = Server::start(&[&keys, "--log-level", "trace"]);
    let body = png(&drawing(30, 20));
    let ask = async |key: &str| {
        server.post("/v1/upscale?scale=2", body.clone()).bearer_auth(key).send().await.expect("an answer")
    };

    let mut documents = vec![refused(server.upscale("scale=2", body.clone()).await, 401, "unauthorized").await];
    documents.push(refused(ask(WRONG).await, 401, "unauthorized").await);
    assert_eq!(picture(ask(KEY).await).await.dimensions(), (60, 40));

    // A change that is wrong, then one that is right: the old key goes, the new one comes.
    std::fs::write(&file, "too-short").expect("a file");
    let logged =
        |what: &str| server.log().iter().any(|line| line["message"].as_str().is_some_and(|m| m.contains(what)));
    let until = async |what: &str| {
        let poll = async {
            while !logged(what) {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, poll).await.expect("the file is read again");
    };
    until("those read before hold on").await;
    assert_eq!(ask(KEY).await.status(), 200);
    std::fs::write(&file, NEXT).expect("a file");
    until("the API keys changed").await;
    documents.push(refused(ask(KEY).await, 401, "unauthorized").await);
    let last = server.post("/v1/upscale?scale=2", body.clone()).bearer_auth(NEXT).header("x-request-id", "last");
    assert_eq!(last.send().await.expect("an answer").status(), 200);

    let lines = server.log_until(|line| line["request_id"] == "last").await;
    let named = lines.iter().filter(|line| line["message"] == "request" && line["client"] == "shop").count();
    assert_eq!(named, 2, "the name of the key is told");
    server.signal("TERM");
    assert!(server.ended().await.success());
    let told = format!("{documents:?}{}", server.log_text());
    for key in [KEY, NEXT, WRONG] {
        assert!(!told.contains(&key[3..]), "a key is shown");
    }
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
