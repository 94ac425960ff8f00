//! `GET /`, a page to try the service in a browser; `GET /docs`, the contract to read and try; and their files.
//!
//! `/docs` is Swagger UI, which reads /openapi.yaml, so that there is one text and not two. Everything comes from the
//! binary, nothing from elsewhere, and the policy in [`page`] holds the browser to that.

use std::sync::LazyLock;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use swagger_ui_dist::{ApiDefinition, OpenApiSource};
use tower::ServiceExt;

use super::problem::Problem;

/// Scripts and styles from here alone; images also from the page's own memory, for previews of uploads and answers.
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

/// Files of Swagger UI that the page refers to. The crate has more, among them a page with a script that the policy
/// forbids.
const SWAGGER_UI: [&str; 2] = ["swagger-ui.css", "swagger-ui-bundle.js"];

/// Swagger UI's files, below `/assets`.
static FILES: LazyLock<Router> = LazyLock::new(|| {
    swagger_ui_dist::generate_routes(ApiDefinition {
        uri_prefix: "/assets",
        api_definition: OpenApiSource::Uri("/openapi.yaml"),
        title: None,
    })
});

/// The playground.
pub async fn playground() -> Response {
    page(include_str!("assets/playground.html").into())
}

/// The contract.
pub async fn docs() -> Response {
    page(include_str!("assets/docs.html").into())
}

/// A page under the policy.
fn page(html: Bytes) -> Response {
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
        return swagger_ui(&name).await;
    };
    Ok(([(header::CONTENT_TYPE, *media_type), (header::CACHE_CONTROL, "no-cache")], *content).into_response())
}

/// A file of Swagger UI.
async fn swagger_ui(name: &str) -> Result<Response, Problem> {
    let path = SWAGGER_UI.iter().find(|known| **known == name).map(|known| format!("/assets/{known}"));
    let request =
        path.and_then(|path| Request::get(path).body(Body::empty()).ok()).ok_or_else(Problem::no_such_path)?;
    let Ok(mut response) = FILES.clone().oneshot(request).await;
    // Nearly two megabytes; they change with a version of the crate.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=86400"));
    Ok(response)
}
