//! Errors as application/problem+json (RFC 9457): the one place that maps them to HTTP.
