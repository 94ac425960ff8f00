//! Settings: one typed clap struct a subject, whose values clap parses ([`parse`]), then checks across them and what
//! follows from the machine, as a pure function ([`check`]). Nothing else reads the environment (clippy.toml bans it).

pub mod args;
pub mod check;
pub mod keys;
pub mod machine;
pub mod parse;
pub mod settings;
pub mod traces;

pub use args::{EngineArgs, HttpArgs, LogArgs, ServeArgs};
pub use check::Settings;
pub use inference::engine::backend::{Precision, Provider};
pub use keys::ApiKeys;
pub use machine::Machine;
pub use settings::{EngineSettings, LogFormat, SettingsError, variable};
pub use traces::{TraceArgs, TraceSettings};

#[cfg(test)]
mod tests;
