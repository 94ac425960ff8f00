//! `model.toml`: what it says, and the checks it must pass.
