//! What a request asks for: options from its query and headers, and its image.

mod resize;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use images::OutputFormat;
use inference::registry::{ModelChoice, Registry};

use super::App;
use super::accept;
use super::error_mapping;
use super::fidelity;
use super::observe::Record;
use super::problem::{Code, ParamError, Problem};
use super::query::{ParamErrors, QueryParams};
use super::upload::{BodyEncoding, Budget, Held, Upload};
use crate::pipeline::Options;

/// What the answer will be, which decides what `Accept` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// The image itself.
    Image,
    /// A plan in JSON; `Accept` may speak of either.
    Plan,
}

/// A request with everything that the pipeline needs.
#[derive(Debug)]
pub struct UpscaleRequest {
    /// The file as uploaded.
    pub bytes: Bytes,
    /// What was asked for.
    pub options: Options,
    /// Room that the upload takes until the pipeline has admitted or refused it.
    pub held: Held,
}

/// Reads a request, refusing it as early as may be: before the upload if its head suffices.
pub async fn receive(
    app: &App,
    budget: &Arc<Budget>,
    record: &Arc<Record>,
    request: Request,
    wants: Wants,
) -> Result<UpscaleRequest, Problem> {
    let (parts, body) = request.into_parts();
    let settings = &app.settings.http;
    let mut upload =
        Upload::new(body, &parts.headers, settings.max_body, settings.body_timeout, budget, Arc::clone(record));
    let read = match head(app, record, &parts, wants).and_then(|head| upload.check_announced().map(|()| head)) {
        Ok((options, encoding)) => upload.read(&encoding).await.map(|bytes| (bytes, options)),
        Err(problem) => Err(problem),
    };
    match read {
        Ok((bytes, options)) => Ok(UpscaleRequest { bytes, options, held: upload.into_held() }),
        Err(problem) => {
            upload.drain_body();
            Err(problem)
        }
    }
}

/// All that can be checked before the first byte of the upload is asked for.
fn head(app: &App, record: &Record, parts: &Parts, wants: Wants) -> Result<(Options, BodyEncoding), Problem> {
    if app.phase.is_draining() {
        return Err(error_mapping::draining());
    }
    if !app.phase.is_warm() {
        return Err(error_mapping::not_ready());
    }
    let defaults = Defaults { model: &app.settings.engine.model, deadline: app.settings.http.deadline };
    let options = options(&parts.uri, &parts.headers, wants, &defaults, &app.pipeline.registry)?;
    record.asks_for(&options.model, options.resize);
    Ok((options, BodyEncoding::of(&parts.headers)?))
}

/// What holds where a client chooses nothing.
#[derive(Clone, Copy, Debug)]
pub struct Defaults<'a> {
    /// Model.
    pub model: &'a ModelChoice,
    /// Deadline, and the most that may be asked for.
    pub deadline: Duration,
}

/// Reads the query and `Accept`.
pub fn options(
    uri: &Uri,
    headers: &HeaderMap,
    wants: Wants,
    defaults: &Defaults<'_>,
    registry: &Registry,
) -> Result<Options, Problem> {
    let mut errors = ParamErrors::default();
    let query = QueryParams::read(uri, &mut errors);

    let model = query.get("model").map_or_else(|| defaults.model.clone(), ModelChoice::from);
    if let Some(Err(error)) = model.name().map(|name| registry.model(name)) {
        errors.push(error_mapping::param_error(&error));
    }
    let resize = resize::resize(&query, &mut errors);
    let ensemble = query.get("ensemble").unwrap_or("false").parse().unwrap_or_else(|_| {
        errors.add("ensemble", query.get("ensemble").unwrap_or_default(), "true or false");
        false
    });
    let format = query.get("format").map(|text| {
        OutputFormat::by_name(text).unwrap_or_else(|| {
            errors.add("format", text, "png, jpeg, webp or tiff");
            OutputFormat::Png
        })
    });
    let quality = query.number("quality", 1..=100, "a whole number from 1 to 100", &mut errors);
    let most = u64::from(u32::MAX);
    let frame = query.number("frame", 0..=most, "a whole number, 0 for the first frame or page", &mut errors);
    let deadline = query.get("deadline").map_or(defaults.deadline, |text| {
        seconds(text).filter(|deadline| *deadline <= defaults.deadline).unwrap_or_else(|| {
            let most = defaults.deadline.as_secs_f64();
            errors.add("deadline", text, &format!("a number of seconds above 0 and at most {most}"));
            defaults.deadline
        })
    });
    let fidelity = fidelity::read(&query, &mut errors);
    let Some(resize) = resize.filter(|_| errors.0.is_empty()) else { return Err(Problem::parameters(errors.0)) };

    let mut formats = match format {
        Some(format) => vec![format],
        None if wants == Wants::Plan && accept::wants_json(headers) => vec![OutputFormat::Png],
        None => accept::negotiate(headers),
    };
    let Some(&format) = formats.first() else {
        return Err(Problem::new(
            Code::NotAcceptable,
            "the Accept header excludes image/png, image/jpeg, image/webp and image/tiff; accept one of them, or ask with format=",
        ));
    };
    // A quality was asked for: what has none would pass it over.
    formats.retain(|format| quality.is_none() || format.is_lossy());
    if let Some(error) = quality.and_then(|quality| misplaced_quality(quality, format)) {
        return Err(Problem::parameters(vec![error]));
    }
    Ok(Options {
        model,
        resize,
        ensemble,
        format,
        alternatives: formats,
        quality: quality.map(|quality| quality as u8),
        frame: frame.map(|frame| frame as u32),
        fidelity,
        deadline,
    })
}

/// Where nothing is lost, a quality would be passed over.
fn misplaced_quality(quality: u64, format: OutputFormat) -> Option<ParamError> {
    let name = format.media_type().trim_start_matches("image/");
    let detail = format!(
        "quality is '{quality}', but the answer will be {name} without loss; ask for format=jpeg, or leave it out"
    );
    (!format.is_lossy()).then(|| ParamError { parameter: "quality".into(), detail })
}

/// A positive, finite number of seconds.
fn seconds(text: &str) -> Option<Duration> {
    // `f64` would take "inf", "1e3" and "+1" as well; a query is not the place for them.
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds = text.parse().ok().filter(|_| digits)?;
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use axum::http::header::ACCEPT;
    use images::units::Scale;
    use inference::registry::{Kind, Network, NetworkId};
    use proptest::prelude::*;
    use tiling::TileBounds;

    use super::*;
    use crate::http::query::{MAX_ERRORS, PARAMETERS};

    fn registry() -> Registry {
        let tile = TileBounds::square(64, 4);
        let networks = [("big", 2), ("big", 4), ("small", 3)].map(|(model, scale)| Network {
            id: NetworkId(0),
            model: model.into(),
            scale: Scale::new(scale).expect("a scale"),
            tile,
            kind: Kind::Bicubic,
            parameters: 0,
        });
        Registry::new(networks.into())
    }

    fn asked(query: &str, accept: Option<&'static str>, wants: Wants) -> Result<Options, Problem> {
        let uri: Uri = format!("/v1/upscale?{query}").parse().expect("a URI");
        let mut headers = HeaderMap::new();
        headers.extend(accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept))));
        let defaults = Defaults { model: &"big".into(), deadline: Duration::from_mins(5) };
        options(&uri, &headers, wants, &defaults, &registry())
    }

    fn errors(query: &str) -> Vec<(String, String)> {
        let problem = asked(query, None, Wants::Image).expect_err("a problem");
        assert_eq!(problem.code, Code::InvalidParameter);
        problem.errors.into_iter().map(|error| (error.parameter, error.detail)).collect()
    }

    #[test]
    fn nothing_asked_for_is_the_default_of_everything() {
        let options = asked("", None, Wants::Image).expect("options");
        assert_eq!((options.model, options.resize.to_string(), options.ensemble), ("big".into(), "4".into(), false));
        assert_eq!((options.format, options.deadline), (OutputFormat::Png, Duration::from_mins(5)));
    }

    #[test]
    fn everything_asked_for_is_heard() {
        let query = "scale=2.5&model=small&ensemble=true&format=jpeg&quality=70&frame=4&deadline=0.5";
        let options = asked(query, None, Wants::Image).expect("options");
        assert_eq!((options.model, options.resize.to_string(), options.ensemble), ("small".into(), "2.5".into(), true));
        assert_eq!((options.format, options.deadline), (OutputFormat::Jpeg, Duration::from_millis(500)));
        assert_eq!((options.quality, options.frame), (Some(70), Some(4)));
    }

    #[test]
    fn quality_and_frame_have_two_sides() {
        let jpeg = |query: &str| asked(&format!("format=jpeg&{query}"), None, Wants::Image);
        for (query, quality) in [("quality=1", 1), ("quality=100", 100)] {
            assert_eq!(jpeg(query).expect("options").quality, Some(quality));
        }
        for query in ["quality=0", "quality=101", "quality=+5", "quality=", "quality=8.5"] {
            assert!(errors(&format!("format=jpeg&{query}"))[0].1.contains("from 1 to 100"), "{query}");
        }
        assert_eq!(jpeg("frame=4294967295").expect("options").frame, Some(u32::MAX));
        for query in ["frame=-1", "frame=4294967296", "frame=first", "frame="] {
            assert!(errors(query)[0].1.contains("0 for the first"), "{query}");
        }
    }

    #[test]
    fn quality_goes_with_what_has_one() {
        assert_eq!(asked("quality=80", Some("image/jpeg"), Wants::Image).expect("options").quality, Some(80));
        for query in ["quality=80", "quality=80&format=webp", "quality=80&format=tiff"] {
            let (parameter, detail) = errors(query).remove(0);
            assert_eq!(parameter, "quality");
            assert!(detail.contains("format=jpeg"), "{detail}");
        }
    }

    #[test]
    fn what_accept_lists_may_stand_in_for_the_best() {
        let alternatives = |query, accept| asked(query, Some(accept), Wants::Image).expect("options").alternatives;
        let (png, webp, jpeg) = (OutputFormat::Png, OutputFormat::WebP, OutputFormat::Jpeg);
        assert_eq!(alternatives("", "image/webp, image/png;q=0.5"), [webp, png]);
        assert_eq!(alternatives("format=webp", "image/png"), [webp], "what is named is meant");
        assert_eq!(alternatives("quality=80", "image/jpeg, image/png;q=0.5"), [jpeg], "a quality is never passed over");
    }

    #[test]
    fn formats_have_the_names_that_people_write() {
        for (name, format) in [("jpg", OutputFormat::Jpeg), ("tif", OutputFormat::Tiff), ("jpeg", OutputFormat::Jpeg)] {
            assert_eq!(asked(&format!("format={name}"), None, Wants::Image).expect("options").format, format);
        }
        for name in ["JPG", "jp", "image/jpeg", ""] {
            assert!(errors(&format!("format={name}"))[0].1.contains("png, jpeg, webp or tiff"), "{name}");
        }
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let query = "scael=2&scale=2&scale=4&model=none&width=0&ensemble=1&format=gif&deadline=0&x=%0A";
        let parameters: Vec<String> = errors(query).into_iter().map(|(parameter, _)| parameter).collect();
        assert_eq!(parameters, ["scael", "scale", "x", "model", "width", "scale", "ensemble", "format", "deadline"]);
    }

    #[test]
    fn a_query_of_faults_gets_a_short_answer() {
        let unknown = |count: usize| (0..count).map(|i| format!("x{i}=1")).collect::<Vec<_>>().join("&");
        for count in [1, MAX_ERRORS, MAX_ERRORS + 1, 5_000] {
            let problem = asked(&unknown(count), None, Wants::Image).expect_err("a problem");
            assert_eq!(problem.errors.len(), count.min(MAX_ERRORS), "{count}");
            assert!(problem.document("id").len() < 8192, "{count}");
        }
        let repeated = asked(&"scale=4&".repeat(5_000), None, Wants::Image).expect_err("a problem");
        assert_eq!(repeated.errors.len(), MAX_ERRORS);
        assert_eq!(errors(&(unknown(MAX_ERRORS - 1) + "&ensemble=1&format=gif")).len(), MAX_ERRORS, "in all");
    }

    #[test]
    fn a_deadline_is_a_plain_number_within_the_servers() {
        for good in ["300", "0.001", "1.", "299.999"] {
            assert!(asked(&format!("deadline={good}"), None, Wants::Image).is_ok(), "{good}");
        }
        for bad in
            ["300.001", "0", "0.0", "-1", "%2B1", "1e2", "inf", "NaN", "", ".", "1.2.3", "99999999999999999999999"]
        {
            assert_eq!(errors(&format!("deadline={bad}")).len(), 1, "{bad}");
        }
    }

    #[test]
    fn format_goes_before_accept_and_a_plan_may_be_asked_for_as_json() {
        let format = |query, accept, wants| asked(query, Some(accept), wants).map(|options| options.format);
        assert_eq!(format("", "image/webp", Wants::Image), Ok(OutputFormat::WebP));
        assert_eq!(format("format=jpeg", "image/avif", Wants::Image), Ok(OutputFormat::Jpeg));
        assert_eq!(format("", "application/json", Wants::Plan), Ok(OutputFormat::Png));
        for (accept, wants) in [("image/avif", Wants::Plan), ("application/json", Wants::Image)] {
            let problem = format("", accept, wants).expect_err("a problem");
            assert_eq!(problem.code, Code::NotAcceptable, "{accept}");
        }
        let both = asked("scale=9", Some("image/avif"), Wants::Image).expect_err("a problem");
        assert_eq!(both.code, Code::InvalidParameter, "a wrong query is reported before a wrong header");
    }

    proptest! {
        #[test]
        fn what_is_taken_was_understood_in_full(
            pairs in prop::collection::vec((prop_oneof![prop::sample::select(&PARAMETERS[..]).prop_map(str::to_owned), "[a-z]{1,8}"], "[ -~é]{0,12}"), 0..6)
        ) {
            let escape = |text: &str| text.bytes().fold(String::new(), |text, b| text + &format!("%{b:02X}"));
            let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
            match asked(&query.join("&"), None, Wants::Image) {
                Ok(_) => {
                    let names: std::collections::HashSet<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
                    let known = names.iter().all(|name| PARAMETERS.contains(name));
                    prop_assert!(known && names.len() == pairs.len());
                }
                Err(problem) => {
                    prop_assert!(!problem.errors.is_empty());
                    prop_assert!(problem.detail.chars().all(|c| c == '…' || c == ' ' || c.is_ascii_graphic()));
                }
            }
        }
    }
}
