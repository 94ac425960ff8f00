//! A form with one file, in a body that has come as a whole: fed piece by piece, the parser would search all that it holds
//! again at every piece, and a client that sends many small ones would cost the server a core.

use std::convert::Infallible;

use axum::body::Bytes;
use futures::stream;
use multer::Multipart;

use crate::http::problem::{Code, Problem};
use crate::http::query;

/// Form fields that may hold the image.
pub const FIELDS: [&str; 3] = ["image", "file", "image_file"];

/// The one file in the form.
pub(super) async fn image(body: Bytes, boundary: &str) -> Result<Bytes, Problem> {
    let mut form = Multipart::new(stream::iter([Ok::<_, Infallible>(body)]), boundary);
    let mut image: Option<(String, Bytes)> = None;
    while let Some(mut field) = form.next_field().await.map_err(|_| broken())? {
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
        // All of it: the whole body is there. `bytes()` would copy it once more.
        let content = field.chunk().await.map_err(|_| broken())?;
        image = Some((name, content.unwrap_or_default()));
    }
    let missing = || invalid(format!("the form has no file; send one in {}", FIELDS.join(" or ")));
    image.map(|(_, content)| content).ok_or_else(missing)
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
