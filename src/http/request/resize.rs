//! The size that is asked for: `scale`, or `width` and `height` with `fit`.

use images::geometry::{Fit, Resize};
use images::units::Scale;

use crate::http::query::{ParamErrors, QueryParams};

/// Magnification where nothing is asked for.
const DEFAULT_SCALE: u8 = 4;

/// Reads the four parameters; `None` if there are errors.
pub(super) fn resize(query: &QueryParams, errors: &mut ParamErrors) -> Option<Resize> {
    let (before, scale) = (errors.0.len(), query.get("scale"));
    let side = |name, errors: &mut ParamErrors| {
        let text = query.get(name)?;
        // `u32` would take "+1" as well; a query is not the place for it.
        let pixels = text.parse().ok().filter(|pixels| *pixels > 0 && text.bytes().all(|b| b.is_ascii_digit()));
        if pixels.is_none() {
            errors.add(name, text, "a whole number of pixels, 1 or more");
        }
        pixels.or(Some(0))
    };
    let (width, height) = (side("width", errors), side("height", errors));
    if let Some(text) = scale {
        for (name, side) in [("width", width), ("height", height)] {
            if side.is_some() {
                let other = query.get(name).unwrap_or_default();
                errors.conflict(("scale", text), (name, other), "ask for a scale or for sides");
            }
        }
    }
    let fit = query.get("fit").map(|text| {
        if width.is_none() || height.is_none() {
            let detail = "fit is how an image is fitted into width and height; give both, or leave fit out";
            errors.report("fit", detail.into());
        }
        text.parse().unwrap_or_else(|_| {
            errors.add("fit", text, "inside, cover or fill");
            Fit::Inside
        })
    });
    let resize = match scale {
        _ if width.is_some() || height.is_some() => Some(Resize::To { width, height, fit: fit.unwrap_or_default() }),
        None => Scale::new(DEFAULT_SCALE).map(|scale| Resize::By(scale.into())),
        Some(text) => {
            let factor = text.parse();
            if let Err(error) = &factor {
                errors.add("scale", text, &format!("{error}"));
            }
            factor.ok().map(Resize::By)
        }
    };
    resize.filter(|_| errors.0.len() == before)
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;

    use super::*;

    fn asked(query: &str) -> Result<String, Vec<(String, String)>> {
        let uri: Uri = format!("/v1/upscale?{query}").parse().expect("a URI");
        let mut errors = ParamErrors::default();
        let params = QueryParams::read(&uri, &mut errors);
        let resize = resize(&params, &mut errors);
        assert_eq!(resize.is_some(), errors.0.is_empty(), "{query}");
        let errors = || errors.0.into_iter().map(|error| (error.parameter, error.detail)).collect();
        resize.map(|resize| resize.to_string()).ok_or_else(errors)
    }

    #[test]
    fn a_scale_or_sides_or_neither() {
        for (query, meant) in [
            ("", "4"),
            ("scale=1", "1"),
            ("scale=2.50", "2.5"),
            ("width=800", "800x"),
            ("height=1", "x1"),
            ("width=800&height=600", "800x600 inside"),
            ("width=800&height=600&fit=inside", "800x600 inside"),
            ("fit=cover&width=800&height=600", "800x600 cover"),
            ("width=800&height=600&fit=fill", "800x600 fill"),
        ] {
            assert_eq!(asked(query), Ok(meant.to_owned()), "{query}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_reported_with_both_names() {
        let errors = asked("scale=2&width=800&height=600").expect_err("refused");
        let expected = ["width", "height"].map(|side| {
            let value = if side == "width" { 800 } else { 600 };
            (
                "scale".to_owned(),
                format!("scale '2' and {side} '{value}' contradict each other; ask for a scale or for sides"),
            )
        });
        assert_eq!(errors, expected);
        for query in ["fit=cover", "fit=cover&width=800", "fit=fill&height=9", "fit=inside&scale=2"] {
            let errors = asked(query).expect_err("refused");
            assert_eq!((errors.len(), errors[0].0.as_str()), (1, "fit"), "{query}");
            assert!(errors[0].1.contains("width and height"), "{query}");
        }
    }

    #[test]
    fn values_are_plain_numbers_in_their_range() {
        for (query, parameter) in [
            ("scale=0.99", "scale"),
            ("scale=8.01", "scale"),
            ("scale=", "scale"),
            ("scale=2,5", "scale"),
            ("width=0", "width"),
            ("width=%2B8", "width"),
            ("width=8.0", "width"),
            ("height=-1", "height"),
            ("height=4294967296", "height"),
            ("width=8&height=8&fit=contain", "fit"),
        ] {
            let errors = asked(query).expect_err("refused");
            assert_eq!((errors.len(), errors[0].0.as_str()), (1, parameter), "{query}");
        }
        assert_eq!(
            asked("scale=9"),
            Err(vec![(
                "scale".into(),
                "scale is '9'; it must be a decimal number from 1 to 8, such as 4 or 2.5".into()
            )])
        );
    }
}
