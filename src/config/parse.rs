//! Values of flags and variables, from their text. clap adds the flag and the value to each error; the text here names
//! what is wrong and the remedy.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::Uri;
use bytesize::ByteSize;
use tracing_subscriber::EnvFilter;

use inference::registry::ModelChoice;

/// A worker that waits longer for a fuller batch than this only adds latency.
const BATCH_DELAY_MAX: Duration = Duration::from_secs(1);

/// Origins of CORS; a name, so that clap takes the list for one value.
pub type Origins = Vec<String>;

/// Bytes, more than 0: `25MB`, `512MiB`, `1.5GB`, `4096`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let size: ByteSize =
        text.trim().parse().map_err(|_| "not a number of bytes; write it like 25MB or 512MiB".to_owned())?;
    above_zero(size.as_u64())
}

/// Bytes that are held in one piece.
pub fn body_bytes(text: &str) -> Result<usize, String> {
    usize::try_from(bytes(text)?).map_err(|_| "more than this machine can address; give less".into())
}

/// Pixels, more than 0: `16MP`, `1000000`. A megapixel is 2^20 pixels: images have sides like 4096, and 16MP is meant
/// to accept 4096x4096. So MP is to pixels what MiB is to bytes.
pub fn pixels(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let pixels = match lower.strip_suffix("px").unwrap_or(&lower).strip_suffix('p') {
        Some(number) => format!("{number}ib").parse::<ByteSize>().ok().map(|size| size.as_u64()),
        None => lower.trim_end_matches("px").trim_end().parse().ok(),
    };
    above_zero(pixels.ok_or("not a number of pixels; write it like 16MP")?)
}

/// A time, 0 too: `300s`, `250ms`, `5m`, `1h 30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|_| "not a time; write it with a unit, like 300s or 250ms".into())
}

/// A time in which something has to be done.
pub fn timeout(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("no request could be in time; give more than 0".into()),
        time => Ok(time),
    }
}

/// How long a worker waits for a fuller batch.
pub fn batch_delay(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        delay if delay <= BATCH_DELAY_MAX => Ok(delay),
        _ => Err("more than 1s only adds latency; give 0 to 1s".into()),
    }
}

/// An address and a port.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "not an address and port; write it like 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080".into())
}

/// The name of a model, or auto.
pub fn model(text: &str) -> Result<ModelChoice, String> {
    match text.trim() {
        "" => Err("a name is needed, like san-light or bicubic, or auto".into()),
        name => Ok(ModelChoice::from(name)),
    }
}

/// A share of requests.
pub fn share(text: &str) -> Result<f64, String> {
    match text.trim().parse() {
        Ok(share @ 0.0..=1.0) => Ok(share),
        _ => Err("a share from 0 (none) to 1 (all) is needed, like 0.05".into()),
    }
}

/// Which log lines there are; kept as text, since the filter itself cannot be cloned.
pub fn log_filter(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => {
            Err("not a level; write error, warn, info, debug, trace, or pairs like warn,san_upscaler=debug".into())
        }
    }
}

/// Origins as browsers send them: scheme, host and port, nothing after. `*` must be alone.
pub fn origins(text: &str) -> Result<Origins, String> {
    let origins: Origins =
        text.split(',').map(str::trim).filter(|origin| !origin.is_empty()).map(ToOwned::to_owned).collect();
    if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
        return Err("* already allows all; leave the others out".into());
    }
    for origin in origins.iter().filter(|origin| *origin != "*") {
        let uri = origin.parse::<Uri>().ok();
        let bare = uri.as_ref().is_some_and(|uri| {
            uri.scheme().is_some() && uri.authority().is_some() && uri.path_and_query().is_none_or(|path| path == "/")
        });
        if !bare || origin.ends_with('/') {
            return Err(format!("'{origin}' is no origin; write it like https://shop.example, without a path"));
        }
    }
    Ok(origins)
}

fn above_zero(number: u64) -> Result<u64, String> {
    if number == 0 { Err("nothing would pass; give more than 0".into()) } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_decimal_or_binary_by_name() {
        for (text, number) in [
            ("25MB", 25_000_000),
            ("25 mb", 25_000_000),
            ("25MiB", 26_214_400),
            ("0.1GB", 100_000_000),
            ("1.5GB", 1_500_000_000),
            (" 4096 ", 4096),
            ("1", 1),
        ] {
            assert_eq!(bytes(text), Ok(number), "{text}");
        }
        for wrong in ["", " ", "MB", "1.2.3MB", "-1MB", "25MX", "25 apples", "1e3", "٣MB", "5 M B", "0", "0MB"] {
            assert!(bytes(wrong).is_err(), "'{wrong}'");
        }
    }

    #[test]
    fn a_megapixel_accepts_4096_squared() {
        for (text, number) in [("16MP", 4096 * 4096), ("256 mp", 16384 * 16384), ("1GP", 1 << 30), ("1000px", 1000)] {
            assert_eq!(pixels(text), Ok(number), "{text}");
        }
        assert_eq!(pixels("1000000"), Ok(1_000_000));
        for wrong in ["", "MP", "16M", "16MB", "16MiB", "16P", "-1MP", "0", "0MP", "1.5"] {
            assert!(pixels(wrong).is_err(), "'{wrong}'");
        }
    }

    #[test]
    fn times_need_a_unit() {
        for (text, milliseconds) in
            [("300s", 300_000), ("5m", 300_000), ("1.5h", 5_400_000), ("250ms", 250), ("0", 0), ("0s", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for wrong in ["", "300", "s", "-1s", "never"] {
            assert!(duration(wrong).is_err(), "'{wrong}'");
        }
        assert!(timeout("1ms").is_ok() && timeout("0s").is_err());
        assert!(batch_delay("1s").is_ok() && batch_delay("1001ms").is_err());
    }

    #[test]
    fn origins_are_origins() {
        for right in ["", "*", "https://shop.example", "http://localhost:3000, https://shop.example"] {
            assert!(origins(right).is_ok(), "{right}");
        }
        for wrong in ["shop.example", "https://shop.example/", "https://shop.example/page", "*,https://shop.example"] {
            assert!(origins(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,24}") {
            let _ = (bytes(&text), pixels(&text), duration(&text), origins(&text));
        }
    }
}
