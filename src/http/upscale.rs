//! `POST /v1/upscale`: an image in, the upscaled one out, its bytes as they come.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use futures::stream;
use inference::engine::Execution;
use tokio::sync::mpsc;
use tracing::{Span, error};

use super::App;
use super::fidelity::{CONVERSIONS, WARNINGS, conversions, warnings};
use super::observe::Record;
use super::problem::Problem;
use super::request::{self, UpscaleRequest, Wants};
use super::upload::Budget;
use super::write_timeout::Delivery;
use crate::pipeline::plan::PlannedPass;
use crate::pipeline::{Answer, PipelineError, Plan, Timings};
use crate::telemetry::metrics::Stage;

/// Model, arithmetic and provider that made the image.
pub const MODEL: HeaderName = HeaderName::from_static("x-upscale-model");
/// Tiles that the network ran.
pub const TILES: HeaderName = HeaderName::from_static("x-upscale-tiles");
/// Stages and how long they took (W3C Server Timing).
pub const TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Bytes of the file, as they come.
type Chunks = mpsc::Receiver<Result<Bytes, PipelineError>>;

/// Handles the request. Dropping the returned future, or the body of the answer, cancels the work.
pub async fn upscale(
    State(app): State<App>,
    Extension(budget): Extension<Arc<Budget>>,
    Extension(record): Extension<Arc<Record>>,
    request: Request,
) -> Result<Response, Problem> {
    let UpscaleRequest { bytes, options, held } =
        request::receive(&app, &budget, &record, request, Wants::Image).await?;
    let answer = app.pipeline.upscale_as_planned(bytes, options, |plan| record.goes_by(plan)).await?;
    // From here on the pipeline's own budget counts the image.
    drop(held);
    respond(answer).await
}

async fn respond(answer: Answer) -> Result<Response, Problem> {
    let Answer { plan, etag, timings, length, deadline, unread, body: chunks } = answer;
    let (body, length) = match length {
        Some(length) => (whole(chunks).await?, Some(length)),
        None => (streamed(chunks), None),
    };
    let mut response = Response::new(body);
    response.extensions_mut().insert(Delivery { deadline, unread });
    let headers = response.headers_mut();
    headers.extend(length.map(|length| (header::CONTENT_LENGTH, HeaderValue::from(length))));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(plan.output_format.media_type()));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(TILES, HeaderValue::from(plan.tiles));
    insert(headers, MODEL, &model(&plan));
    for (name, text) in [(CONVERSIONS, conversions(&plan)), (WARNINGS, warnings(&plan))] {
        if let Some(text) = text {
            insert(headers, name, &text);
        }
    }
    insert(headers, TIMING, &timing(&timings));
    insert(headers, header::ETAG, &format!("\"{etag}\""));
    Ok(response)
}

/// A file that was ready before its first byte left, gathered until the pipeline has said its last word: sent as it
/// comes, the server would be content with the announced bytes and go before that. It stays in its chunks: given as
/// one, it would count as sent while all of it still waits for the client.
async fn whole(mut chunks: Chunks) -> Result<Body, PipelineError> {
    let mut file = Vec::new();
    while let Some(chunk) = chunks.recv().await {
        file.push(Ok::<_, Infallible>(chunk?));
    }
    Ok(Body::from_stream(stream::iter(file)))
}

/// A file that leaves while it is made.
fn streamed(mut chunks: Chunks) -> Body {
    let span = Span::current();
    Body::from_stream(stream::poll_fn(move |cx| {
        chunks.poll_recv(cx).map_err(|cause| {
            // The head has left: all that can still be done is to cut the connection, and to log why.
            span.in_scope(|| error!(%cause, "an answer was cut off"));
            cause
        })
    }))
}

/// A header that helps but is not worth failing an image for: model names come from files.
fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// `san-light-x4; sha256=…; provider=cpu; precision=fp32; reason="PNG, lossless"`, one after the other where several ran;
/// `none` if none did. The reason is there if the model was chosen by the file.
fn model(plan: &Plan) -> String {
    let pass = |pass: &PlannedPass| {
        let sha256 = pass.model_sha256.as_ref().map(|sha256| format!("; sha256={sha256}")).unwrap_or_default();
        let Execution { provider, precision } = &pass.execution;
        let reason = plan.reason.as_ref().map(|reason| format!("; reason=\"{reason}\"")).unwrap_or_default();
        format!("{}-x{}{sha256}; provider={provider}; precision={precision}{reason}", plan.model, pass.scale)
    };
    if plan.passes.is_empty() {
        return "none".into();
    }
    plan.passes.iter().map(pass).collect::<Vec<_>>().join(", ")
}

/// The stages that are over, in milliseconds.
fn timing(timings: &Timings) -> String {
    let stages = [
        (Stage::Decode, timings.decode, true),
        // Queue and inference are reported only once the last tile is back; until then one would lie without the other.
        (Stage::Queue, timings.queue, !timings.infer.is_zero()),
        (Stage::Infer, timings.infer, !timings.infer.is_zero()),
        (Stage::Encode, timings.encode, !timings.encode.is_zero()),
    ];
    let known = stages.iter().filter(|(_, _, known)| *known);
    let entries = known.map(|(stage, took, _)| format!("{};dur={:.3}", stage.name(), took.as_secs_f64() * 1e3));
    entries.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_ready_file_is_handed_on_in_its_chunks() {
        let (sender, chunks) = mpsc::channel(3);
        for size in [2, 2, 1] {
            sender.try_send(Ok(vec![7; size].into())).expect("there is room");
        }
        drop(sender);
        let stream = whole(chunks).await.expect("no failure").into_data_stream();
        let sizes: Vec<usize> = stream.map(|piece| piece.expect("no error").len()).collect().await;
        assert_eq!(sizes, [2, 2, 1]);
    }

    #[tokio::test]
    async fn a_ready_file_that_fails_after_all_is_an_error() {
        let (sender, chunks) = mpsc::channel(2);
        sender.try_send(Ok(vec![7].into())).expect("there is room");
        sender.try_send(Err(PipelineError::Internal("for the test".into()))).expect("there is room");
        assert!(whole(chunks).await.is_err());
    }

    #[test]
    fn only_finished_stages_are_timed() {
        let ms = Duration::from_millis;
        let mut timings = Timings { decode: ms(2), queue: ms(3), ..Timings::default() };
        assert_eq!(timing(&timings), "decode;dur=2.000");
        timings.infer = ms(40);
        timings.encode = Duration::from_micros(1500);
        assert_eq!(timing(&timings), "decode;dur=2.000, queue;dur=3.000, infer;dur=40.000, encode;dur=1.500");
    }
}
