//! The end: a signal under load, and nothing that was accepted is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::support::{PATIENCE, Server, drawing, noise, png, refused};

#[tokio::test]
async fn what_was_begun_is_finished_and_what_comes_is_refused() {
    let mut server = Server::start(&[]);
    // Two requests under way: one that still uploads, one whose large answer has begun and is not read on.
    let body = png(&drawing(30, 30));
    let headers = format!("Content-Length: {}\r\nConnection: close\r\n", body.len());
    let mut uploading = server.send_head("POST /v1/upscale?scale=2", &headers).await;
    uploading.write_all(&body[..20]).await.expect("the server reads");
    let large = server.upscale("scale=4", png(&noise(800, 800))).await;
    assert_eq!(large.status(), 200);
    server.until_metric("upscaler_inflight_requests", "", |requests| requests == 2.0).await;

    server.signal("TERM");
    let readiness = async {
        loop {
            let response = server.get("/health/ready").await;
            if response.status() != 200 {
                return response;
            }
        }
    };
    refused(timeout(PATIENCE, readiness).await.expect("soon"), 503, "draining").await;
    assert_eq!(server.get("/health/live").await.status(), 200, "it lives until it ends");
    let refusal = async {
        loop {
            let response = server.upscale("scale=2", body.clone()).await;
            if response.status() != 200 {
                return response;
            }
        }
    };
    refused(timeout(PATIENCE, refusal).await.expect("soon"), 503, "draining").await;

    uploading.write_all(&body[20..]).await.expect("the server reads on");
    let mut answer = Vec::new();
    timeout(PATIENCE, uploading.read_to_end(&mut answer)).await.expect("an answer").expect("the connection holds");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..answer.len().min(500)]));
    let whole = large.bytes().await.expect("the whole answer");
    let image = image::load_from_memory(&whole).expect("an image");
    assert_eq!((image.width(), image.height()), (3200, 3200));
    assert!(server.ended().await.success(), "nothing was cut off");
}

#[tokio::test]
async fn it_serves_on_while_load_balancers_take_notice() {
    let mut server = Server::start(&["--drain-grace", "600s"]);
    server.signal("TERM");
    let unready = async { while server.get("/health/ready").await.status() == 200 {} };
    timeout(PATIENCE, unready).await.expect("soon");
    assert_eq!(server.upscale("scale=2", png(&drawing(30, 30))).await.status(), 200);
    server.signal("TERM");
    assert!(server.ended().await.success(), "a second signal ends it, and nothing was under way");
}

#[tokio::test]
async fn a_second_signal_cuts_off_what_is_under_way() {
    let mut server = Server::start(&[]);
    let large = server.upscale("scale=4", png(&noise(800, 800))).await;
    server.signal("TERM");
    let unready = async { while server.get("/health/ready").await.status() == 200 {} };
    timeout(PATIENCE, unready).await.expect("soon");
    server.signal("TERM");
    assert!(!server.ended().await.success(), "the exit code tells that a request was lost");
    assert!(large.bytes().await.is_err(), "a cut answer is seen as cut");
}

#[tokio::test]
async fn under_load_no_accepted_request_is_lost() {
    const CLIENTS: usize = 8;
    let mut server = Server::start(&[]);
    let answered = Arc::new(AtomicUsize::new(0));
    let body = png(&drawing(90, 70));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (client, url) = (server.client.clone(), server.url("/v1/upscale?scale=2"));
            let (answered, body) = (Arc::clone(&answered), body.clone());
            // Until it is asked to go elsewhere, or finds the port closed.
            tokio::spawn(async move {
                loop {
                    match client.post(&url).body(body.clone()).send().await {
                        Ok(response) if response.status() == 200 => {
                            let whole = response.bytes().await.expect("an answer that has begun comes whole");
                            image::load_from_memory(&whole).expect("an image");
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(response) => {
                            refused(response, 503, "draining").await;
                            return;
                        }
                        Err(error) if error.is_connect() => return,
                        Err(error) => panic!("a request was lost: {error:?}"),
                    }
                }
            })
        })
        .collect();
    let busy = async {
        while answered.load(Ordering::Relaxed) < 5 * CLIENTS {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, busy).await.expect("requests are answered");
    server.signal("TERM");
    for client in clients {
        timeout(PATIENCE, client).await.expect("each client comes to an end").expect("and none lost a request");
    }
    assert!(server.ended().await.success());
}
