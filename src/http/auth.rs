//! API keys: `Authorization: Bearer KEY`, asked for under `/v1/` and checked before an upload is read.
//!
//! Health, metrics, pages and the contract are for all: probes and scrapes carry no key, and a page must be loaded
//! before one can be typed into it. None of them reveals anything about an image.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::observe::Record;
use super::problem::{Code, Problem};
use super::upload;
use crate::config::ApiKeys;

/// Who may call; cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate(Option<Arc<ApiKeys>>);

impl Gate {
    /// By these keys; with `None` everybody may call.
    pub fn new(keys: Option<ApiKeys>) -> Self {
        Self(keys.map(Arc::new))
    }

    /// The name of the key that the headers carry, if it has one.
    fn admit(&self, headers: &HeaderMap) -> Result<Option<String>, Refused> {
        let Some(keys) = &self.0 else { return Ok(None) };
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let header = given.next().ok_or(Refused::Absent)?;
        let (scheme, key) = header.as_bytes().split_at_checked("Bearer ".len()).ok_or(Refused::Wrong)?;
        if !scheme.eq_ignore_ascii_case(b"Bearer ") || given.next().is_some() {
            return Err(Refused::Wrong);
        }
        keys.find(key.trim_ascii()).map(|name| name.map(ToOwned::to_owned)).ok_or(Refused::Wrong)
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Absent,
    Wrong,
}

impl Refused {
    fn problem(self) -> Problem {
        let detail = match self {
            Self::Absent => "this server asks for an API key; send it as Authorization: Bearer KEY",
            Self::Wrong => {
                "the Authorization header holds none of this server's API keys; send one as Authorization: Bearer KEY"
            }
        };
        Problem::new(Code::Unauthorized, detail)
    }

    /// RFC 6750: `invalid_token` only where a token was sent.
    const fn challenge(self) -> &'static str {
        match self {
            Self::Absent => r#"Bearer realm="san-upscaler""#,
            Self::Wrong => r#"Bearer realm="san-upscaler", error="invalid_token""#,
        }
    }
}

/// Surrounds every route that asks for a key.
pub async fn check(
    State(gate): State<Gate>,
    Extension(record): Extension<Arc<Record>>,
    mut request: Request,
    next: Next,
) -> Response {
    match gate.admit(request.headers()) {
        Ok(name) => {
            record.comes_from(name);
            // Nothing further in needs it, so nothing further in can show it.
            request.headers_mut().remove(header::AUTHORIZATION);
            next.run(request).await
        }
        Err(refused) => {
            upload::drain_body(request);
            let mut response = refused.problem().into_response();
            let challenge = HeaderValue::from_static(refused.challenge());
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef";
    const OTHER: &str = "fedcba9876543210";

    fn ask(gate: &Gate, values: &[&str]) -> Result<Option<String>, Refused> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).expect("a header value"));
        }
        gate.admit(&headers)
    }

    #[test]
    fn only_one_bearer_key_of_the_set_is_let_in() {
        let gate = Gate::new(Some(ApiKeys::parse(&format!("shop {KEY},{OTHER}")).expect("keys")));
        assert_eq!(ask(&gate, &[&format!("Bearer {KEY}")]), Ok(Some("shop".into())));
        assert_eq!(ask(&gate, &[&format!("bEARER  {OTHER} ")]), Ok(None));
        assert_eq!(ask(&gate, &[]), Err(Refused::Absent));
        for wrong in ["", "Bearer", "Bearer ", KEY, "Basic 0123456789abcdef", "Bearer 0123456789abcdeg", "Bearer shop"]
        {
            assert_eq!(ask(&gate, &[wrong]), Err(Refused::Wrong), "{wrong}");
        }
        let twice = format!("Bearer {KEY}");
        assert_eq!(ask(&gate, &[&twice, &twice]), Err(Refused::Wrong), "which of them?");
        assert_eq!(ask(&Gate(None), &[]), Ok(None), "no keys are set");
    }
}
