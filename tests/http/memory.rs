//! Memory is bounded: by bands and windows for one large image, by the budget for several.

use image::ImageFormat;
use reqwest::StatusCode;

use crate::support::{self, Server};

/// Bytes of a PNG from its signature to the end of its header's size.
const HEAD: usize = 24;

/// Reads a PNG without keeping it. Gives its size in pixels; panics if it is cut off.
async fn size_of_streamed_png(mut response: reqwest::Response) -> (u32, u32) {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    while let Some(chunk) = response.chunk().await.expect("the answer is whole") {
        if head.len() < HEAD {
            head.extend_from_slice(&chunk[..chunk.len().min(HEAD)]);
        }
        tail.extend_from_slice(&chunk);
        tail.drain(..tail.len().saturating_sub(8));
    }
    assert_eq!(&tail[..4], b"IEND");
    let number = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().expect("four bytes"));
    (number(16), number(20))
}

fn large() -> Vec<u8> {
    support::file(&support::drawing(4096, 4096), ImageFormat::Jpeg)
}

#[tokio::test]
async fn an_answer_of_256_megapixels_is_never_whole_in_memory() {
    let server = Server::start(&[]);
    let idle = server.memory("VmRSS");
    let response = server.upscale("scale=4", large()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(size_of_streamed_png(response).await, (16384, 16384));
    let above = server.memory("VmHWM") - idle;
    println!("peak above the idle server: {} MB", above / 1_000_000);
    assert!(above <= 400_000_000, "{above} bytes above the idle server");
}

#[tokio::test]
async fn several_are_admitted_or_refused_by_the_budget() {
    const BUDGET: u64 = 600_000_000;
    let server = Server::start(&["--memory", "600MB"]);
    let idle = server.memory("VmRSS");
    let image = large();
    let one = || async {
        let response = server.upscale("scale=4", image.clone()).await;
        if response.status() == StatusCode::OK {
            assert_eq!(size_of_streamed_png(response).await, (16384, 16384));
            return true;
        }
        support::refused(response, 429, "memory_full").await;
        false
    };
    let answered = tokio::join!(one(), one(), one(), one());
    let answered = [answered.0, answered.1, answered.2, answered.3].into_iter().filter(|done| *done).count();
    assert!((1..4).contains(&answered), "{answered} of 4 within {BUDGET} bytes");
    let above = server.memory("VmHWM") - idle;
    println!("{answered} of 4 admitted, peak above the idle server: {} MB", above / 1_000_000);
    // The four uploads and the allocator's slack are beside the budget.
    assert!(above <= BUDGET + 200_000_000, "{above} bytes above the idle server");
    let held = server.until_metric("upscaler_inflight_bytes", "", |bytes| bytes == 0.0).await;
    assert!(held.abs() < 1.0);
}
