//! Asks a running server whether it is ready; for containers without curl.
