//! The main job: an image in, a larger one out.

use image::ImageFormat;
use reqwest::multipart::{Form, Part};

use crate::support::{Server, drawing, file, image, noise, png, refused};

#[tokio::test]
async fn every_scale_and_odd_size_comes_back_exactly_so_much_larger() {
    let server = Server::start(&[]);
    let models: serde_json::Value = server.get("/v1/models").await.json().await.expect("JSON");
    let scales = models["models"][0]["scales"].as_array().expect("scales").clone();
    assert!(scales.len() >= 3, "{models}");
    for scale in scales.iter().filter_map(|scale| scale["scale"].as_u64()) {
        for (width, height) in [(1, 1), (1, 40), (131, 7), (129, 257)] {
            let answer = image(server.upscale(&format!("scale={scale}"), png(&drawing(width, height))).await).await;
            let expected = (width * scale as u32, height * scale as u32);
            assert_eq!(answer.dimensions(), expected, "{width}x{height} at {scale}");
        }
    }
}

#[tokio::test]
async fn a_flat_image_keeps_its_color_and_a_drawing_its_shapes() {
    let server = Server::start(&[]);
    let flat = image::RgbImage::from_pixel(140, 9, image::Rgb([200, 100, 50]));
    let answer = image(server.upscale("scale=3", png(&flat)).await).await;
    assert!(answer.pixels().all(|pixel| pixel.0 == [200, 100, 50]));

    let drawn = drawing(200, 160);
    let answer = image(server.upscale("scale=4", png(&drawn)).await).await;
    // Shrunk again by the mean of each 4x4, it is nearly what was sent.
    let far = drawn.enumerate_pixels().flat_map(|(x, y, sent)| {
        let (answer, sent) = (&answer, sent.0);
        (0..3).map(move |c| {
            let sum: u32 = (0..16).map(|i| u32::from(answer[(x * 4 + i % 4, y * 4 + i / 4)].0[c])).sum();
            f64::from(sum) / 16.0 - f64::from(sent[c])
        })
    });
    let (sum, count) = far.fold((0.0, 0u32), |(sum, count), d| (sum + d.abs(), count + 1));
    assert!(sum / f64::from(count) < 1.0, "{} levels off on average", sum / f64::from(count));
}

#[tokio::test]
async fn every_format_is_read_and_written() {
    let server = Server::start(&[]);
    let drawn = drawing(40, 30);
    for sent in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        for (name, written) in [("png", ImageFormat::Png), ("jpeg", ImageFormat::Jpeg), ("webp", ImageFormat::WebP)] {
            let response = server.upscale(&format!("scale=2&format={name}"), file(&drawn, sent)).await;
            assert_eq!(response.headers()["content-type"], format!("image/{name}"));
            let bytes = response.bytes().await.expect("a body");
            assert_eq!(image::guess_format(&bytes).expect("a known format"), written, "{sent:?} to {name}");
            let answer = image::load_from_memory(&bytes).expect("an image");
            assert_eq!((answer.width(), answer.height()), (80, 60));
        }
    }
}

#[tokio::test]
async fn sixteen_bits_come_back_as_tiff_and_any_kind_of_file_is_taken() {
    let server = Server::start(&[]);
    let kinds: [(&str, &[u8]); 6] = [
        ("a deep TIFF", include_bytes!("../fixtures/images/kinds/rgb-16-be.tif")),
        ("a fax", include_bytes!("../fixtures/images/kinds/g4.tif")),
        ("a BMP", include_bytes!("../fixtures/images/kinds/rle.bmp")),
        ("a GIF", include_bytes!("../fixtures/images/kinds/still.gif")),
        ("a JPEG XL", include_bytes!("../fixtures/images/kinds/rgb.jxl")),
        ("a JPEG in CMYK", include_bytes!("../fixtures/images/kinds/inks-ycck.jpg")),
    ];
    for (name, sent) in kinds {
        let response = server.upscale("scale=2&model=bicubic&format=tiff", sent.to_vec()).await;
        assert_eq!(response.status(), 200, "{name}");
        assert_eq!(response.headers()["content-type"], "image/tiff");
        let bytes = response.bytes().await.expect("a body");
        let mut decoder = tiff::decoder::Decoder::new(std::io::Cursor::new(&bytes)).expect("a TIFF");
        assert_eq!(decoder.dimensions().expect("a size"), (74, 52), "{name}");
        let deep = matches!(decoder.read_image().expect("pixels"), tiff::decoder::DecodingResult::U16(_));
        assert_eq!(deep, name == "a deep TIFF", "{name}");
    }
}

#[tokio::test]
async fn a_frame_must_be_named_where_there_are_several() {
    let server = Server::start(&[]);
    let animation = include_bytes!("../fixtures/images/kinds/animated.gif").to_vec();
    let asked = async |frame: &str| server.upscale(&format!("scale=2&model=bicubic{frame}"), animation.clone()).await;
    let document = refused(asked("").await, 415, "unsupported_image").await;
    assert!(document["detail"].as_str().is_some_and(|detail| detail.contains("5 frames")), "{document}");
    let document = refused(asked("&frame=5").await, 400, "invalid_parameter").await;
    assert_eq!(document["errors"][0]["parameter"], "frame", "{document}");
    let first = asked("&frame=0").await;
    assert_eq!(first.status(), 200);
    let second = asked("&frame=1").await;
    assert_ne!(first.headers()["etag"], second.headers()["etag"]);
    assert_ne!(first.bytes().await.expect("a body"), second.bytes().await.expect("a body"));
}

#[tokio::test]
async fn bare_and_in_a_form_under_any_type_it_is_the_same_image() {
    let server = Server::start(&[]);
    let sent = png(&drawing(33, 21));
    let bare = server.upscale("scale=2", sent.clone()).await.bytes().await.expect("a body");
    for content_type in ["image/png", "image/jpeg", "application/octet-stream", "application/x-www-form-urlencoded"] {
        let request = server.post("/v1/upscale?scale=2", sent.clone()).header("content-type", content_type);
        let body = request.send().await.expect("an answer").bytes().await.expect("a body");
        assert!(body == bare, "{content_type}: the type is read from the bytes");
    }
    for field in ["image", "file", "image_file"] {
        let form = Form::new().part(field, Part::bytes(sent.clone()).file_name("photo.jpg"));
        let request = server.client.post(server.url("/v1/upscale?scale=2")).multipart(form);
        let body = request.send().await.expect("an answer").bytes().await.expect("a body");
        assert!(body == bare, "{field}");
    }
}

#[tokio::test]
async fn the_self_ensemble_runs_each_tile_eight_times() {
    let server = Server::start(&[]);
    let sent = png(&noise(50, 40));
    let once = server.upscale("scale=2", sent.clone()).await;
    let often = server.upscale("scale=2&ensemble=true", sent).await;
    assert_eq!(once.headers()["x-upscale-tiles"], "1");
    assert_eq!(often.headers()["x-upscale-tiles"], "8");
    // Bicubic is the same in all eight orientations, so the average is what it was.
    let (once, often) = (image(once).await, image(often).await);
    assert!(once.iter().zip(often.iter()).all(|(a, b)| a.abs_diff(*b) <= 1));
}

#[tokio::test]
async fn a_large_answer_streams_and_is_whole() {
    let server = Server::start(&[]);
    let response = server.upscale("scale=4", png(&noise(400, 300))).await;
    assert!(!response.headers().contains_key("content-length"), "it left before it was whole");
    assert_eq!(image(response).await.dimensions(), (1600, 1200));
    let small = server.upscale("scale=2", png(&noise(20, 20))).await;
    let length = small.headers()["content-length"].to_str().expect("text").to_owned();
    assert_eq!(small.bytes().await.expect("a body").len().to_string(), length);
}
