//! A full server: what it refuses, with which words, and what it gives back.
//!
//! A request is held in the middle by a client that reads the head of a large answer and no more: what the network
//! buffers is far less than the answer, so the server cannot finish it, however fast it is.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{PATIENCE, Server, drawing, image, noise, png, problem, refused};

/// A request whose answer has begun and is not read on.
async fn held(server: &Server) -> TcpStream {
    let body = png(&noise(800, 800));
    let headers = format!("Content-Length: {}\r\n", body.len());
    let mut stream = server.send_head("POST /v1/upscale?scale=4", &headers).await;
    stream.write_all(&body).await.expect("the server reads");
    let mut head = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut head)).await.expect("an answer").expect("the connection holds");
    assert_eq!(&head, b"HTTP/1.1 200");
    stream
}

/// Waits until a held request has come as far as it can: the rest of its tiles waits for its client.
async fn settled(server: &Server) -> f64 {
    let mut before = -1.0;
    loop {
        let admitted = server.metric("upscaler_admitted_tiles", "").await;
        if admitted == before {
            assert!(admitted > 0.0, "the answer fits into the network's buffers: the image must be larger");
            return admitted;
        }
        before = admitted;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn a_full_queue_is_refused_and_empties_when_the_client_leaves() {
    let server = Server::start(&["--queue-tiles", "50"]);
    let stream = held(&server).await;
    settled(&server).await;
    assert!(server.metric("upscaler_admitted_seconds", "").await > 0.0);

    let document = refused(server.upscale("scale=4", png(&drawing(800, 800))).await, 429, "queue_full").await;
    assert_eq!(document["limit_name"], "queue_tiles");
    let small = image(server.upscale("scale=4", png(&drawing(60, 60))).await).await;
    assert_eq!(small.dimensions(), (240, 240), "what fits beside it is not refused");

    drop(stream);
    server.until_metric("upscaler_admitted_tiles", "", |tiles| tiles == 0.0).await;
    server.until_metric("upscaler_admitted_seconds", "", |seconds| seconds == 0.0).await;
    server.until_metric("upscaler_inflight_bytes", "", |bytes| bytes == 0.0).await;
    server.until_metric("upscaler_requests_total", "status=\"499\"", |count| count == 1.0).await;
    server.until_metric("upscaler_inflight_requests", "", |count| count == 0.0).await;
    image(server.upscale("scale=4", png(&drawing(800, 800))).await).await;
}

#[tokio::test]
async fn memory_that_is_taken_is_refused() {
    let needed = {
        let server = Server::start(&[]);
        let _stream = held(&server).await;
        server.metric("upscaler_inflight_bytes", "").await as u64
    };
    let server = Server::start(&["--memory", &(needed * 3 / 2).to_string()]);
    let _stream = held(&server).await;
    let document = refused(server.upscale("scale=4", png(&noise(800, 800))).await, 429, "memory_full").await;
    assert_eq!((&document["limit_name"], &document["limit"]), (&"memory_bytes".into(), &(needed * 3 / 2).into()));
    image(server.upscale("scale=4", png(&drawing(60, 60))).await).await;

    let tight = Server::start(&["--memory", &(needed - 1_000_000).to_string()]);
    let document = refused(tight.upscale("scale=4", png(&noise(800, 800))).await, 413, "work_too_large").await;
    assert_eq!(document["limit_name"], "memory_bytes");
}

#[tokio::test]
async fn a_deadline_that_the_queue_makes_impossible_is_refused() {
    // A tile waits a second for a fuller batch, so that with one small request after the other something always waits.
    let server = Server::start(&["--max-batch", "32", "--max-batch-delay", "1s"]);
    let small = png(&drawing(60, 60));
    let busy = async {
        loop {
            image(server.upscale("scale=4", small.clone()).await).await;
        }
    };
    let body = png(&noise(900, 900));
    let asked = async {
        loop {
            let plan = server.post("/v1/plan?scale=4", body.clone()).send().await.expect("an answer");
            let plan: Value = plan.json().await.expect("JSON");
            let behind = plan["estimated_seconds"].as_f64().expect("seconds");
            // What waits, and the batches between, are more than a twentieth of it.
            let query = format!("/v1/plan?scale=4&deadline={}", behind * 0.95);
            let response = server.post(&query, body.clone()).send().await.expect("an answer");
            if response.status() == 200 {
                // Asked between two of the small ones.
                continue;
            }
            let document = problem(response).await;
            if document["code"] == "queue_too_slow" {
                return document;
            }
            assert_eq!(document["code"], "work_too_large", "{document}");
        }
    };
    let document = tokio::select! {
        document = timeout(PATIENCE, asked) => document.expect("a deadline is refused because of the queue"),
        () = busy => unreachable!("it goes on for ever"),
    };
    assert_eq!((&document["status"], &document["limit_name"]), (&429.into(), &"deadline_seconds".into()));
}

#[tokio::test]
async fn a_deadline_that_passes_on_the_way_is_reported() {
    let server = Server::start(&[]);
    // Flat, so that its answer is small and leaves only when it is whole.
    let flat = png(&image::RgbImage::from_pixel(1600, 1600, image::Rgb([9, 9, 9])));
    let plan = server.post("/v1/plan?scale=4", flat.clone()).send().await.expect("an answer");
    let plan: Value = plan.json().await.expect("JSON");
    let estimate = plan["estimated_seconds"].as_f64().expect("seconds");
    let deadline = Duration::from_secs_f64((estimate * 1.5).max(1.0));
    let query = format!("scale=4&deadline={}", deadline.as_secs_f64());
    let request = server.upscale(&query, flat);
    // The server is stopped from soon after it admitted the request until the deadline has passed.
    let stall = async {
        server.until_metric("upscaler_admitted_tiles", "", |tiles| tiles > 0.0).await;
        server.signal("STOP");
        tokio::time::sleep(deadline).await;
        server.signal("CONT");
    };
    let (response, ()) = tokio::join!(request, stall);
    refused(response, 504, "deadline_exceeded").await;
    server.until_metric("upscaler_admitted_tiles", "", |tiles| tiles == 0.0).await;
}
