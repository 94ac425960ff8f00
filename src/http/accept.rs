//! `Accept`: which of the formats that can be written the client likes best (RFC 9110, 12.5.1).

use std::cmp::Reverse;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

use images::OutputFormat;

/// In order of preference where the client has none: JPEG last, which alone loses detail and all transparency.
const FORMATS: [OutputFormat; 4] = [OutputFormat::Png, OutputFormat::WebP, OutputFormat::Tiff, OutputFormat::Jpeg];

/// [`Range::specificity`] of a range that names the type in full.
const NAMED: u8 = 2;

/// One element of the list.
#[derive(Clone, Copy, Debug)]
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    quality: f32,
}

impl Range<'_> {
    /// How exactly this range names `image/<subtype>`: [`NAMED`] by name, 1 by `image/*`, 0 by `*/*`.
    fn specificity(&self, subtype: &str) -> Option<u8> {
        if self.kind == "*" && self.subtype == "*" {
            Some(0)
        } else if !self.kind.eq_ignore_ascii_case("image") {
            None
        } else if self.subtype == "*" {
            Some(1)
        } else {
            // A name that browsers of old sent for JPEG.
            let alias = subtype == "jpeg" && self.subtype.eq_ignore_ascii_case("jpg");
            (alias || self.subtype.eq_ignore_ascii_case(subtype)).then_some(NAMED)
        }
    }
}

/// The header's preference for one format.
#[derive(Debug)]
struct Candidate {
    format: OutputFormat,
    quality: f32,
    /// Place in the list if it is named, else behind all that are.
    place: usize,
}

/// The formats that the client takes, the best first; none if the header excludes them all. Without the header: PNG.
///
/// The highest quality wins; among equals a format that is named wins over one that a wildcard covers, and the one
/// named first wins over the later ones. An element that cannot be read is passed over.
pub fn negotiate(headers: &HeaderMap) -> Vec<OutputFormat> {
    let lines: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let ranges: Vec<Range<'_>> = lines.iter().flat_map(|line| line.split(',')).filter_map(parse).collect();
    if ranges.is_empty() {
        return vec![OutputFormat::Png];
    }
    let mut candidates: Vec<Candidate> = FORMATS.iter().filter_map(|&format| candidate(format, &ranges)).collect();
    // Stable: what is equal in every respect stays in our own order.
    candidates.sort_by(|a, b| b.quality.total_cmp(&a.quality).then(a.place.cmp(&b.place)));
    candidates.into_iter().map(|candidate| candidate.format).collect()
}

/// Whether JSON is asked for by name: `POST /v1/plan` answers in JSON whatever the image would be.
pub fn wants_json(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter_map(parse).any(|range| {
        range.quality > 0.0
            && range.kind.eq_ignore_ascii_case("application")
            && ["*", "json", "problem+json"].iter().any(|name| range.subtype.eq_ignore_ascii_case(name))
    })
}

/// The most specific range that matches decides, so that `image/png;q=0, */*` excludes PNG and nothing else.
fn candidate(format: OutputFormat, ranges: &[Range<'_>]) -> Option<Candidate> {
    let subtype = format.media_type().trim_start_matches("image/");
    let matching = ranges.iter().enumerate().filter_map(|(i, range)| Some((range.specificity(subtype)?, i, range)));
    let (specificity, place, range) = matching.max_by_key(|&(specificity, i, _)| (specificity, Reverse(i)))?;
    let place = if specificity == NAMED { place } else { usize::MAX };
    (range.quality > 0.0).then_some(Candidate { format, quality: range.quality, place })
}

/// One element of the list, e.g. `image/webp;q=0.8`.
fn parse(element: &str) -> Option<Range<'_>> {
    let mut parts = element.split(';').map(str::trim);
    let (kind, subtype) = parts.next()?.split_once('/')?;
    let quality = match parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="))) {
        Some(text) => text.parse().ok().filter(|quality| (0.0..=1.0).contains(quality))?,
        None => 1.0,
    };
    Some(Range { kind, subtype, quality })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn accept(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, HeaderValue::from_str(value).expect("a header value"));
        }
        headers
    }

    fn best(values: &[&str]) -> Option<OutputFormat> {
        negotiate(&accept(values)).first().copied()
    }

    #[test]
    fn the_best_of_ours_is_chosen() {
        use OutputFormat::{Jpeg, Png, Tiff, WebP};
        for (header, expected) in [
            ("*/*", Some(Png)),
            ("image/*", Some(Png)),
            ("image/jpeg", Some(Jpeg)),
            ("IMAGE/JPG", Some(Jpeg)),
            ("image/webp, image/jpeg", Some(WebP)),
            ("image/webp;q=0.5, image/jpeg;q=0.9", Some(Jpeg)),
            ("image/avif,image/webp,image/*,*/*;q=0.8", Some(WebP)),
            ("text/html, */*;q=0.1", Some(Png)),
            ("image/png;q=0, */*", Some(WebP)),
            ("image/png;q=0, image/webp;q=0, */*", Some(Tiff)),
            ("image/png;q=0, image/jpeg, */*", Some(Jpeg)),
            ("image/png;q=0.5, */*;q=0.5, image/webp;q=0.4, image/tiff;q=0.4", Some(Png)),
            ("image/png;q=0.2, */*;q=0.1", Some(Png)),
            ("image/tiff, image/png;q=0.9", Some(Tiff)),
            ("image/tiff;q=0.1, image/*;q=0.2", Some(Png)),
            ("image/avif", None),
            ("text/html", None),
            ("image/*;q=0", None),
            ("image/png;q=oops, image/webp", Some(WebP)),
            ("nonsense", Some(Png)),
            ("", Some(Png)),
        ] {
            assert_eq!(best(&[header]), expected, "{header}");
        }
        assert_eq!(negotiate(&HeaderMap::new()), [Png]);
        assert_eq!(best(&["image/avif", "image/jpeg"]), Some(Jpeg), "two lines are one list");
    }

    #[test]
    fn the_others_follow_in_the_clients_order() {
        use OutputFormat::{Jpeg, Png, Tiff, WebP};
        for (header, expected) in [
            ("image/webp, */*;q=0.8", &[WebP, Png, Tiff, Jpeg] as &[_]),
            ("image/webp, image/jpeg;q=0.9, image/png;q=0", &[WebP, Jpeg]),
            ("image/webp", &[WebP]),
        ] {
            assert_eq!(negotiate(&accept(&[header])), expected, "{header}");
        }
    }

    #[test]
    fn json_must_be_named() {
        assert!(wants_json(&accept(&["application/json"])));
        assert!(wants_json(&accept(&["image/avif", "application/*;q=0.5"])));
        assert!(!wants_json(&accept(&["*/*"])));
        assert!(!wants_json(&accept(&["application/json;q=0"])));
    }
}
