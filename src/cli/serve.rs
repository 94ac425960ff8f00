//! The HTTP server, from its first line of log to its drain.
//!
//! The port is bound first, then models load, then work is taken. A first SIGTERM (or Ctrl-C, or SIGHUP) ends it in steps:
//! 1. not ready any more, but still serving, for `--drain-grace`: load balancers take notice;
//! 2. new requests are answered 503; those under way go on, uploads included, until they are done or the cap is met;
//! 3. the port closes, the workers stop.
//!
//! A second signal skips to step 3. The exit code is 0 if no request was cut off.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use inference::registry::ModelChoice;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::failure::Failure;
use super::health::reachable;
use super::signals::Signals;
use super::{runtime, start};
use crate::config::{Machine, ServeArgs, Settings, variable};
use crate::http::connections::Connections;
use crate::http::service_switch::ServiceSwitch;
use crate::http::{App, Phase, router};
use crate::pipeline::Pipeline;
use crate::pipeline::selection::candidates;
use crate::telemetry::Metrics;
use crate::telemetry::traces::Traces;

/// At the end: time for the last 503 to be read.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// At the end: time for the workers to finish the batch they run.
const LAST_BATCH: Duration = Duration::from_secs(10);
/// At the end: time to hand over what was traced last.
const LAST_SPANS: Duration = Duration::from_secs(3);
/// A photograph of this repository, so that the line to paste works where it is pasted.
const SAMPLE: &str = "docs/sample/astronaut.jpg";

/// Serves until a signal ends it.
pub fn run(args: &ServeArgs) -> Result<ExitCode, Failure> {
    let settings = Arc::new(args.settings(&Machine::here())?);
    runtime::block_on(serve(settings))?
}

async fn serve(settings: Arc<Settings>) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new().map_err(|e| Failure::Other(format!("signals cannot be received: {e}")))?;
    let server = Server::bind(settings).await?;
    info!(address = %server.address, "the port is bound; loading the models");

    let (engine, metrics) = (server.settings.engine.clone(), Arc::clone(&server.metrics));
    let pipeline = tokio::select! {
        started = spawn_blocking(move || start::start(&engine, metrics)) => {
            started.map_err(|e| Failure::Other(format!("loading the models failed: {e}")))??
        }
        signal = signals.next() => {
            info!(signal, "ended before the models were loaded");
            return Ok(ExitCode::SUCCESS);
        }
    };
    server.open(&pipeline);
    let banner = banner(server.address, &server.settings.engine.model, &pipeline, Path::new(SAMPLE).exists());
    // Who closed our output does not want to read it; the server runs all the same.
    // Who does not read it holds up nothing but this thread.
    drop(spawn_blocking(move || std::io::stdout().write_all(banner.as_bytes())));

    let signal = signals.next().await;
    let clean = server.end(signal, &mut signals).await;
    if timeout(LAST_BATCH, spawn_blocking(move || pipeline.scheduler.stop())).await.is_err() {
        warn!(seconds = LAST_BATCH.as_secs(), "a worker did not stop; leaving it");
    }
    let traces = server.traces.clone();
    // It keeps to its time by itself; and if not, nothing waits for it.
    let _ = timeout(LAST_SPANS * 2, spawn_blocking(move || traces.end(LAST_SPANS))).await;
    info!(clean, "ended");
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Ports and state of a server, before and after its models are loaded.
struct Server {
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    traces: Traces,
    phase: Arc<Phase>,
    work: Connections,
    switch: ServiceSwitch,
    address: SocketAddr,
    /// The port for metrics, where it is another: served to the very end.
    scrape: Option<ServiceSwitch>,
}

impl Server {
    /// Takes the ports, which answer that the models load.
    async fn bind(settings: Arc<Settings>) -> Result<Self, Failure> {
        if let Some(keys) = &settings.api_keys {
            info!(keys = keys.count(), "paths under /v1 ask for an API key");
        }
        let traces = Traces::start(settings.traces.as_ref())
            .map_err(|what| Failure::Other(format!("traces cannot be sent: {what}; see the OTEL_* variables")))?;
        let (metrics, phase) = (Arc::new(Metrics::new()), Arc::new(Phase::default()));
        let connections = || {
            Connections::new(settings.http.header_timeout, settings.http.write_timeout, metrics.unread_answers.clone())
        };
        let (listener, address) = listen("--listen", settings.http.listen).await?;
        let scrape = match settings.http.metrics_listen {
            Some(wanted) => {
                let (listener, address) = listen("--metrics-listen", wanted).await?;
                info!(%address, "metrics have a port of their own");
                let switch = ServiceSwitch::new();
                tokio::spawn(connections().accept(listener, switch.clone()));
                Some(switch)
            }
            None => None,
        };
        let (work, switch) = (connections(), ServiceSwitch::new());
        tokio::spawn(work.clone().accept(listener, switch.clone()));
        Ok(Self { settings, metrics, traces, phase, work, switch, address, scrape })
    }

    /// Everything is warm: work is taken.
    fn open(&self, pipeline: &Arc<Pipeline>) {
        self.phase.ready.store(true, Ordering::Release);
        self.metrics.ready.set(1);
        let app = App {
            pipeline: Arc::clone(pipeline),
            settings: Arc::clone(&self.settings),
            metrics: Arc::clone(&self.metrics),
            traces: self.traces.clone(),
            phase: Arc::clone(&self.phase),
        };
        if let Some(scrape) = &self.scrape {
            scrape.open(router::metrics_router(app.clone()));
        }
        self.switch.open(router::build(app));
    }

    /// From the first signal to the closed port; whether every request was answered to its last byte.
    async fn end(&self, signal: &'static str, signals: &mut Signals) -> bool {
        let begun = Instant::now();
        self.phase.stopping.store(true, Ordering::Release);
        self.metrics.ready.set(0);
        info!(signal, grace_seconds = self.settings.http.drain_grace.as_secs_f64(), "ending: not ready any more");
        let again = tokio::select! {
            () = sleep_until(begun + self.settings.http.drain_grace) => None,
            signal = signals.next() => Some(signal),
        };
        self.phase.draining.store(true, Ordering::Release);

        info!(requests = self.metrics.inflight_requests.get(), "draining: new requests are refused");
        let finished = if let Some(signal) = again {
            Err(signal)
        } else {
            tokio::select! {
                () = self.work.finish() => Ok(()),
                () = sleep_until(begun + self.settings.http.drain_cap()) => Err("--drain-cap"),
                signal = signals.next() => Err(signal),
            }
        };
        if let Err(reason) = finished {
            // Connections without a request lose nothing.
            let requests = self.metrics.inflight_requests.get();
            if requests > 0 {
                warn!(reason, requests, "requests are cut off");
                return false;
            }
        }
        self.work.close(LAST_WORDS).await;
        true
    }
}

async fn listen(flag: &str, wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let bound = async {
        let listener = TcpListener::bind(wanted).await?;
        let address = listener.local_addr()?;
        Ok::<_, std::io::Error>((listener, address))
    };
    bound.await.map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::AddrInUse => "something listens there already; end it, or choose another port",
            ErrorKind::PermissionDenied => "choose a port from 1024 up, or allow this process a lower one",
            _ => "choose an address of this machine; 0.0.0.0 is all of them",
        };
        Failure::Other(format!("cannot listen on {wanted}: {error}; {remedy} ({flag}, {})", variable(flag)))
    })
}

/// What is printed once work is taken. The first line is for programs: it has the real port where 0 was asked for.
fn banner(address: SocketAddr, model: &ModelChoice, pipeline: &Pipeline, sample: bool) -> String {
    let chosen: Vec<_> = match model {
        ModelChoice::Named(name) => vec![name.as_str()],
        ModelChoice::Auto => candidates(&pipeline.registry).iter().map(|info| info.name.as_str()).collect(),
    };
    let networks: Vec<_> =
        pipeline.registry.networks().iter().filter(|network| chosen.contains(&network.model.as_str())).collect();
    let about: Vec<_> = match model {
        ModelChoice::Named(_) => networks.iter().map(|network| format!("x{}", network.scale)).collect(),
        ModelChoice::Auto => chosen.iter().map(|&name| name.to_owned()).collect(),
    };
    let largest = networks.iter().map(|network| network.scale.factor()).filter(|&scale| scale <= 4).max().unwrap_or(1);
    let execution = networks.first().map(|network| &pipeline.executions[network.id.0]);
    let runs = execution.map(|e| format!(" on {}, {}", e.provider, e.precision)).unwrap_or_default();
    let others: Vec<_> = pipeline
        .registry
        .models()
        .iter()
        .map(|info| info.name.as_str())
        .filter(|name| !chosen.contains(name))
        .collect();
    let others = if others.is_empty() { String::new() } else { format!("; also {}", others.join(", ")) };
    let photo = if sample { SAMPLE } else { "photo.jpg" };
    let here = reachable(address);
    format!(
        "listening on http://{address}\n\
         model {model} ({}){runs}{others}\n\
         try: curl --data-binary @{photo} 'http://{here}/v1/upscale?scale={largest}' -o large.png\n",
        about.join(", ")
    )
}
