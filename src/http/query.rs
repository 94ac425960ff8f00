//! The query of a request, strictly read.
//!
//! A parameter that is unknown, repeated or malformed is an error and never passed over: a client that writes
//! `scael=2` must not be sent an image at 4. All wrong parameters are reported at once, as far as anybody would read.

use std::ops::RangeInclusive;

use axum::extract::Query;
use axum::http::Uri;

use super::problem::ParamError;

/// Every parameter there is.
pub const PARAMETERS: [&str; 15] = [
    "scale",
    "width",
    "height",
    "fit",
    "model",
    "ensemble",
    "format",
    "quality",
    "frame",
    "icc",
    "alpha",
    "background",
    "metadata",
    "density",
    "deadline",
];

/// Errors that are reported at most: a query of tens of kilobytes would otherwise be answered with megabytes.
pub(super) const MAX_ERRORS: usize = 16;

/// What is wrong with a query.
#[derive(Debug, Default)]
pub struct ParamErrors(pub(super) Vec<ParamError>);

impl ParamErrors {
    fn is_full(&self) -> bool {
        self.0.len() >= MAX_ERRORS
    }

    /// Adds one, up to the number that is reported.
    pub(super) fn push(&mut self, error: ParamError) {
        if !self.is_full() {
            self.0.push(error);
        }
    }

    /// A parameter has a wrong value; what would be right.
    pub fn add(&mut self, parameter: &str, value: &str, expected: &str) {
        self.report(parameter, format!("{parameter} is '{}'; it must be {expected}", shown(value)));
    }

    /// Two parameters that cannot both hold.
    pub(super) fn conflict(&mut self, one: (&str, &str), other: (&str, &str), remedy: &str) {
        let ((one, value), (other, another)) = (one, other);
        let (value, another) = (shown(value), shown(another));
        self.report(one, format!("{one} '{value}' and {other} '{another}' contradict each other; {remedy}"));
    }

    pub(super) fn report(&mut self, parameter: &str, detail: String) {
        self.push(ParamError { parameter: parameter.to_owned(), detail });
    }
}

/// What a client wrote, fit for being shown: escaped, and not longer than a line.
pub fn shown(value: &str) -> String {
    const MOST: usize = 64;
    let mut text: String = value.chars().take(MOST).flat_map(char::escape_default).collect();
    if value.chars().nth(MOST).is_some() {
        text.push('…');
    }
    text
}

/// Known parameters, each given once.
#[derive(Debug)]
pub struct QueryParams(Vec<(String, String)>);

impl QueryParams {
    /// Reads the query; what is wrong with it is added to `errors`.
    pub(super) fn read(uri: &Uri, errors: &mut ParamErrors) -> Self {
        let unreadable = |_| {
            errors.add("query", uri.query().unwrap_or_default(), "name=value pairs joined by '&'");
            Vec::new()
        };
        let pairs: Vec<(String, String)> = Query::try_from_uri(uri).map_or_else(unreadable, |Query(pairs)| pairs);
        let mut params: Vec<(String, String)> = Vec::new();
        for (name, value) in pairs {
            if errors.is_full() {
                break;
            }
            if !PARAMETERS.contains(&name.as_str()) {
                let detail =
                    format!("unknown parameter '{}'; the parameters are {}", shown(&name), PARAMETERS.join(", "));
                errors.push(ParamError { parameter: shown(&name), detail });
            } else if params.iter().any(|(known, _)| *known == name) {
                let detail = format!("{name} is given more than once; give it once");
                errors.push(ParamError { parameter: name, detail });
            } else {
                params.push((name, value));
            }
        }
        Self(params)
    }

    /// A whole number within a range; an error if it is anything else.
    pub(super) fn number(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
        expected: &str,
        errors: &mut ParamErrors,
    ) -> Option<u64> {
        let text = self.get(name)?;
        // `parse` would take "+1" as well.
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && range.contains(number));
        if number.is_none() {
            errors.add(name, text, expected);
        }
        number
    }

    /// What a parameter was given as.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
