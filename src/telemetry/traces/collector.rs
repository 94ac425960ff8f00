//! The client of the collector: opentelemetry-http's own on hyper, on the server's runtime. TLS is for an agent beside the
//! server, as it is for what comes in.
//!
//! A collector that fails is reported in the log once, and then once a minute with how often it failed since.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Request, Response};
use bytes::Bytes;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::{info, warn};

/// Time for one hand-over, the standard's default.
const TIME: Duration = Duration::from_secs(10);
/// Failures are logged no more often.
const QUIET: Duration = Duration::from_secs(60);

/// A client for the exporter, which runs on a thread of its own without a runtime.
#[derive(Debug)]
pub(super) struct Collector {
    runtime: Handle,
    client: HyperClient,
    complaints: Mutex<Complaints>,
}

impl Collector {
    /// Sends on this runtime.
    pub(super) fn new(runtime: Handle) -> Self {
        Self { runtime, client: HyperClient::with_default_connector(TIME, None), complaints: Mutex::default() }
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // Sockets and timers need the runtime, and this thread is not of it.
        let client = self.client.clone();
        let answer = match self.runtime.spawn(async move { client.send_bytes(request).await }).await {
            Ok(answer) => answer,
            // The server ends; that is no failure of the collector.
            Err(cut_off) => return Err(cut_off.into()),
        };
        let failure = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status())),
            Err(error) => Some(with_causes(error.as_ref())),
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

/// The error with its causes: hyper's own text names only the step that failed.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What is to be logged.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// So many failures since the last line.
    Failing(u64),
    /// The first success after failures.
    Well,
}

#[derive(Debug, Default)]
struct Complaints {
    reported: Option<Instant>,
    since: u64,
}

impl Complaints {
    fn hear(&mut self, failed: bool, now: Instant) -> Option<Said> {
        if !failed {
            self.since = 0;
            return self.reported.take().map(|_| Said::Well);
        }
        self.since += 1;
        if self.reported.is_some_and(|reported| now.duration_since(reported) < QUIET) {
            return None;
        }
        self.reported = Some(now);
        Some(Said::Failing(std::mem::take(&mut self.since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_reported_once_a_minute_and_their_end_once() {
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
