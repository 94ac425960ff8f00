//! The bytes of an upload, read under a limit, a clock and a budget shared by all uploads.
//!
//! Whether the image comes bare or in a form, the limit counts what comes over the wire, as it comes. An upload that
//! is refused half-way is read on for a moment and thrown away ([`Upload::drain_body`]): closing a connection on which the
//! client still sends makes its kernel discard the answer unread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use bytes::BytesMut;
use futures::StreamExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::observe::Record;
use super::problem::{Code, Problem};

mod form;

pub use form::FIELDS;

/// Other content types that are read as a bare image: unknown bytes, and what `curl --data-binary` sends unasked.
const UNTYPED: [&str; 3] = ["application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"];

/// A refused upload is read on for at most this long; the answer has left by then.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Room for the bytes of uploads being read.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    held: AtomicU64,
}

impl Budget {
    /// Room for this many bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, held: AtomicU64::new(0) })
    }

    /// Bytes of all uploads being read at most.
    pub fn limit(&self) -> u64 {
        self.limit
    }
}

/// What one upload holds of the budget; dropping it gives it back.
#[derive(Debug)]
pub struct Held {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Held {
    fn grow(&mut self, bytes: u64) -> Result<(), Problem> {
        let Budget { limit, held } = &*self.budget;
        let before = held.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before + bytes <= *limit {
            return Ok(());
        }
        let detail = format!(
            "uploads under way hold {before} of {limit} bytes; try again in {} s, or send fewer at a time",
            DRAIN_TIME.as_secs()
        );
        Err(Problem::new(Code::MemoryFull, detail)
            .exceeding("upload_bytes", *limit, before + bytes)
            .retry_after(DRAIN_TIME))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// How the image is wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyEncoding {
    /// The body is the image.
    Bare,
    /// The body is a form with this boundary.
    Form(String),
}

impl BodyEncoding {
    /// Reads the headers for it. A body that is announced as anything but an image is refused unread;
    /// the kind of image is in its bytes alone.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let encoding = text(headers, header::CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            let detail = "the body must not be compressed once more; send the image without Content-Encoding";
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
        let Some(content_type) = text(headers, header::CONTENT_TYPE) else { return Ok(Self::Bare) };
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence.is_empty() || essence.starts_with("image/") || UNTYPED.contains(&essence.as_str()) {
            return Ok(Self::Bare);
        }
        if essence == "multipart/form-data" {
            return multer::parse_boundary(content_type)
                .map(Self::Form)
                .map_err(|_| Problem::new(Code::InvalidForm, "the Content-Type of the form names no boundary"));
        }
        let detail = format!(
            "the Content-Type is '{}'; send image/*, application/octet-stream or multipart/form-data",
            essence.escape_default()
        );
        Err(Problem::new(Code::UnsupportedMediaType, detail))
    }
}

/// Lets a request go that is refused by its head alone, and reads on for a moment so that the refusal arrives.
pub fn drain_body(request: Request) {
    if !request.headers().contains_key(header::EXPECT) {
        drain_stream(request.into_body().into_data_stream());
    }
}

fn drain_stream(mut body: BodyDataStream) {
    tokio::spawn(timeout(DRAIN_TIME, async move { while let Some(Ok(_)) = body.next().await {} }));
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// An upload on its way in.
#[derive(Debug)]
pub struct Upload {
    body: BodyDataStream,
    announced: Option<u64>,
    expects_continue: bool,
    limit: u64,
    time: Duration,
    until: Instant,
    received: u64,
    held: Held,
    record: Arc<Record>,
}

impl Upload {
    /// Starts the clock; reads nothing yet.
    pub fn new(
        body: Body,
        headers: &HeaderMap,
        limit: usize,
        time: Duration,
        budget: &Arc<Budget>,
        record: Arc<Record>,
    ) -> Self {
        Self {
            body: body.into_data_stream(),
            announced: text(headers, header::CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            expects_continue: headers.contains_key(header::EXPECT),
            limit: limit as u64,
            time,
            until: Instant::now() + time,
            received: 0,
            held: Held { budget: Arc::clone(budget), bytes: 0 },
            record,
        }
    }

    /// Refuses what is announced as too large, before the client is asked to go on.
    pub fn check_announced(&self) -> Result<(), Problem> {
        self.announced.map_or(Ok(()), |length| self.within_limit(length))
    }

    /// The image: all of the body, or the one file in the form.
    pub async fn read(&mut self, encoding: &BodyEncoding) -> Result<Bytes, Problem> {
        let bytes = match encoding {
            BodyEncoding::Bare => self.read_whole().await?,
            BodyEncoding::Form(boundary) => form::image(self, boundary).await?,
        };
        if bytes.is_empty() {
            return Err(images::CodecError::Empty.into());
        }
        Ok(bytes)
    }

    /// What was read is held until this is dropped.
    pub fn into_held(self) -> Held {
        self.held
    }

    /// Reads on for a moment in the background, so that the refusal arrives.
    pub fn drain_body(self) {
        // A client that waits for "100 Continue" has sent nothing yet, and must not be asked to.
        if !(self.expects_continue && self.received == 0) {
            drain_stream(self.body);
        }
    }

    async fn read_whole(&mut self) -> Result<Bytes, Problem> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.next().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// The next piece, or what ends the upload early.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        match timeout_at(self.until, self.body.next()).await {
            Err(_) => Err(Problem::new(
                Code::UploadTimeout,
                format!(
                    "the upload was not complete after {} s ({} bytes had come); send it faster, or send less",
                    self.time.as_secs_f64(),
                    self.received
                ),
            )
            .exceeding("body_timeout_seconds", self.time, self.time)),
            Ok(None) => Ok(None),
            Ok(Some(Err(_))) => {
                let detail =
                    format!("the upload broke off or is malformed after {} bytes; send it again", self.received);
                Err(Problem::new(Code::BrokenUpload, detail))
            }
            Ok(Some(Ok(chunk))) => {
                self.received += chunk.len() as u64;
                self.record.received(chunk.len());
                self.within_limit(self.received)?;
                self.held.grow(chunk.len() as u64)?;
                Ok(Some(chunk))
            }
        }
    }

    fn within_limit(&self, bytes: u64) -> Result<(), Problem> {
        if bytes <= self.limit {
            return Ok(());
        }
        let detail =
            format!("the upload has {bytes} bytes or more, over the limit of {}; send a smaller file", self.limit);
        Err(Problem::new(Code::BodyTooLarge, detail).exceeding("body_bytes", self.limit, bytes))
    }
}

#[cfg(test)]
mod tests;
