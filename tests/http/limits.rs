//! Both sides of each limit, and files that are made to do harm.

use image::ImageFormat;

use crate::support::{Server, drawing, file, image, png, refused};

/// The first 33 bytes of a PNG of any size, and 67 more that are nothing.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut ihdr = b"IHDR".to_vec();
    ihdr.extend(width.to_be_bytes());
    ihdr.extend(height.to_be_bytes());
    ihdr.extend([8, 2, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    bytes.extend(&ihdr);
    bytes.extend(crc(&ihdr).to_be_bytes());
    bytes.resize(100, 0);
    bytes
}

/// CRC-32 as in PNG (ISO 3309).
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[tokio::test]
async fn the_largest_input_passes_and_one_row_more_does_not() {
    let server = Server::start(&["--max-input", "10000"]);
    image(server.upscale("scale=2", png(&drawing(100, 100))).await).await;
    let document = refused(server.upscale("scale=2", png(&drawing(100, 101))).await, 413, "image_too_large").await;
    assert_eq!(document["limit_name"], "input_pixels");
    assert_eq!((&document["limit"], &document["actual"]), (&10_000.into(), &10_100.into()));
}

#[tokio::test]
async fn the_largest_output_passes_and_one_row_more_does_not() {
    let server = Server::start(&["--max-input", "20000", "--max-output", "40000"]);
    image(server.upscale("scale=2", png(&drawing(100, 100))).await).await;
    let document = refused(server.upscale("scale=2", png(&drawing(100, 101))).await, 413, "image_too_large").await;
    assert_eq!(document["limit_name"], "output_pixels");
    assert_eq!((&document["limit"], &document["actual"]), (&40_000.into(), &40_400.into()));
}

#[tokio::test]
async fn a_format_that_cannot_hold_the_answer_is_known_before() {
    let server = Server::start(&[]);
    image(server.upscale("scale=3&format=webp", png(&drawing(5461, 2))).await).await;
    refused(server.upscale("scale=3&format=webp", png(&drawing(5462, 2))).await, 413, "image_too_large").await;
}

#[tokio::test]
async fn the_largest_body_passes_and_one_byte_more_does_not() {
    let server = Server::start(&["--max-body", "5000"]);
    // What follows the end of a PNG is nobody's; here it fills the body up.
    let mut body = png(&drawing(20, 20));
    assert!(body.len() < 5000, "{}", body.len());
    body.resize(5000, 0);
    image(server.upscale("scale=2", body.clone()).await).await;
    body.push(0);
    let document = refused(server.upscale("scale=2", body).await, 413, "body_too_large").await;
    assert_eq!(document["limit_name"], "body_bytes");
    assert_eq!((&document["limit"], &document["actual"]), (&5000.into(), &5001.into()));
}

#[tokio::test]
async fn tiles_of_one_image_may_fill_the_queue_and_no_more() {
    let plan = async |server: &Server| -> usize {
        let response = server.post("/v1/plan?scale=2", png(&drawing(500, 300))).send().await.expect("an answer");
        let plan: serde_json::Value = response.json().await.expect("JSON");
        plan["tiles"].as_u64().expect("tiles") as usize
    };
    let tiles = plan(&Server::start(&[])).await;
    assert!(tiles > 1);
    let just = Server::start(&["--queue-tiles", &tiles.to_string()]);
    image(just.upscale("scale=2", png(&drawing(500, 300))).await).await;
    let less = Server::start(&["--queue-tiles", &(tiles - 1).to_string()]);
    let document = refused(less.upscale("scale=2", png(&drawing(500, 300))).await, 413, "work_too_large").await;
    assert_eq!((&document["limit_name"], &document["actual"]), (&"queue_tiles".into(), &tiles.into()));
}

#[tokio::test]
async fn a_deadline_that_no_idle_server_could_meet_is_refused_at_once() {
    let server = Server::start(&[]);
    // Seconds of work, and time enough to reach admission on a busy machine, too.
    let large = png(&drawing(1900, 1900));
    let document = refused(server.upscale("scale=8&deadline=0.2", large).await, 413, "work_too_large").await;
    // What is left of the deadline at admission.
    assert!(document["limit"].as_f64().is_some_and(|limit| limit <= 0.2), "{document}");
    assert_eq!(document["limit_name"], "deadline_seconds");
    assert!(document["detail"].as_str().is_some_and(|detail| detail.contains("s until the deadline")), "{document}");
}

#[tokio::test]
async fn a_bomb_is_refused_from_its_header() {
    let server = Server::start(&[]);
    let bomb = png_header(60_000, 60_000);
    assert_eq!(bomb.len(), 100);
    let document = refused(server.upscale("", bomb).await, 413, "image_too_large").await;
    assert_eq!((&document["limit_name"], &document["actual"]), (&"input_pixels".into(), &3_600_000_000_u64.into()));
    // Within the limits, and nothing behind the header.
    refused(server.upscale("", png_header(60, 60)).await, 422, "damaged_image").await;
    refused(server.upscale("", png_header(0, 60)).await, 422, "damaged_image").await;
}

#[tokio::test]
async fn files_that_break_off_are_damaged_and_others_unsupported() {
    let server = Server::start(&[]);
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        let whole = file(&drawing(64, 48), format);
        let half = whole[..whole.len() / 2].to_vec();
        refused(server.upscale("scale=2", half).await, 422, "damaged_image").await;
    }
    for (name, bytes) in [
        ("a PDF", &b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"[..]),
        ("a HEIC", b"\0\0\0\x20ftypheic\0\0\0\0mif1heic"),
        ("text", b"hello, I am an image, honestly"),
        ("a byte", b"\x89"),
    ] {
        let document = refused(server.upscale("", bytes.to_vec()).await, 415, "unsupported_image").await;
        assert!(document["detail"].as_str().is_some_and(|detail| detail.contains("PNG")), "{name}: {document}");
    }
    assert_eq!(server.metric("upscaler_refusals_total", "damaged_image").await, 3.0);
    assert_eq!(server.metric("upscaler_refusals_total", "unsupported_image").await, 4.0);
    assert_eq!(server.metric("upscaler_admitted_tiles", "").await, 0.0);
}
