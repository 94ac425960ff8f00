//! Colors, transparency and notes over the port: what was done and what was ignored is in the headers.

use crate::support::{Server, drawing, png};

const NOTES: &[u8] = include_bytes!("../fixtures/images/notes.jpg");

fn headers(response: &reqwest::Response) -> [Option<&str>; 2] {
    ["x-upscale-conversions", "x-upscale-warnings"].map(|name| response.headers().get(name)?.to_str().ok())
}

#[tokio::test]
async fn what_was_done_and_ignored_is_reported_by_upscale_and_by_plan() {
    let server = Server::start(&[]);
    let plain = server.upscale("scale=2", png(&drawing(9, 9))).await;
    assert_eq!((plain.status().as_u16(), headers(&plain)), (200, [None, None]), "nothing done is nothing said");

    let done = "orientation-applied, density-scaled, metadata-dropped";
    assert_eq!(headers(&server.upscale("scale=2", NOTES.to_vec()).await), [Some(done), None]);
    let all = server.upscale("scale=2&metadata=all&density=keep", NOTES.to_vec()).await;
    assert_eq!(headers(&all), [Some("orientation-applied, metadata-dropped"), None], "a comment has no place");
    let plan: serde_json::Value =
        server.post("/v1/plan?scale=2", NOTES.to_vec()).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(plan["conversions"], serde_json::json!(done.split(", ").collect::<Vec<_>>()));

    // An RGB profile in a gray file.
    let unfit = include_bytes!("../fixtures/images/profile-gray.jpg").to_vec();
    assert_eq!(headers(&server.upscale("scale=2", unfit).await), [None, Some("profile-mismatch")]);
}

#[tokio::test]
async fn transparency_in_a_jpeg_is_laid_over_the_background_and_said() {
    let server = Server::start(&[]);
    let mut clear = std::io::Cursor::new(Vec::new());
    let image = image::RgbaImage::from_pixel(8, 8, image::Rgba([255, 0, 0, 0]));
    image.write_to(&mut clear, image::ImageFormat::Png).expect("memory");
    let clear = clear.into_inner();
    for (query, reported, color) in
        [("", "#ffffff", [255, 255, 255]), ("&background=%230064c8", "#0064c8", [0, 100, 200])]
    {
        let answer = server.upscale(&format!("scale=2&format=jpeg{query}"), clear.clone()).await;
        let expected = format!("alpha-flattened;background=\"{reported}\"");
        assert_eq!(headers(&answer), [Some(expected.as_str()), None]);
        let body = answer.bytes().await.expect("a body");
        let pixel = image::load_from_memory(&body).expect("a JPEG").to_rgb8().get_pixel(8, 8).0;
        assert!(pixel.iter().zip(color).all(|(a, b): (&u8, u8)| a.abs_diff(b) <= 2), "{pixel:?}");
    }
}

#[tokio::test]
async fn wrong_words_are_refused_by_name() {
    let server = Server::start(&[]);
    for (query, parameter) in [
        ("icc=adobe", "icc"),
        ("alpha=drop", "alpha"),
        ("background=white", "background"),
        ("background=%23fff", "background"),
        ("metadata=some", "metadata"),
        ("density=300", "density"),
    ] {
        let answer = server.upscale(query, png(&drawing(4, 4))).await;
        assert_eq!(answer.status(), 400, "{query}");
        let problem: serde_json::Value = answer.json().await.expect("JSON");
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{query}");
    }
}
