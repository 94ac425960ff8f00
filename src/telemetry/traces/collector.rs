//! The way to the collector: one plain HTTP request for each hand-over, a few a minute.
//!
//! The clients that the exporter's crate offers bring TLS or a pool of connections along; what is needed is a POST, and
//! hyper is here. TLS is for an agent beside the server, as it is for what comes in.
//!
//! A collector that is away is told in the log once, and then once a minute with how often it failed since.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, Response, Uri, header};
use bytes::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

/// Time for one hand-over, the standard's default.
const TIME: Duration = Duration::from_secs(10);
/// Bytes of the collector's answer at most; a few are usual.
const ANSWER_BYTES: usize = 64 << 10;
/// The log tells of failures no more often.
const QUIET: Duration = Duration::from_secs(60);

/// A client for the exporter, which runs on a thread of its own without a runtime.
#[derive(Debug)]
pub(super) struct Collector {
    runtime: Handle,
    complaints: Mutex<Complaints>,
}

impl Collector {
    /// Sends on this runtime.
    pub(super) fn new(runtime: Handle) -> Self {
        Self { runtime, complaints: Mutex::default() }
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // A timer can only be made on the runtime, and this thread is not of it.
        let answer = match self.runtime.spawn(async { timeout(TIME, post(request)).await }).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(format!("no answer within {} s", TIME.as_secs()).into()),
            // The server ends; that is no failure of the collector.
            Err(cut_off) => return Err(cut_off.into()),
        };
        let failure = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        let said =
            self.complaints.lock().unwrap_or_else(PoisonError::into_inner).hear(failure.is_some(), Instant::now());
        match said {
            Some(Said::Failing(failures)) => {
                let cause = failure.unwrap_or_default();
                warn!(cause, failures, "the collector takes no spans; requests are served all the same");
            }
            Some(Said::Well) => info!("the collector takes spans again"),
            None => {}
        }
        answer
    }
}

impl HttpClient for Collector {
    // As `async_trait` writes it, which the trait is made with.
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.send(request))
    }
}

async fn post(request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().ok_or("the URL has no host")?.clone();
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    parts.uri = parts.uri.path_and_query().map_or_else(Uri::default, |path| path.clone().into());
    parts.headers.insert(header::HOST, HeaderValue::from_str(authority.as_str())?);
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let answer = sender.send_request(Request::from_parts(parts, Body::from(body))).await?;
    let (parts, body) = answer.into_parts();
    let body = to_bytes(Body::new(body), ANSWER_BYTES).await?;
    connection.abort();
    Ok(Response::from_parts(parts, body))
}

/// What the log should be told.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// So many failures since it was told last.
    Failing(u64),
    /// The first success after failures.
    Well,
}

#[derive(Debug, Default)]
struct Complaints {
    told: Option<Instant>,
    since: u64,
}

impl Complaints {
    fn hear(&mut self, failed: bool, now: Instant) -> Option<Said> {
        if !failed {
            self.since = 0;
            return self.told.take().map(|_| Said::Well);
        }
        self.since += 1;
        if self.told.is_some_and(|told| now.duration_since(told) < QUIET) {
            return None;
        }
        self.told = Some(now);
        Some(Said::Failing(std::mem::take(&mut self.since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_once_a_minute_and_their_end_once() {
        let (mut complaints, begin) = (Complaints::default(), Instant::now());
        let mut hear = |failed, seconds| complaints.hear(failed, begin + Duration::from_secs(seconds));
        assert_eq!(hear(false, 0), None, "nothing was wrong");
        assert_eq!(hear(true, 1), Some(Said::Failing(1)));
        assert_eq!(hear(true, 2), None);
        assert_eq!(hear(true, 60), None);
        assert_eq!(hear(true, 61), Some(Said::Failing(3)));
        assert_eq!(hear(true, 62), None);
        assert_eq!(hear(false, 63), Some(Said::Well));
        assert_eq!(hear(false, 64), None);
        assert_eq!(hear(true, 65), Some(Said::Failing(1)));
    }
}
