//! Log lines, for people or as JSON, on standard error: standard output belongs to what a command answers.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogSettings};

/// Starts logging for the whole process; a second call changes nothing.
pub fn init(settings: LogSettings) {
    let lines = fmt().with_env_filter(settings.filter).with_writer(stderr);
    let started = match settings.format {
        LogFormat::Human => lines.with_ansi(stderr().is_terminal()).finish().try_init(),
        // Flat: the fields of a line are what is searched for, and they stand beside its time and level.
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was already started");
    }
}
