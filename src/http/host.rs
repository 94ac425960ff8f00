//! A request names the host that it is for, once (RFC 9112, 3.2; RFC 9113, 8.3.1). What two readers of a message may
//! take for two hosts, one of them would send elsewhere.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Uri, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::{Code, Problem};

/// A layer that refuses what names no host, two, or none that could be one.
pub async fn check(request: Request, next: Next) -> Response {
    match error(request.version(), request.uri(), request.headers()) {
        None => next.run(request).await,
        Some(detail) => Problem::new(Code::InvalidHost, detail).into_response(),
    }
}

fn error(version: Version, uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => Some("the request has several Host headers; send one"),
        (Some(host), None) if !is_host(host) => Some("the Host header is no host with an optional port; send one"),
        (Some(_), None) => None,
        (None, None) if version < Version::HTTP_11 => None,
        (None, None) if version >= Version::HTTP_2 && uri.authority().is_some() => None,
        (None, None) => Some("the request has no Host header; send one"),
    }
}

/// `host[:port]`, or nothing, which is what is sent for a URI without an authority.
fn is_host(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    bytes.is_empty() || (!bytes.contains(&b'@') && Authority::try_from(bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_right(version: Version, uri: &'static str, hosts: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_static(host));
        }
        error(version, &Uri::from_static(uri), &headers).is_none()
    }

    #[test]
    fn one_host_is_right_and_none_or_two_are_not() {
        let http = |hosts: &[&'static str]| is_right(Version::HTTP_11, "/", hosts);
        for host in ["", "x", "x:80", "127.0.0.1:8080", "[::1]:80", "a-b.example"] {
            assert!(http(&[host]), "'{host}'");
        }
        for host in ["a b", "user@x", "x/y", "x:y:z"] {
            assert!(!http(&[host]), "'{host}'");
        }
        assert!(!http(&[]) && !http(&["x", "x"]) && !http(&["x", "y"]));
        assert!(!is_right(Version::HTTP_11, "http://x/", &[]), "the target does not replace it");
    }

    #[test]
    fn older_and_newer_versions_have_rules_of_their_own() {
        assert!(is_right(Version::HTTP_10, "/", &[]) && !is_right(Version::HTTP_10, "/", &["x", "x"]));
        assert!(is_right(Version::HTTP_2, "http://x/", &[]) && is_right(Version::HTTP_2, "/", &["x"]));
        assert!(!is_right(Version::HTTP_2, "/", &[]) && !is_right(Version::HTTP_2, "http://x/", &["x", "x"]));
    }
}
