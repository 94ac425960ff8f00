//! The commands of the binary, one file each.

pub mod eval;
pub mod health;
pub mod models;
pub mod serve;
pub mod start;
pub mod upscale;
