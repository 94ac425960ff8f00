//! Whether a request may come in: all of it or nothing, by tiles, bytes and deadline.
