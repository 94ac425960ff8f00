//! The walk itself: one task a request, computing only on the bounded pool.

/// Encoded bytes held back before the first leaves, so that a failure until then is a proper error.
pub const THRESHOLD: usize = 1 << 20;
