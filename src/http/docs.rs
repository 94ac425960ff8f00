//! openapi.yaml as served, and a page that shows it.
