//! Live, ready, metrics.
