//! What was typed (flags and environment) becomes settings that were checked as a whole.
//!
//! [`typed`] is what clap read, text throughout; [`settings`] is what the program runs on. The step between them
//! ([`read`]) is a pure function of text and [`Machine`], and reports every wrong setting at once: whoever has five to mend should
//! not start the server five times. Outside this room nothing reads the environment (clippy.toml bans it).

pub mod keys;
pub mod machine;
pub mod problems;
pub mod read;
pub mod settings;
pub mod traces;
pub mod typed;
pub mod units;

pub use inference::engine::backend::{Precision, Provider};
pub use keys::ApiKeys;
pub use machine::Machine;
pub use problems::{Problem, Problems};
pub use settings::{EngineSettings, LogFormat, LogSettings, Settings};
pub use traces::{TraceArgs, TraceSettings};
pub use typed::{EngineArgs, LogArgs, ServeArgs};

#[cfg(test)]
mod tests;
