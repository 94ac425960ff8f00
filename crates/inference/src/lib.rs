//! Networks: the [`registry`] of those that can be served, and the [`engine`]s that run them.

pub mod engine;
pub mod registry;
