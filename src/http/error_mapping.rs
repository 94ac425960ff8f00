//! Which error of which module becomes which problem: the only place that knows both sides.
//!
//! What a client can act on keeps its text. What it cannot (inference, encoding, a panic) is logged here and answered
//! with a fixed sentence, so that no answer ever names a path or a library.

use std::time::Duration;

use images::CodecError;
use inference::registry::LookupError;
use scheduler::Rejection;
use tracing::error;

use super::problem::{Code, ParamError, Problem};
use super::query;
use crate::pipeline::PipelineError;

/// When to come again after a refusal without a measurement: another instance takes over in seconds.
const ELSEWHERE: Duration = Duration::from_secs(5);

impl From<CodecError> for Problem {
    fn from(error: CodecError) -> Self {
        let detail = error.to_string();
        match error {
            CodecError::Empty => Self::new(Code::EmptyBody, detail),
            CodecError::Unsupported(_) => Self::new(Code::UnsupportedImage, detail),
            CodecError::HighDynamicRange(_) => Self::new(Code::HdrImage, detail),
            CodecError::NoFrame(_) => Self::parameters(vec![ParamError { parameter: "frame".into(), detail }]),
            CodecError::Damaged(_) => Self::new(Code::DamagedImage, detail),
            CodecError::Interrupted => Self::new(Code::DeadlineExceeded, detail),
            CodecError::TooLarge { name, limit, actual, .. } => {
                Self::new(Code::ImageTooLarge, detail).exceeding(name, limit, actual)
            }
        }
    }
}

impl From<LookupError> for Problem {
    fn from(error: LookupError) -> Self {
        Self::parameters(vec![param_error(&error)])
    }
}

/// A model or scale that is not there, as a wrong parameter. A name that is not one of ours is shown with care.
pub fn param_error(error: &LookupError) -> ParamError {
    let (parameter, detail) = match error {
        LookupError::UnknownModel { name, known } => {
            let shown = LookupError::UnknownModel { name: query::shown(name), known: known.clone() };
            ("model", shown.to_string())
        }
        LookupError::UnsupportedScale { .. } => ("scale", error.to_string()),
    };
    ParamError { parameter: parameter.into(), detail }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let detail = rejection.to_string();
        match rejection {
            Rejection::QueueFull { queued, limit, needed, retry_after } => Self::new(Code::QueueFull, detail)
                .exceeding("queue_tiles", limit as u64, queued as u64 + needed as u64)
                .retry_after(retry_after),
            Rejection::MemoryFull { held, limit, needed, retry_after } => Self::new(Code::MemoryFull, detail)
                .exceeding("memory_bytes", limit, held.saturating_add(needed))
                .retry_after(retry_after),
            Rejection::Late { estimate, available, retry_after } => Self::new(Code::QueueTooSlow, detail)
                .exceeding("deadline_seconds", available, estimate)
                .retry_after(retry_after),
            // No limit is exceeded: others have deadlines, this one has none to name.
            Rejection::WouldDelay { retry_after } => Self::new(Code::QueueTooSlow, detail).retry_after(retry_after),
            Rejection::TooLarge { limit_name, limit, actual, .. } => {
                Self::new(Code::WorkTooLarge, detail).exceeding(limit_name, limit, actual)
            }
            Rejection::Draining => draining(),
        }
    }
}

impl From<PipelineError> for Problem {
    fn from(error: PipelineError) -> Self {
        match error {
            PipelineError::Codec(error) => error.into(),
            PipelineError::Lookup(error) => error.into(),
            PipelineError::Geometry(error) => Self::parameters(vec![ParamError {
                parameter: error.parameter.name().into(),
                detail: error.to_string(),
            }]),
            PipelineError::Rejected(rejection) => rejection.into(),
            PipelineError::Deadline(_) => Self::new(Code::DeadlineExceeded, error.to_string()),
            PipelineError::Internal(cause) => {
                error!(%cause, "a request failed");
                Self::internal()
            }
        }
    }
}

/// The answer to new work while the server shuts down.
pub fn draining() -> Problem {
    Problem::new(Code::Draining, Rejection::Draining.to_string()).retry_after(ELSEWHERE)
}

/// The answer to work before the models are warm.
pub fn not_ready() -> Problem {
    Problem::new(Code::NotReady, "the models are still loading; try again in a few seconds").retry_after(ELSEWHERE)
}

#[cfg(test)]
mod tests {
    use images::geometry::{GeometryError, Side};
    use images::units::{Amount, Scale};

    use super::*;

    fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn every_error_has_its_code_and_status() {
        let scale = Scale::new(4).expect("4 is a scale");
        let too_many = CodecError::TooLarge {
            name: "input_pixels",
            what: "number of pixels",
            limit: 16,
            actual: 17,
            remedy: "send a smaller image",
        };
        let too_large = Rejection::TooLarge {
            reason: "the image needs 9 tiles, more than 8".into(),
            limit_name: "queue_tiles",
            limit: Amount::Count(8),
            actual: Amount::Count(9),
        };
        let cases: Vec<(PipelineError, Code, u16)> = vec![
            (CodecError::Empty.into(), Code::EmptyBody, 400),
            (CodecError::Unsupported("a".into()).into(), Code::UnsupportedImage, 415),
            (CodecError::HighDynamicRange("PQ").into(), Code::HdrImage, 415),
            (CodecError::Damaged("a".into()).into(), Code::DamagedImage, 422),
            (CodecError::NoFrame("a".into()).into(), Code::InvalidParameter, 400),
            (too_many.into(), Code::ImageTooLarge, 413),
            (
                LookupError::UnknownModel { name: "x".into(), known: vec!["y".into()] }.into(),
                Code::InvalidParameter,
                400,
            ),
            (
                LookupError::UnsupportedScale { model: "x".into(), scale, known: vec![scale] }.into(),
                Code::InvalidParameter,
                400,
            ),
            (
                GeometryError { parameter: Side::Width, asked: 81, side: 10, most: 80 }.into(),
                Code::InvalidParameter,
                400,
            ),
            (
                Rejection::QueueFull { queued: 1, limit: 2, needed: 3, retry_after: seconds(4) }.into(),
                Code::QueueFull,
                429,
            ),
            (
                Rejection::MemoryFull { held: 1, limit: 2, needed: 3, retry_after: seconds(4) }.into(),
                Code::MemoryFull,
                429,
            ),
            (
                Rejection::Late { estimate: seconds(9), available: seconds(8), retry_after: seconds(4) }.into(),
                Code::QueueTooSlow,
                429,
            ),
            (Rejection::WouldDelay { retry_after: seconds(4) }.into(), Code::QueueTooSlow, 429),
            (too_large.into(), Code::WorkTooLarge, 413),
            (Rejection::Draining.into(), Code::Draining, 503),
            (PipelineError::Deadline(seconds(1)), Code::DeadlineExceeded, 504),
            (PipelineError::Internal("secret".into()), Code::Internal, 500),
        ];
        for (error, code, status) in cases {
            let text = error.to_string();
            let delays = matches!(error, PipelineError::Rejected(Rejection::WouldDelay { .. }));
            let problem = Problem::from(error);
            assert_eq!((problem.code, problem.code.status().as_u16()), (code, status), "{text}");
            let retries = matches!(status, 429 | 503);
            assert_eq!(problem.retry_after.is_some(), retries, "{text}");
            let limited = matches!(status, 413 | 429) && !delays;
            assert_eq!(problem.exceeded.is_some(), limited, "{text}");
        }
    }

    #[test]
    fn what_failed_inside_stays_inside() {
        let problem = Problem::from(PipelineError::Internal("libonnxruntime.so at /opt".into()));
        let document = String::from_utf8(problem.document("id")).expect("UTF-8");
        assert!(!document.contains("onnx") && !document.contains("/opt"), "{document}");
    }
}
