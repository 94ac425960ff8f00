//! A form with one file, parsed as it comes: the parser is given a piece at a time and what it makes of the file is gathered, so
//! that no more is held than came over the wire. What precedes the file is bounded: the parser searches all of it again at every
//! piece, and a client that sends many small ones would cost the server a core.

use std::convert::Infallible;

use axum::body::Bytes;
use bytes::BytesMut;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::{FutureExt, StreamExt};
use multer::{Field, Multipart};

use super::Upload;
use crate::http::problem::{Code, Problem};
use crate::http::query;

/// Form fields that may hold the image.
pub const FIELDS: [&str; 3] = ["image", "file", "image_file"];

/// The content of the file must begin within this many bytes.
pub(super) const HEAD: usize = 8 << 10;

/// The one file in the form.
pub(super) async fn image(upload: &mut Upload, boundary: &str) -> Result<Bytes, Problem> {
    let mut form = Form::new(upload, boundary);
    let mut image: Option<(String, Bytes)> = None;
    while let Some(field) = form.next_field().await? {
        let name = field.name().unwrap_or_default().to_owned();
        if !FIELDS.contains(&name.as_str()) {
            return Err(invalid(format!(
                "the form has a field '{}'; send one file in {}, and every parameter in the query",
                query::shown(&name),
                FIELDS.join(" or ")
            )));
        }
        if let Some((first, _)) = &image {
            return Err(invalid(format!("the form has files in '{first}' and in '{name}'; send exactly one")));
        }
        image = Some((name, form.content(field).await?));
    }
    // What follows the last boundary is for nobody, but counts as sent.
    while upload.next().await?.is_some() {}
    let missing = || invalid(format!("the form has no file; send one in {}", FIELDS.join(" or ")));
    image.map(|(_, content)| content).ok_or_else(missing)
}

/// The parser, and what it has not been given yet.
struct Form<'a> {
    upload: &'a mut Upload,
    parser: Multipart<'static>,
    /// Into the parser, until the body has ended. Not tokio's channel: that one may hold a piece back to be fair to other tasks,
    /// which would look as if the parser wanted more.
    feed: Option<UnboundedSender<Bytes>>,
    rest: Bytes,
}

impl<'a> Form<'a> {
    fn new(upload: &'a mut Upload, boundary: &str) -> Self {
        let (feed, pieces) = unbounded();
        let parser = Multipart::new(pieces.map(Ok::<_, Infallible>), boundary);
        Self { upload, parser, feed: Some(feed), rest: Bytes::new() }
    }

    /// The next field, its header read.
    async fn next_field(&mut self) -> Result<Option<Field<'static>>, Problem> {
        let mut fed = 0;
        loop {
            if let Some(parsed) = self.parser.next_field().now_or_never() {
                return parsed.map_err(|_| broken());
            }
            if fed == HEAD {
                return Err(invalid(format!(
                    "the form has more than {HEAD} bytes before the content of a file; send shorter headers"
                )));
            }
            fed += self.feed(HEAD - fed).await?;
        }
    }

    /// All of a field's content.
    async fn content(&mut self, mut field: Field<'static>) -> Result<Bytes, Problem> {
        let mut content = BytesMut::new();
        loop {
            match field.chunk().now_or_never() {
                Some(Ok(Some(chunk))) => content.extend_from_slice(&chunk),
                Some(Ok(None)) => return Ok(content.freeze()),
                Some(Err(_)) => return Err(broken()),
                None => _ = self.feed(usize::MAX).await?,
            }
        }
    }

    /// Gives the parser a piece of so many bytes at most, or the end of the body; how many there were.
    async fn feed(&mut self, most: usize) -> Result<usize, Problem> {
        let Some(feed) = &self.feed else { return Err(broken()) };
        if self.rest.is_empty() {
            let Some(piece) = self.upload.next().await? else {
                self.feed = None;
                return Ok(0);
            };
            self.rest = piece;
        }
        let piece = self.rest.split_to(most.min(self.rest.len()));
        let length = piece.len();
        feed.unbounded_send(piece).map_err(|_| broken())?;
        Ok(length)
    }
}

fn invalid(detail: String) -> Problem {
    Problem::new(Code::InvalidForm, detail)
}

fn broken() -> Problem {
    invalid(
        "the form is malformed or ends before its last boundary; send it again as multipart/form-data with one file"
            .into(),
    )
}
