//! The parameters about color, transparency and metadata, and the headers that report what came of them.

use std::str::FromStr;

use axum::http::HeaderName;
use strum::VariantNames;

use super::query::{ParamErrors, QueryParams};
use crate::pipeline::fidelity::{Background, Conversion};
use crate::pipeline::{Fidelity, Plan};

/// What was done to the image beside upscaling it.
pub const CONVERSIONS: HeaderName = HeaderName::from_static("x-upscale-conversions");
/// What was ignored or could not be kept.
pub const WARNINGS: HeaderName = HeaderName::from_static("x-upscale-warnings");

/// Reads the parameters.
pub fn read(query: &QueryParams, errors: &mut ParamErrors) -> Fidelity {
    let background = query.get("background").map_or_else(Background::default, |text| {
        text.parse().unwrap_or_else(|expected| {
            errors.add("background", text, expected);
            Background::default()
        })
    });
    Fidelity {
        icc: one_of("icc", query, errors),
        alpha: one_of("alpha", query, errors),
        background,
        metadata: one_of("metadata", query, errors),
        density: one_of("density", query, errors),
    }
}

/// One of a few words, or the default.
fn one_of<T: FromStr + VariantNames + Default>(parameter: &str, query: &QueryParams, errors: &mut ParamErrors) -> T {
    let Some(text) = query.get(parameter) else { return T::default() };
    text.parse().unwrap_or_else(|_| {
        errors.add(parameter, text, &format!("one of {}", T::VARIANTS.join(", ")));
        T::default()
    })
}

/// `orientation-applied, alpha-flattened;background="#ffffff"`: a list of tokens (RFC 9651, 3.1).
pub fn conversions(plan: &Plan) -> Option<String> {
    list(plan.conversions.iter().map(|conversion| match (conversion, &plan.background) {
        (Conversion::AlphaFlattened, Some(color)) => format!("{};background=\"{color}\"", conversion.name()),
        _ => conversion.name().to_owned(),
    }))
}

/// `profile-unreadable`: a list of tokens.
pub fn warnings(plan: &Plan) -> Option<String> {
    list(plan.warnings.iter().map(|warning| warning.name().to_owned()))
}

fn list(names: impl Iterator<Item = String>) -> Option<String> {
    let names: Vec<String> = names.collect();
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use images::Warning;
    use serde_yaml_ng::Value;

    use super::*;
    use crate::http::docs::OPENAPI;

    #[test]
    fn the_document_knows_every_name_and_no_other() {
        let document: Value = serde_yaml_ng::from_str(OPENAPI).expect("YAML");
        let plan = &document["components"]["schemas"]["Plan"]["properties"];
        let conversions: Vec<_> = Conversion::ALL.iter().map(|conversion| conversion.name()).collect();
        let warnings: Vec<_> = Warning::ALL.iter().map(|warning| warning.name()).collect();
        for (field, header, names) in [("conversions", "Conversions", conversions), ("warnings", "Warnings", warnings)]
        {
            let listed = plan[field]["items"]["enum"].as_sequence().expect("a list");
            assert_eq!(listed.iter().filter_map(Value::as_str).collect::<Vec<_>>(), names);
            let text = document["components"]["headers"][header]["description"].as_str().expect("a description");
            let documented: Vec<_> =
                text.lines().filter_map(|line| line.strip_prefix("- `")?.split('`').next()).collect();
            assert_eq!(documented, names, "{header}");
        }
    }
}
