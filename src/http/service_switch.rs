//! What the port answers: that the models still load, and from then on the service.
//!
//! The port is bound before the models are read, so that a port that is taken fails in a moment and not after the
//! models; a probe of liveness is answered meanwhile, and work is refused with a time to come again.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::observe::{REQUEST_ID, request_id};
use super::{error_mapping, health};

/// The router of the moment; cheap to clone.
#[derive(Clone, Debug)]
pub struct ServiceSwitch {
    loading: Router,
    open: Arc<OnceLock<Router>>,
}

impl ServiceSwitch {
    /// Answers that the models load.
    pub fn new() -> Self {
        let loading = Router::new().route("/health/live", get(health::live)).fallback(not_ready);
        Self { loading, open: Arc::default() }
    }

    /// From now on the service answers: on new connections at once, on others from their next request.
    ///
    /// # Panics
    /// If it is open already.
    pub fn open(&self, service: Router) {
        assert!(self.open.set(service).is_ok(), "a server opens once");
    }

    /// What answers now.
    pub fn router(&self) -> Router {
        self.open.get().unwrap_or(&self.loading).clone()
    }
}

impl Default for ServiceSwitch {
    fn default() -> Self {
        Self::new()
    }
}

async fn not_ready(request: Request) -> Response {
    let id = request_id(request.headers());
    let problem = error_mapping::not_ready();
    let document = problem.document(&id);
    let mut response = problem.into_response();
    *response.body_mut() = Body::from(document);
    let id = HeaderValue::from_str(&id).expect("request ids are ASCII letters, digits and '.', '_', '-'");
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::http::{StatusCode, header};
    use tower::ServiceExt;

    use super::*;

    async fn answer(switch: &ServiceSwitch, path: &str) -> Response {
        let request = Request::get(path).header(REQUEST_ID, "r-1").body(Body::empty()).expect("a request");
        switch.router().oneshot(request).await.expect("a router never fails")
    }

    #[tokio::test]
    async fn while_models_load_it_lives_and_is_not_ready() {
        let switch = ServiceSwitch::new();
        assert_eq!(answer(&switch, "/health/live").await.status(), StatusCode::OK);
        for path in ["/health/ready", "/v1/models", "/nothing"] {
            let response = answer(&switch, path).await;
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert!(response.headers().contains_key(header::RETRY_AFTER));
            assert_eq!(response.headers()[REQUEST_ID], "r-1");
            let body = to_bytes(response.into_body(), 4096).await.expect("a short body");
            let json: serde_json::Value = serde_json::from_slice(&body).expect("a problem document");
            assert_eq!((&json["code"], &json["request_id"]), (&"not_ready".into(), &"r-1".into()));
        }
    }

    #[tokio::test]
    async fn once_open_the_service_answers() {
        let switch = ServiceSwitch::new();
        let clone = switch.clone();
        switch.open(Router::new().route("/v1/models", get(|| async { "here" })));
        assert_eq!(answer(&clone, "/v1/models").await.status(), StatusCode::OK);
        assert_eq!(answer(&clone, "/nothing").await.status(), StatusCode::NOT_FOUND);
    }
}
