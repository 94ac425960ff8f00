//! `GET /`: a page to try the service in a browser, and the files it is made of.
//!
//! Everything comes from the binary, nothing from elsewhere, and the policy in [`page`] holds the browser to that.

use axum::extract::Path;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};

use super::docs;
use super::problem::Problem;

/// Scripts and styles from here alone; pictures also from the page's own memory, for previews of uploads and answers.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Files that pages refer to: name, media type, content.
const ASSETS: [(&str, &str, &str); 5] = [
    ("style.css", "text/css; charset=utf-8", include_str!("assets/style.css")),
    ("playground.js", "text/javascript; charset=utf-8", include_str!("assets/playground.js")),
    ("docs.css", "text/css; charset=utf-8", include_str!("assets/docs.css")),
    ("docs.js", "text/javascript; charset=utf-8", include_str!("assets/docs.js")),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];

/// The playground.
pub async fn playground() -> Response {
    page(include_str!("assets/playground.html").into())
}

/// A page under the policy.
pub fn page(html: axum::body::Bytes) -> Response {
    let headers: [(HeaderName, &str); 4] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        // A new version of the binary must be seen at once; the pages are small.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, html).into_response()
}

/// `GET /assets/{name}`.
pub async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    let Some((_, media_type, content)) = ASSETS.iter().find(|(known, _, _)| *known == name) else {
        return docs::swagger_ui(&name).await;
    };
    Ok(([(header::CONTENT_TYPE, *media_type), (header::CACHE_CONTROL, "no-cache")], *content).into_response())
}
