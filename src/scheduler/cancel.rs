//! What becomes of a request that nobody waits for.
