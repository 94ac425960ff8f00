//! The HTTP server, from its first line of log to its drain.
