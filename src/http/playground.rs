//! The page at /: drop a picture, see it large.
