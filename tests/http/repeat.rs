//! The same request gives the same bytes, whatever runs beside it.

use reqwest::Response;

use crate::support::{Server, noise, png};

/// The tag and the bytes of an answer.
async fn answered(response: Response) -> (String, Vec<u8>) {
    assert_eq!(response.status(), 200);
    let tag = response.headers()["etag"].to_str().expect("text").to_owned();
    (tag, response.bytes().await.expect("a whole body").to_vec())
}

/// Asks for each of these three times: alone, and twice at once beside another image, whose tiles share batches.
async fn asks(server: &Server, queries: &[&str]) {
    let (sent, other) = (png(&noise(150, 90)), png(&noise(70, 140)));
    for query in queries {
        let first = answered(server.upscale(query, sent.clone()).await).await;
        let again = async || answered(server.upscale(query, sent.clone()).await).await;
        let beside = async || answered(server.upscale(query, other.clone()).await).await;
        let (one, another, two) = tokio::join!(again(), beside(), again());
        for repeated in [one, two] {
            assert_eq!(repeated.0, first.0, "{query}");
            assert!(repeated.1 == first.1, "{query}: other bytes under the same tag");
        }
        assert!(another.0 != first.0 && another.1 != first.1, "{query}");
    }
}

#[tokio::test]
async fn bicubic_gives_the_same_bytes_again() {
    let server = Server::start(&[]);
    let queries = ["scale=3.3", "scale=4&format=jpeg", "scale=2&format=webp", "width=333&format=tiff", "ensemble=true"];
    asks(&server, &queries).await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test has no settings to read it from")]
async fn a_network_gives_the_same_bytes_again() {
    match Server::of_network("srcnn").await {
        Ok(server) => asks(&server, &["scale=4", "scale=2.7&format=tiff&ensemble=true"]).await,
        Err(log) => {
            assert!(log.contains("ONNX Runtime was not found"), "{log}");
            assert!(std::env::var_os("UPSCALER_TEST_REQUIRE_RUNTIME").is_none(), "{log}");
            println!("skipped: no ONNX Runtime; run `make runtime`");
        }
    }
}
