//! Log lines, for people or as JSON, on standard error: standard output belongs to what a command answers.
//!
//! Every line of a request carries its ids, since it is in the request's span. In JSON they are fields like any
//! other, beside those of the line: a search for a request should not need to know which line came from where.

use std::fmt;
use std::io::{self, IsTerminal, Write, stderr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogArgs, LogFormat};

/// Lines that wait to be written, at most: a few MB.
const WAITING_LINES: usize = 8192;
/// At the end: time to write the last lines to their reader.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Lines for which there was no room.
static OVERFLOWED: OnceLock<ErrorCounter> = OnceLock::new();
/// Lines that could not be written.
static UNWRITTEN: AtomicU64 = AtomicU64::new(0);

/// Starts logging for the whole process; a second call changes nothing. Drop what it gives at the end of the process.
///
/// A thread of its own writes, so that a log that nobody reads, or a full disk, neither holds up nor fails a request:
/// its lines are dropped and counted ([`dropped_lines`]).
pub fn init(settings: &LogArgs) -> LastLines {
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES).finish(Counted(stderr()));
    let overflowed = writer.error_counter();
    let lines =
        tracing_subscriber::fmt().with_env_filter(&settings.log_level).log_internal_errors(false).with_writer(writer);
    let started = match settings.log_format {
        LogFormat::Human => lines.with_ansi(stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => lines.fmt_fields(JsonFields::new()).event_format(Flat).finish().try_init(),
    };
    if started.is_ok() {
        let _ = OVERFLOWED.set(overflowed);
        // The default hook writes to standard error itself, and waits there.
        std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a thread panicked")));
    } else {
        tracing::debug!("logging was already started");
    }
    LastLines(Some(guard))
}

/// Lines of log that were dropped since the process began.
pub fn dropped_lines() -> u64 {
    let overflowed = OVERFLOWED.get().map_or(0, |counter| counter.dropped_lines() as u64);
    overflowed + UNWRITTEN.load(Ordering::Relaxed)
}

/// Writes the last lines as it is dropped, within a bounded time.
#[derive(Debug)]
pub struct LastLines(Option<WorkerGuard>);

impl Drop for LastLines {
    fn drop(&mut self) {
        let guard = self.0.take();
        let (done, over) = sync_channel(1);
        // The guard itself prints where it gives up, which may wait for ever.
        let ending = std::thread::Builder::new().spawn(move || {
            drop(guard);
            let _ = done.send(());
        });
        if ending.is_ok() {
            let _ = over.recv_timeout(LAST_LINES);
        }
    }
}

/// Counts what cannot be written.
struct Counted<W>(W);

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        if self.0.write_all(line).is_err() {
            UNWRITTEN.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One JSON object a line; the fields of the spans around it are beside its own, which win.
#[derive(Debug)]
struct Flat;

#[derive(Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    level: &'a str,
    #[serde(flatten)]
    fields: Map<String, Value>,
    target: &'a str,
}

impl<S, N> FormatEvent<S, N> for Flat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut fields = Map::new();
        for span in ctx.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let written = extensions.get::<FormattedFields<N>>().map_or("", |written| written.as_str());
            // Written by `JsonFields` when the span was made; what is empty is no JSON.
            fields.extend(serde_json::from_str::<Map<String, Value>>(written).unwrap_or_default());
        }
        event.record(&mut Fields(&mut fields));
        let (level, target) = (event.metadata().level().as_str(), event.metadata().target());
        let line = serde_json::to_string(&Line { timestamp: &timestamp, level, fields, target });
        writeln!(writer, "{}", line.map_err(|_| fmt::Error)?)
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().trim_start_matches("r#").to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic under it").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_in_json_has_the_fields_of_its_spans_beside_its_own() {
        let written = Written::default();
        let writer = written.clone();
        let lines = tracing_subscriber::fmt().with_writer(move || writer.clone());
        let lines = lines.fmt_fields(JsonFields::new()).event_format(Flat).finish();
        tracing::subscriber::with_default(lines, || {
            let request = tracing::error_span!("request", request_id = %"r-1", trace_id = None::<&str>, status = 1);
            let inner = request.in_scope(|| tracing::error_span!("inner", part = "decode"));
            inner.in_scope(
                || tracing::warn!(status = 500_u16, cause = %"a \"quote\"", left = true, ms = 1.5, "it failed"),
            );
            tracing::info!("alone");
        });
        let text = String::from_utf8(written.0.lock().expect("no panic under it").clone()).expect("UTF-8");
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect();
        let [first, second] = &lines[..] else { panic!("{text}") };
        let fields =
            ["level", "message", "request_id", "part", "status", "cause", "left", "ms"].map(|name| first[name].clone());
        let expected: [Value; 8] = [
            "WARN".into(),
            "it failed".into(),
            "r-1".into(),
            "decode".into(),
            500.into(),
            "a \"quote\"".into(),
            true.into(),
            1.5.into(),
        ];
        assert_eq!(fields, expected);
        assert!(first.get("trace_id").is_none() && first["timestamp"].is_string(), "{first}");
        assert_eq!((&second["message"], second.get("request_id")), (&"alone".into(), None));
    }
}
