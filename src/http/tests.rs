//! The layers around every route, on a router in this process: what no client can bring about from outside.

use std::collections::HashMap;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use clap::{Args, Command, FromArgMatches};
use inference::engine::bicubic::Bicubic;
use inference::engine::{EngineSet, Execution, TileEngine};
use inference::registry::Registry;
use scheduler::Scheduler;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::*;
use crate::config::{Machine, ServeArgs};

/// A warm server of bicubic alone, with these flags.
fn app(flags: &[&str]) -> App {
    let models = tempfile::tempdir().expect("a temporary folder");
    let folder = models.path().to_str().expect("a name of letters");
    let command = ServeArgs::augment_args(Command::new("serve"));
    let typed = ["serve", "--models", folder, "--model", "bicubic"].into_iter().chain(flags.iter().copied());
    let args = ServeArgs::from_arg_matches(&command.get_matches_from(typed)).expect("flags that exist");
    let settings = args.settings(&Machine { cores: 1, memory: None }).expect("settings that are right");

    let registry = Arc::new(Registry::load(models.path(), &[]).expect("bicubic is built in"));
    let engines: EngineSet = registry
        .networks()
        .iter()
        .map(|network| (network.id, Box::new(Bicubic::new(network.scale)) as Box<dyn TileEngine>))
        .collect::<HashMap<_, _>>();
    let execution = Execution { provider: "builtin".into(), precision: "fp32".into() };
    let metrics = Arc::new(Metrics::new());
    let limits = settings.engine.scheduler.clone();
    let pipeline = Pipeline {
        executions: vec![execution; registry.networks().len()],
        scheduler: Scheduler::start(limits, vec![engines], &registry, metrics.scheduler(), Arc::new(()))
            .expect("a thread"),
        registry,
        limits: settings.engine.input,
        metrics: Arc::clone(&metrics),
        compute: Arc::new(Semaphore::new(1)),
    };
    let phase = Arc::new(Phase::default());
    phase.ready.store(true, Ordering::Release);
    App { pipeline: Arc::new(pipeline), settings: Arc::new(settings), metrics, traces: Traces::default(), phase }
}

/// A PNG of 8x8 pixels.
fn image() -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_fn(8, 8, |x, y| image::Rgb([x as u8, y as u8, 77]))
        .write_to(&mut file, image::ImageFormat::Png)
        .expect("memory takes it");
    file.into_inner()
}

async fn ask(router: &Router, method: &str, path: &str, body: impl Into<Body>) -> Response {
    let request =
        Request::builder().method(method).uri(path).header("host", "x").header("x-request-id", "r-1").body(body.into());
    router.clone().oneshot(request.expect("a request")).await.expect("a router never fails")
}

/// Status and code, once it is certain that the document is what it should be.
async fn problem(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()[header::CONTENT_TYPE], problem::MEDIA_TYPE);
    assert_eq!(response.headers()["x-request-id"], "r-1");
    let body = to_bytes(response.into_body(), 1 << 16).await.expect("a short body");
    let document: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((&document["status"], &document["request_id"]), (&status.into(), &"r-1".into()));
    (status, document["code"].as_str().expect("a code").to_owned())
}

fn requests(app: &App, route: &str, status: &str) -> u64 {
    app.metrics.requests.with_label_values(&[route, status]).get()
}

#[tokio::test]
async fn an_image_comes_back_and_is_counted() {
    let app = app(&[]);
    let router = router::build(app.clone());
    let sent = image();
    let response = ask(&router, "POST", "/v1/upscale?scale=2", sent.clone()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(app.metrics.inflight_requests.get(), 1, "until the last byte");
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    let answer = image::load_from_memory(&body).expect("an image");
    assert_eq!((answer.width(), answer.height()), (16, 16));
    assert_eq!(requests(&app, "/v1/upscale", "200"), 1);
    assert_eq!(app.metrics.inflight_requests.get(), 0);
    let bytes = |direction| app.metrics.body_bytes.with_label_values(&[direction]).get();
    assert_eq!((bytes("input"), bytes("output")), (sent.len() as u64, body.len() as u64));
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_are_problems() {
    let app = app(&[]);
    let router = router::build(app.clone());
    for path in ["/v1", "/v1/upscale/", "/nothing", "/assets/none.css"] {
        assert_eq!(problem(ask(&router, "GET", path, "").await).await, (404, "not_found".into()), "{path}");
    }
    for (method, path, allow) in [("GET", "/v1/upscale", "POST"), ("POST", "/v1/models", "GET,HEAD")] {
        let response = ask(&router, method, path, "").await;
        assert_eq!(response.headers()[header::ALLOW], allow, "{path}");
        assert_eq!(problem(response).await, (405, "method_not_allowed".into()), "{path}");
    }
    assert_eq!(requests(&app, "other", "404"), 3, "no client invents labels");
    assert_eq!(requests(&app, "/v1/upscale", "405"), 1);
}

#[tokio::test]
async fn a_panic_is_a_problem_and_no_end() {
    async fn panics() -> &'static str {
        panic!("at /secret/path in liboops.so")
    }
    let app = app(&[]);
    let router = router::layered(Router::new().route("/v1/models", get(panics)), app.clone());
    let response = ask(&router, "GET", "/v1/models", "").await;
    assert_eq!(problem(response).await, (500, "internal_error".into()));
    let again = ask(&router, "GET", "/v1/models", "").await;
    let text = to_bytes(again.into_body(), 1 << 16).await.expect("a short body");
    assert!(!String::from_utf8_lossy(&text).contains("oops"), "{text:?}");
    assert_eq!(app.metrics.panics.with_label_values(&["http"]).get(), 2);
    assert_eq!(requests(&app, "/v1/models", "500"), 2);
}

#[tokio::test]
async fn work_is_refused_before_it_is_warm_and_while_it_drains() {
    let app = app(&[]);
    let router = router::build(app.clone());
    let states: [(&dyn Fn(), &str, u16, &str); 3] = [
        (&|| app.phase.ready.store(false, Ordering::Release), "not_ready", 503, "not_ready"),
        // A signal came: no longer ready, and still at work.
        (&|| app.phase.stopping.store(true, Ordering::Release), "draining", 200, ""),
        (&|| app.phase.draining.store(true, Ordering::Release), "draining", 503, "draining"),
    ];
    for (enter, readiness, status, code) in states {
        app.phase.ready.store(true, Ordering::Release);
        enter();
        assert_eq!(problem(ask(&router, "GET", "/health/ready", "").await).await, (503, readiness.into()));
        assert_eq!(ask(&router, "GET", "/health/live", "").await.status(), StatusCode::OK);
        for path in ["/v1/upscale", "/v1/plan"] {
            let response = ask(&router, "POST", path, image()).await;
            assert_eq!(response.status().as_u16(), status, "{path}, {readiness}");
            if status == 503 {
                assert!(response.headers().contains_key(header::RETRY_AFTER));
                assert_eq!(problem(response).await.1, code, "{path}");
            }
        }
    }
    assert_eq!(app.metrics.refusals.with_label_values(&["draining"]).get(), 2, "probes are not refusals");
}

#[tokio::test]
async fn metrics_move_to_their_own_port() {
    let beside = router::build(app(&[]));
    assert_eq!(ask(&beside, "GET", "/metrics", "").await.status(), StatusCode::OK);
    let app = app(&["--metrics-listen", "127.0.0.1:0"]);
    let (main, alone) = (router::build(app.clone()), router::metrics_router(app));
    assert_eq!(problem(ask(&main, "GET", "/metrics", "").await).await.0, 404);
    assert_eq!(ask(&alone, "GET", "/metrics", "").await.status(), StatusCode::OK);
    assert_eq!(problem(ask(&alone, "GET", "/v1/models", "").await).await.0, 404);
}

#[tokio::test]
async fn a_client_that_leaves_is_status_499() {
    let app = app(&[]);
    let router = router::build(app.clone());
    // It leaves while it uploads: the server drops the handler.
    let upload =
        ask(&router, "POST", "/v1/upscale", Body::from_stream(futures::stream::pending::<std::io::Result<Vec<u8>>>()));
    let left = tokio::time::timeout(Duration::from_millis(20), upload).await;
    assert!(left.is_err(), "the upload never ends");
    assert_eq!(requests(&app, "/v1/upscale", "499"), 1);
    // It leaves while it is answered: the server drops the body.
    drop(ask(&router, "POST", "/v1/upscale", image()).await);
    assert_eq!(requests(&app, "/v1/upscale", "499"), 2);
    assert_eq!(app.metrics.inflight_requests.get(), 0);
}

#[tokio::test]
async fn cors_is_for_those_named_and_reaches_problems() {
    let router = router::build(app(&["--cors-origins", "https://shop.example"]));
    let from = async |origin: &str, method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header("host", "x").header(header::ORIGIN, origin);
        let request = request.header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST").body(Body::empty());
        router.clone().oneshot(request.expect("a request")).await.expect("a router never fails")
    };
    let allowed = |response: &Response| response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).cloned();
    let preflight = from("https://shop.example", "OPTIONS", "/v1/upscale").await;
    assert_eq!((preflight.status(), allowed(&preflight).is_some()), (StatusCode::OK, true));
    let problem = from("https://shop.example", "POST", "/v1/upscale?scale=99").await;
    assert_eq!((problem.status(), allowed(&problem).is_some()), (StatusCode::BAD_REQUEST, true));
    let exposed = problem.headers()[header::ACCESS_CONTROL_EXPOSE_HEADERS].to_str().expect("text").to_owned();
    assert!(exposed.contains("server-timing") && exposed.contains("x-upscale-model"), "{exposed}");
    assert!(allowed(&from("https://other.example", "POST", "/v1/upscale").await).is_none());

    let closed = router::build(app(&[]));
    let request = Request::get("/v1/models")
        .header("host", "x")
        .header(header::ORIGIN, "https://shop.example")
        .body(Body::empty());
    let response = closed.oneshot(request.expect("a request")).await.expect("a router never fails");
    assert!(allowed(&response).is_none(), "no CORS unless configured");
}

#[tokio::test]
async fn keys_are_asked_for_under_v1_alone() {
    let key = "0123456789abcdef";
    let app = app(&["--api-keys", key]);
    let router = router::build(app.clone());
    let with = async |method: &str, path: &str, value: &str| {
        let request = Request::builder().method(method).uri(path).header("host", "x").header("x-request-id", "r-1");
        let request = request.header(header::AUTHORIZATION, value).body(Body::from(image()));
        router.clone().oneshot(request.expect("a request")).await.expect("a router never fails")
    };
    for route in &router::ROUTES {
        let path = route.path.replace("{name}", "style.css");
        let response = ask(&router, route.method, &path, image()).await;
        assert_eq!(response.status() == StatusCode::UNAUTHORIZED, route.keyed, "{path}");
        if !route.keyed {
            continue;
        }
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], r#"Bearer realm="san-upscaler""#);
        assert_eq!(problem(response).await, (401, "unauthorized".into()), "{path}");
        assert_eq!(with(route.method, &path, &format!("Bearer {key}")).await.status(), StatusCode::OK, "{path}");
        let wrong = with(route.method, &path, "Bearer 0123456789abcdeg").await;
        let challenge = wrong.headers()[header::WWW_AUTHENTICATE].to_str().expect("text").to_owned();
        assert!(challenge.ends_with(r#"error="invalid_token""#), "{challenge}");
        assert_eq!(problem(wrong).await.0, 401);
    }
    assert_eq!(ask(&router, "HEAD", "/v1/models", "").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        app.metrics.refusals.with_label_values(&["unauthorized"]).get(),
        9,
        "4 without, 4 with a wrong one, 1 HEAD"
    );
}

#[tokio::test]
async fn a_page_from_elsewhere_may_send_a_key_and_read_the_refusal() {
    let router = router::build(app(&["--api-keys", "0123456789abcdef", "--cors-origins", "https://shop.example"]));
    let preflight = Request::builder().method("OPTIONS").uri("/v1/upscale").header("host", "x");
    let preflight = preflight.header(header::ORIGIN, "https://shop.example");
    let preflight = preflight.header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
    let preflight = preflight.header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization").body(Body::empty());
    let response = router.clone().oneshot(preflight.expect("a request")).await.expect("a router never fails");
    assert_eq!(response.status(), StatusCode::OK, "it carries no key, and needs none");
    let allowed = response.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().expect("text").to_owned();
    assert!(allowed.contains("authorization"), "{allowed}");
    let request = Request::get("/v1/models")
        .header("host", "x")
        .header(header::ORIGIN, "https://shop.example")
        .body(Body::empty());
    let response = router.oneshot(request.expect("a request")).await.expect("a router never fails");
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
}
