//! Where traces go: flags of our own, and the standard variables of OpenTelemetry, which an operator that instruments
//! every pod alike sets for us.
//!
//! The standard's variables for a service's name, its attributes, headers for the collector, compression and batching
//! are read by OpenTelemetry's own crates.

use axum::http::Uri;
use clap::Args;

use super::{SettingsError, parse};

/// Where a collector takes traces, below its base.
const PATH: &str = "/v1/traces";

/// Traces.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Traces (OpenTelemetry)")]
pub struct TraceArgs {
    /// Collector that takes spans by OTLP over HTTP, as a rule at port 4318 [default: none, no traces]
    ///
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` and the other standard variables of OpenTelemetry are read as well; this wins.
    #[arg(long, env = "UPSCALER_OTLP_ENDPOINT", value_name = "URL", value_parser = base)]
    pub otlp_endpoint: Option<Uri>,
    /// Share of requests to trace, 0 to 1; where a request comes with a traceparent, its caller has decided
    #[arg(long, env = "UPSCALER_TRACE_RATIO", value_name = "SHARE", default_value = "1", value_parser = parse::share)]
    pub trace_ratio: f64,
    /// The standard's variable for all that is sent; below --otlp-endpoint
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", hide = true)]
    pub otel_exporter_otlp_endpoint: Option<String>,
    /// The standard's variable for traces alone, whole with its path; above the one for all
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", value_name = "URL", hide = true)]
    pub otel_exporter_otlp_traces_endpoint: Option<String>,
    /// The standard's variable to turn all of it off: true or false
    #[arg(long, env = "OTEL_SDK_DISABLED", value_name = "BOOL", hide = true)]
    pub otel_sdk_disabled: Option<String>,
}

/// Where traces go.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// Takes spans by OTLP over HTTP; whole, with its path.
    pub endpoint: Uri,
    /// Share of the traces that begin here which are recorded, 0 to 1.
    pub ratio: f64,
}

impl TraceArgs {
    /// `None` if nothing is to be traced.
    pub(super) fn settings(&self) -> Result<Option<TraceSettings>, SettingsError> {
        // The standard takes what is empty for what is not set; the variable for traces alone precedes the one for all.
        let set = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let found = if let Some(own) = &self.otlp_endpoint {
            Some(own.clone())
        } else if let Some(url) = set(&self.otel_exporter_otlp_traces_endpoint) {
            let wrong = |what| SettingsError::new("--otel-exporter-otlp-traces-endpoint", &url, what);
            Some(endpoint(url.trim()).map_err(wrong)?)
        } else if let Some(url) = set(&self.otel_exporter_otlp_endpoint) {
            let wrong = |what| SettingsError::new("--otel-exporter-otlp-endpoint", &url, what);
            Some(base(url.trim()).map_err(wrong)?)
        } else {
            None
        };
        let off = set(&self.otel_sdk_disabled).is_some_and(|text| text.trim().eq_ignore_ascii_case("true"));
        Ok(found.filter(|_| !off).map(|endpoint| TraceSettings { endpoint, ratio: self.trace_ratio }))
    }
}

/// A collector by its base: the path of traces is added.
fn base(url: &str) -> Result<Uri, String> {
    endpoint(&format!("{}{PATH}", url.trim_end_matches('/')))
}

/// A collector by its whole URL.
fn endpoint(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|_| "not a URL; write it like http://localhost:4318".to_owned())?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    match uri.scheme_str() {
        Some("http") if authority.contains('@') => {
            Err("a URL is logged, so no password belongs into it; put it into OTEL_EXPORTER_OTLP_HEADERS".into())
        }
        Some("http") if uri.query().is_none() && !authority.is_empty() => Ok(uri),
        Some("https") => {
            Err("TLS is not spoken here; name an agent or a collector beside this server, by http://".into())
        }
        _ => Err("not an http:// URL; write it like http://localhost:4318, the port for OTLP over HTTP".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    /// Or the text of the error.
    fn read(line: &str) -> Result<Option<TraceSettings>, String> {
        let words = std::iter::once("serve").chain(line.split(' ').filter(|word| !word.is_empty()));
        let matches = TraceArgs::augment_args(Command::new("serve")).try_get_matches_from(words);
        let args = matches.and_then(|matches| TraceArgs::from_arg_matches(&matches)).map_err(|e| e.to_string())?;
        args.settings().map_err(|error| error.to_string())
    }

    fn endpoint_of(line: &str) -> String {
        read(line).expect(line).expect("traces are on").endpoint.to_string()
    }

    #[test]
    fn they_are_off_unless_a_collector_is_named() {
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("--trace-ratio 0.5"), Ok(None));
        assert_eq!(read("--otel-exporter-otlp-endpoint="), Ok(None), "what is empty is not set");
        assert_eq!(read("--otlp-endpoint http://c:4318 --otel-sdk-disabled TRUE"), Ok(None));
        assert!(read("--otlp-endpoint http://c:4318 --otel-sdk-disabled false").is_ok_and(|traces| traces.is_some()));
    }

    #[test]
    fn the_path_is_added_as_the_standard_asks() {
        assert_eq!(endpoint_of("--otlp-endpoint http://c:4318"), "http://c:4318/v1/traces");
        assert_eq!(endpoint_of("--otel-exporter-otlp-endpoint http://c/base/"), "http://c/base/v1/traces");
        assert_eq!(endpoint_of("--otel-exporter-otlp-traces-endpoint http://c/mine"), "http://c/mine");
    }

    #[test]
    fn what_is_nearer_wins() {
        let all = "--otel-exporter-otlp-endpoint http://all --otel-exporter-otlp-traces-endpoint http://traces/t";
        assert_eq!(endpoint_of(all), "http://traces/t");
        assert_eq!(endpoint_of(&format!("{all} --otlp-endpoint http://own")), "http://own/v1/traces");
    }

    #[test]
    fn only_plain_http_is_spoken_and_a_share_is_one() {
        for wrong in ["https://c:4318", "c:4318", "grpc://c:4317", "http://user:word@c", "http://c?x=1", "http://", "-"]
        {
            let text = read(&format!("--otlp-endpoint={wrong}")).expect_err(wrong);
            assert!(text.contains("'--otlp-endpoint <URL>'") && text.contains(wrong), "{text}");
        }
        assert!(read("--otlp-endpoint=").is_err(), "our own variables are not the standard's");
        let text = read("--otel-exporter-otlp-endpoint=c:4318").expect_err("no scheme");
        assert!(text.contains("OTEL_EXPORTER_OTLP_ENDPOINT) is 'c:4318'"), "{text}");
        let ratio = |text: &str| read(&format!("--otlp-endpoint http://c --trace-ratio={text}"));
        for (right, ratio_of) in [("0", 0.0), ("1", 1.0), ("0.05", 0.05)] {
            assert_eq!(ratio(right).expect(right).map(|traces| traces.ratio), Some(ratio_of));
        }
        for wrong in ["-0.1", "1.1", "NaN", "inf", "5%", ""] {
            assert!(ratio(wrong).is_err_and(|text| text.contains("--trace-ratio")), "{wrong}");
        }
    }
}
