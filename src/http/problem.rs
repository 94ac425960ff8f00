//! What a client gets when there is no image: `application/problem+json` (RFC 9457).
//!
//! A [`Code`] is the stable name that programs may match on; title and status hang on it, the detail is for people
//! and may change. Handlers return a [`Problem`]; it travels as a response extension to [`super::observe`], which knows
//! the request id and writes the document. So no error can leave without its id, whichever layer made it. Which error
//! of which module becomes which code is in [`super::error_mapping`].

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use images::units::Amount;

/// Media type of every error.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The enum, its list, and what hangs on each code, so that none can be forgotten in one of them.
macro_rules! codes {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal, $status:ident, $title:literal;)+) => {
        /// Stable name of a problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])+ $variant,)+
        }

        impl Code {
            /// Every code, for the test that holds code and document together.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As in the document's `code` and in `upscaler_refusals_total{reason}`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// HTTP status.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }

            /// The problem in general, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }
        }
    };
}

codes! {
    /// A query parameter is unknown, repeated or malformed, or names what is not there.
    InvalidParameter = "invalid_parameter", BAD_REQUEST, "a parameter is not valid";
    /// No bytes came.
    EmptyBody = "empty_body", BAD_REQUEST, "the body is empty";
    /// The multipart form is broken, or does not hold exactly one image.
    InvalidForm = "invalid_form", BAD_REQUEST, "the form does not hold exactly one image";
    /// The upload broke off or is not well-formed HTTP.
    BrokenUpload = "broken_upload", BAD_REQUEST, "the upload broke off";
    /// The request names no host, or several.
    InvalidHost = "invalid_host", BAD_REQUEST, "the request does not name one host";
    /// No API key came, or a wrong one.
    Unauthorized = "unauthorized", UNAUTHORIZED, "an API key is needed";
    /// No such path.
    NotFound = "not_found", NOT_FOUND, "there is nothing at this path";
    /// The path exists, but not for this method.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "the path does not take this method";
    /// `Accept` excludes every format that can be written.
    NotAcceptable = "not_acceptable", NOT_ACCEPTABLE, "no format that can be written is acceptable";
    /// The upload took too long.
    UploadTimeout = "upload_timeout", REQUEST_TIMEOUT, "the upload took too long";
    /// More bytes than may be uploaded.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "the upload has too many bytes";
    /// The header announces more pixels than may be read or written.
    ImageTooLarge = "image_too_large", PAYLOAD_TOO_LARGE, "the image is too large";
    /// Not even an idle server could do it within its budgets.
    WorkTooLarge = "work_too_large", PAYLOAD_TOO_LARGE, "the work is more than this server takes on";
    /// The `Content-Type` or `Content-Encoding` announces what is no image.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "the body is announced as something else than an image";
    /// The bytes are no image that can be read.
    UnsupportedImage = "unsupported_image", UNSUPPORTED_MEDIA_TYPE, "the bytes are no supported image";
    /// The image has a high dynamic range.
    HdrImage = "hdr_image", UNSUPPORTED_MEDIA_TYPE, "the image has a high dynamic range";
    /// The image is broken.
    DamagedImage = "damaged_image", UNPROCESSABLE_ENTITY, "the image is damaged";
    /// Too many tiles of others wait.
    QueueFull = "queue_full", TOO_MANY_REQUESTS, "the queue is full";
    /// Requests under way hold the memory.
    MemoryFull = "memory_full", TOO_MANY_REQUESTS, "the memory budget is taken";
    /// In time on an idle server, but not behind what waits.
    QueueTooSlow = "queue_too_slow", TOO_MANY_REQUESTS, "the queue is too long for the deadline";
    /// The server failed; nothing that the client sent is to blame.
    Internal = "internal_error", INTERNAL_SERVER_ERROR, "the server failed";
    /// Models are still loading.
    NotReady = "not_ready", SERVICE_UNAVAILABLE, "the server is starting";
    /// The server is shutting down.
    Draining = "draining", SERVICE_UNAVAILABLE, "the server is shutting down";
    /// The deadline passed on the way.
    DeadlineExceeded = "deadline_exceeded", GATEWAY_TIMEOUT, "the deadline passed";
}

/// A limit that was met: its name as in `GET /v1/limits`, its value, and what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Stable name.
    pub name: &'static str,
    /// The limit.
    pub limit: Amount,
    /// What came; for an upload cut off at the limit, what had come by then.
    pub actual: Amount,
}

/// One thing that is wrong with one parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParamError {
    /// The parameter's name as it was written.
    pub parameter: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

/// Everything but the request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What it is called.
    pub code: Code,
    /// What happened this time: names the value and the remedy, never a path or a library.
    pub detail: String,
    /// The limit, where there is one.
    pub exceeded: Option<Exceeded>,
    /// Each wrong parameter, for [`Code::InvalidParameter`].
    pub errors: Vec<ParamError>,
    /// When to come again; sent as whole seconds, rounded up.
    pub retry_after: Option<Duration>,
}

/// The document as it is sent.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actual: Option<Amount>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ParamError],
}

impl Problem {
    /// A problem with its detail and nothing else.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), exceeded: None, errors: Vec::new(), retry_after: None }
    }

    /// The answer to wrong parameters, all of them at once.
    pub fn parameters(errors: Vec<ParamError>) -> Self {
        let detail = errors.iter().map(|error| error.detail.as_str()).collect::<Vec<_>>().join("; ");
        Self { errors, ..Self::new(Code::InvalidParameter, detail) }
    }

    /// The answer where no route matches.
    pub fn no_such_path() -> Self {
        Self::new(Code::NotFound, "there is nothing at this path; GET /docs lists what there is")
    }

    /// The answer to anything that went wrong inside; what it was is for the log alone.
    pub fn internal() -> Self {
        Self::new(
            Code::Internal,
            "the server could not finish this request; its log has the cause, under this request id",
        )
    }

    /// With the limit that was met.
    #[must_use]
    pub fn exceeding(self, name: &'static str, limit: impl Into<Amount>, actual: impl Into<Amount>) -> Self {
        Self { exceeded: Some(Exceeded { name, limit: limit.into(), actual: actual.into() }), ..self }
    }

    /// With a time to come again.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    /// The document, for one request.
    pub fn document(&self, request_id: &str) -> Vec<u8> {
        let document = Document {
            r#type: format!("/docs#{}", self.code.name()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: &self.detail,
            code: self.code.name(),
            request_id,
            limit_name: self.exceeded.map(|e| e.name),
            limit: self.exceeded.map(|e| e.limit),
            actual: self.exceeded.map(|e| e.actual),
            errors: &self.errors,
        };
        serde_json::to_vec(&document).expect("a struct of strings and numbers is always JSON")
    }
}

impl IntoResponse for Problem {
    /// Status and headers; the body is written by [`super::observe`], which finds the problem in the extensions.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.code == Code::UploadTimeout {
            // What may still come of this upload must not be read as the next request.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_every_status_is_an_error() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|c| c.status().is_client_error() || c.status().is_server_error()));
    }

    #[test]
    fn a_document_has_its_limit_and_leaves_out_what_it_has_not() {
        let problem = Problem::new(Code::BodyTooLarge, "too big").exceeding("body_bytes", 10_u64, 11_u64);
        let json: serde_json::Value = serde_json::from_slice(&problem.document("r-1")).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!({
                "type": "/docs#body_too_large", "title": "the upload has too many bytes", "status": 413,
                "detail": "too big", "code": "body_too_large", "request_id": "r-1",
                "limit_name": "body_bytes", "limit": 10, "actual": 11,
            })
        );
    }

    #[test]
    fn retry_after_is_whole_seconds_rounded_up_and_never_zero() {
        for (after, header_value) in [(0, "1"), (999, "1"), (1_000, "1"), (1_001, "2"), (60_000, "60")] {
            let problem = Problem::new(Code::QueueFull, "full").retry_after(Duration::from_millis(after));
            assert_eq!(problem.into_response().headers()[header::RETRY_AFTER], header_value, "{after} ms");
        }
    }
}
