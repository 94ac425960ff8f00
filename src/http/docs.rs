//! `GET /openapi.yaml` and `GET /docs`: the contract, as a file and to read.

use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::playground;

/// The contract: the file at the root of the repository.
pub const OPENAPI: &str = include_str!("../../openapi.yaml");

/// The file.
pub async fn openapi() -> Response {
    // The type registered in RFC 9512.
    ([(header::CONTENT_TYPE, "application/yaml; charset=utf-8")], OPENAPI).into_response()
}

/// The page.
pub async fn page() -> Response {
    playground::page("docs".into())
}
