//! What a stranger can do with a small file: it ends with its request, within its memory, and the server stays ready. One
//! function an attack, each bounded in count and time.

use std::time::Duration;

use crate::support::collector::{Collector, attribute};
use crate::support::{Server, drawing, image, png, problem, refused};

/// A small GIF of frames that each cover the whole canvas.
fn full_frames(side: u16, frames: u32) -> Vec<u8> {
    let canvas = vec![0; usize::from(side) * usize::from(side)];
    let mut file = Vec::new();
    let mut encoder = gif::Encoder::new(&mut file, side, side, &[0, 0, 0, 255, 255, 255]).expect("memory takes it");
    let mut frame = gif::Frame::from_indexed_pixels(side, side, canvas, None);
    frame.make_lzw_pre_encoded();
    for _ in 0..frames {
        encoder.write_lzw_pre_encoded_frame(&frame).expect("memory takes it");
    }
    drop(encoder);
    file
}

async fn still_serves(server: &Server) {
    assert_eq!(server.get("/health/ready").await.status(), 200);
    image(server.upscale("scale=2", png(&drawing(40, 30))).await).await;
}

/// Ends the server; its decodes of 4096x4096 pixels, one at least, ended before they were done.
async fn was_interrupted(mut server: Server, collector: &Collector) {
    server.until_metric("upscaler_decoding_requests", "", |running| running == 0.0).await;
    still_serves(&server).await;
    server.signal("TERM");
    assert!(server.ended().await.success());
    let mut decodes = collector.spans();
    let pixels = (4096 * 4096).to_string();
    decodes.retain(|span| attribute(&span.attributes, "upscaler.pixels").as_ref() == Some(&pixels));
    let failed = decodes.iter().filter(|span| span.status.as_ref().is_some_and(|status| status.code == 2)).count();
    assert!(failed > 0 && failed == decodes.len(), "{failed} of {}", decodes.len());
}

#[tokio::test]
async fn a_decode_ends_with_its_request() {
    let collector = Collector::start(200).await;
    let server = Server::start(&["--otlp-endpoint", &collector.url]);
    // A quarter of a thousand megapixels in a tenth of a second is more than any machine decodes.
    let file = full_frames(4096, 25);
    let one = || async {
        let query = "scale=1&format=png&frame=24&deadline=0.1";
        let document = problem(server.upscale(query, file.clone()).await).await;
        // Those that wait for a permit, too.
        assert!(matches!(document["code"].as_str(), Some("deadline_exceeded" | "memory_full")), "{document}");
    };
    tokio::join!(one(), one(), one(), one());
    server.until_metric("upscaler_inflight_bytes", "", |bytes| bytes == 0.0).await;
    was_interrupted(server, &collector).await;
}

#[tokio::test]
async fn more_work_than_an_image_is_worth_is_refused_from_its_header() {
    let server = Server::start(&[]);
    let file = full_frames(1024, 300);
    let document = refused(server.upscale("scale=1&frame=299", file).await, 413, "image_too_large").await;
    assert_eq!((&document["limit_name"], &document["limit"]), (&"decode_pixels".into(), &(1_u64 << 28).into()));
    still_serves(&server).await;
}

/// A page of 16x16 whose strip is a JPEG that claims 65535x65535 pixels in four components, and touches every block.
fn claims_of_a_strip() -> Vec<u8> {
    let mut strip = b"\xff\xd8\xff\xc2\0\x14\x08\xff\xff\xff\xff\x04\x01\x11\0\x02\x11\0\x03\x11\0\x04\x11\0".to_vec();
    // One code of a bit: runs of 512 blocks and more with nothing in them.
    strip.extend([&b"\xff\xc4\0\x15\x10\x01\x01"[..], &[0; 14], &[0x01, 0x90]].concat());
    strip.extend(b"\xff\xda\0\x08\x01\x01\0\x01\x3f\0");
    strip.extend(b"\x60\x03\0\x18\0\xc0\x06\0\x30\x01\x80\x0c\0".repeat(65_536));
    strip.extend(b"\xff\xd9");
    let directory = (8 + strip.len() as u32).next_multiple_of(2);
    let mut file = [&b"II\x2a\0"[..], &directory.to_le_bytes(), &strip].concat();
    file.resize(directory as usize, 0);
    let entries: [(u16, u32); 9] =
        [(256, 16), (257, 16), (258, 8), (259, 7), (262, 6), (273, 8), (277, 3), (278, 16), (279, strip.len() as u32)];
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, value) in entries {
        file.extend(
            [&tag.to_le_bytes()[..], &4_u16.to_le_bytes(), &1_u32.to_le_bytes(), &value.to_le_bytes()].concat(),
        );
    }
    file.extend([0; 4]);
    file
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn memory_does_not_follow_what_a_strip_claims() {
    let server = Server::start(&[]);
    let idle = server.memory("VmRSS");
    refused(server.upscale("scale=1", claims_of_a_strip()).await, 422, "damaged_image").await;
    let above = server.memory("VmHWM").saturating_sub(idle);
    println!("peak above the idle server: {} MB", above / 1_000_000);
    assert!(above <= 200_000_000, "{above} bytes above the idle server");
    still_serves(&server).await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_decode() {
    let collector = Collector::start(200).await;
    let server = Server::start(&["--otlp-endpoint", &collector.url]);
    let file = full_frames(4096, 25);
    let request = server.upscale("scale=1&format=png&frame=24", file);
    let left = async {
        server.until_metric("upscaler_decoding_requests", "", |running| running > 0.0).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    tokio::select! {
        response = request => { response.bytes().await.expect("whole"); }
        () = left => {}
    }
    was_interrupted(server, &collector).await;
}
