//! Wrong settings, gathered so that all are told at once.

use std::fmt;

/// One wrong setting: which, what it is, what is wrong with it and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The flag with its dashes.
    pub flag: &'static str,
    /// What was typed.
    pub value: String,
    /// What is wrong and the remedy.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) is '{}': {}", self.flag, variable(self.flag), self.value, self.what)
    }
}

/// All that is wrong, in the order of the flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Notes a wrong setting.
    pub fn add(&mut self, flag: &'static str, value: impl fmt::Display, what: impl Into<String>) {
        self.0.push(Problem { flag, value: value.to_string(), what: what.into() });
    }

    /// The value that `parse` reads, or `None` and a problem noted.
    pub fn read<T>(
        &mut self,
        flag: &'static str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(text) {
            Ok(value) => Some(value),
            Err(what) => {
                self.add(flag, text, what);
                None
            }
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "one setting is wrong:\n  {one}"),
            all => {
                write!(f, "{} settings are wrong:", all.len())?;
                all.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for Problems {}

/// The environment variable of a flag: `--max-body` is `UPSCALER_MAX_BODY`. OpenTelemetry's own variables keep the name
/// by which every service knows them.
pub fn variable(flag: &str) -> String {
    let name = flag.trim_start_matches('-').replace('-', "_").to_ascii_uppercase();
    if name.starts_with("OTEL_") { name } else { format!("UPSCALER_{name}") }
}
