//! A form with one file, cut out of a body that is there as a whole.
//!
//! A parser that is fed while the pieces come looks through what it has again at every piece, which costs a client
//! that sends many small ones nothing and the server a core. Here each byte is looked at once: `multer` reads the few
//! lines before a file, whose length is bounded, and the file itself is a slice of the body.

use std::convert::Infallible;

use axum::body::Bytes;
use futures::stream;
use memchr::memmem;

use super::FIELDS;
use crate::http::problem::{Code, Problem};
use crate::http::request;

/// The first boundary must begin, and the header of a part be over, within this many bytes.
pub(super) const HEAD: usize = 8 << 10;

const HEADER_END: &[u8] = b"\r\n\r\n";

/// The one file in the form.
pub(super) async fn picture(body: &Bytes, boundary: &str) -> Result<Bytes, Problem> {
    let delimiter = format!("\r\n--{boundary}");
    let mut picture: Option<(String, Bytes)> = None;
    let mut rest = after_first(body, &delimiter)?;
    while !rest.starts_with(b"--") {
        let head = memmem::find(&rest[..rest.len().min(HEAD)], HEADER_END).ok_or_else(|| {
            if rest.len() < HEAD {
                unended()
            } else {
                broken(&format!("a part of the form has a header of more than {HEAD} bytes"))
            }
        })?;
        let name = name(&rest.slice(..head), boundary).await?;
        if !FIELDS.contains(&name.as_str()) {
            return Err(Problem::new(
                Code::InvalidForm,
                format!(
                    "the form has a field '{}'; send one file in {}, and every parameter in the query",
                    request::shown(&name),
                    FIELDS.join(" or ")
                ),
            ));
        }
        if let Some((first, _)) = &picture {
            let detail = format!("the form has files in '{first}' and in '{name}'; send exactly one");
            return Err(Problem::new(Code::InvalidForm, detail));
        }
        let content = rest.slice(head + HEADER_END.len()..);
        let end = memmem::find(&content, delimiter.as_bytes()).ok_or_else(unended)?;
        picture = Some((name, content.slice(..end)));
        rest = content.slice(end + delimiter.len()..);
    }
    picture.map(|(_, bytes)| bytes).ok_or_else(|| {
        Problem::new(Code::InvalidForm, format!("the form has no file; send one in {}", FIELDS.join(" or ")))
    })
}

/// What follows the first boundary. It begins the body, or a line after words that nobody reads.
fn after_first(body: &Bytes, delimiter: &str) -> Result<Bytes, Problem> {
    let first = delimiter.trim_start();
    if body.starts_with(first.as_bytes()) {
        return Ok(body.slice(first.len()..));
    }
    let most = body.len().min(HEAD + delimiter.len());
    let at = memmem::find(&body[..most], delimiter.as_bytes()).ok_or_else(|| {
        if body.len() > most {
            broken(&format!("the form does not begin with its boundary, nor has it within {HEAD} bytes"))
        } else {
            unended()
        }
    })?;
    Ok(body.slice(at + delimiter.len()..))
}

/// The name of the field with this header: it is read as that of a form with nothing else in it.
async fn name(head: &[u8], boundary: &str) -> Result<String, Problem> {
    let alone = [b"--", boundary.as_bytes(), head, HEADER_END, b"\r\n--", boundary.as_bytes(), b"--\r\n"].concat();
    let mut form = multer::Multipart::new(stream::iter([Ok::<_, Infallible>(alone)]), boundary);
    let field = form.next_field().await;
    let field = field.map_err(|_| broken("a part of the form has a header that cannot be read"))?;
    Ok(field.and_then(|field| field.name().map(str::to_owned)).unwrap_or_default())
}

fn unended() -> Problem {
    broken("the form ends before its last boundary")
}

fn broken(what: &str) -> Problem {
    Problem::new(Code::InvalidForm, format!("{what}; send it again as multipart/form-data with one file"))
}
