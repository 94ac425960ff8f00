//! What can be asked for: models and limits.
