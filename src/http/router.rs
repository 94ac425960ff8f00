//! Which paths there are, and what every request passes through.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::error;

use super::auth::Gate;
use super::observe::{REQUEST_ID, observe};
use super::problem::{Code, Problem};
use super::upload::Budget;
use super::{App, auth, docs, health, host, models, pages, plan, upscale};
use crate::telemetry::Metrics;
use crate::telemetry::traces::TRACEPARENT;

/// One path and its one method.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// `GET` or `POST`; `HEAD` comes with `GET`.
    pub method: &'static str,
    /// As in the document; `{name}` stands for one segment.
    pub path: &'static str,
    /// Asks for an API key, if the server has some.
    pub keyed: bool,
    service: fn() -> MethodRouter<App>,
}

const fn keyed(method: &'static str, path: &'static str, service: fn() -> MethodRouter<App>) -> Route {
    Route { method, path, keyed: true, service }
}

const fn open(method: &'static str, path: &'static str, service: fn() -> MethodRouter<App>) -> Route {
    Route { method, path, keyed: false, service }
}

/// Where metrics are served: on a port of their own if one is set.
const METRICS: Route = open("GET", "/metrics", || get(health::metrics));

/// Every path there is. Router, metric labels and the test of the document are all made from this table.
pub const ROUTES: [Route; 11] = [
    keyed("POST", "/v1/upscale", || post(upscale::upscale)),
    keyed("POST", "/v1/plan", || post(plan::plan)),
    keyed("GET", "/v1/models", || get(models::models)),
    keyed("GET", "/v1/limits", || get(models::limits)),
    open("GET", "/health/live", || get(health::live)),
    open("GET", "/health/ready", || get(health::ready)),
    METRICS,
    open("GET", "/openapi.yaml", || get(docs::openapi)),
    open("GET", "/docs", || get(pages::docs)),
    open("GET", "/assets/{name}", || get(pages::asset)),
    open("GET", "/", || get(pages::playground)),
];

/// The outermost layer, with the matched path as its label: one of the table, so that no client can invent labels.
async fn observed(State(app): State<App>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = ROUTES.iter().map(|route| route.path).find(|path| Some(*path) == matched).unwrap_or("other");
    observe(app, route, request, next).await
}

/// The whole service; without metrics if they have a port of their own.
pub fn build(app: App) -> Router {
    let metrics_elsewhere = app.settings.http.metrics_listen.is_some();
    let here = ROUTES.iter().filter(|route| !(metrics_elsewhere && route.path == METRICS.path));
    let gate = Gate::new(app.settings.api_keys.clone());
    layered(routed(here, &gate), app)
}

/// The port for metrics alone.
pub fn metrics_router(app: App) -> Router {
    layered(Router::new().route(METRICS.path, (METRICS.service)()), app)
}

fn routed<'a>(routes: impl Iterator<Item = &'a Route>, gate: &Gate) -> Router<App> {
    routes.fold(Router::new(), |router, route| {
        let service = (route.service)();
        // On the route itself, not by comparing paths: what reaches the handler has passed the gate.
        let key = || middleware::from_fn_with_state(gate.clone(), auth::check);
        router.route(route.path, if route.keyed { service.route_layer(key()) } else { service })
    })
}

/// The layers, from the inside out. Each sees what the ones within it made.
pub(super) fn layered(router: Router<App>, app: App) -> Router {
    let budget = Budget::new(app.settings.upload_bytes);
    let metrics = Arc::clone(&app.metrics);
    let router = router
        .fallback(|| async { Problem::no_such_path() })
        .method_not_allowed_fallback(method_not_allowed)
        // `upload` counts bytes itself: axum's limit would answer with a text of its own.
        .layer(DefaultBodyLimit::disable())
        .layer(Extension(budget))
        // Within everything that writes headers, so that the answer to a panic has them too.
        .layer(CatchPanicLayer::custom(move |payload: Box<dyn Any + Send>| panicked(&*payload, &metrics)));
    let router = match cors(app.settings.http.cors_origins.as_deref().unwrap_or_default()) {
        // Outside of what may refuse: a page may read the problem only if it carries the headers as well. It answers
        // preflights itself, and they too shall be seen by what follows.
        Some(cors) => router.layer(cors),
        None => router,
    };
    router
        // Before anything acts on it.
        .layer(middleware::from_fn(host::check))
        // Outermost: nothing may go unseen, and it writes the body of every problem made further in.
        .layer(middleware::from_fn_with_state(app.clone(), observed))
        .with_state(app)
}

/// CORS for the configured origins; `config` has checked them.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let shown = [
        HeaderName::from_static(REQUEST_ID),
        HeaderName::from_static(TRACEPARENT),
        upscale::MODEL,
        upscale::TILES,
        upscale::TIMING,
        header::ETAG,
        header::RETRY_AFTER,
        header::CONTENT_LENGTH,
    ];
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            HeaderName::from_static(REQUEST_ID),
            HeaderName::from_static(TRACEPARENT),
            HeaderName::from_static("tracestate"),
        ])
        .expose_headers(shown)
        .max_age(Duration::from_hours(1));
    Some(layer)
}

async fn method_not_allowed(request: Request) -> Problem {
    let method: String = request.method().as_str().chars().take(32).flat_map(char::escape_default).collect();
    Problem::new(
        Code::MethodNotAllowed,
        format!("this path does not take {method}; the Allow header lists what it takes"),
    )
}

/// The message of a panic is for the log: it may name anything.
fn panicked(payload: &(dyn Any + Send), metrics: &Metrics) -> Response {
    let message = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    error!(message, "a handler panicked");
    metrics.panics.with_label_values(&["http"]).inc();
    Problem::internal().into_response()
}
