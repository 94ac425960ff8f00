//! `GET /openapi.yaml`: the contract, as a file; [`super::pages`] has the page that reads it.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// The contract: the file at the root of the repository.
pub const OPENAPI: &str = include_str!("../../openapi.yaml");

/// The file.
pub async fn openapi() -> Response {
    // The type registered in RFC 9512.
    ([(header::CONTENT_TYPE, "application/yaml; charset=utf-8")], OPENAPI).into_response()
}

#[cfg(test)]
mod tests {
    //! Holds the document to the code: what one of them has, the other has too. tests/http asks the port for the rest.

    use std::collections::BTreeSet;

    use images::{CodecError, InputLimits};
    use serde_yaml_ng::Value;

    use super::OPENAPI;
    use crate::http::problem::{Code, Problem};
    use crate::http::{query, router, upload};

    fn document() -> Value {
        serde_yaml_ng::from_str(OPENAPI).expect("openapi.yaml is YAML")
    }

    fn keys(value: &Value) -> BTreeSet<String> {
        value.as_mapping().expect("a mapping").keys().map(|key| key.as_str().expect("a name").to_owned()).collect()
    }

    fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
        let Some(path) = value["$ref"].as_str() else { return value };
        let path = path.strip_prefix("#/").expect("references stay in the document");
        path.split('/').fold(document, |at, key| at.get(key).unwrap_or_else(|| panic!("{path} leads nowhere")))
    }

    /// Every value of the document, so that no reference is missed.
    fn walk(value: &Value, visit: &mut impl FnMut(&Value)) {
        visit(value);
        match value {
            Value::Mapping(mapping) => mapping.values().for_each(|inner| walk(inner, visit)),
            Value::Sequence(sequence) => sequence.iter().for_each(|inner| walk(inner, visit)),
            _ => {}
        }
    }

    #[test]
    fn routes_are_those_of_the_document() {
        let document = document();
        let written: BTreeSet<(String, String)> = keys(&document["paths"])
            .into_iter()
            .flat_map(|path| {
                let methods = keys(&document["paths"][&path]);
                methods.into_iter().map(move |method| (path.clone(), method.to_uppercase()))
            })
            .collect();
        let routed = router::ROUTES.iter().map(|route| (route.path.to_owned(), route.method.to_owned())).collect();
        assert_eq!(written, routed);
    }

    #[test]
    fn paths_that_ask_for_a_key_say_so() {
        let document = document();
        let schemes = keys(&document["components"]["securitySchemes"]);
        for route in &router::ROUTES {
            let operation = &document["paths"][route.path][route.method.to_lowercase().as_str()];
            let choices = operation["security"].as_sequence();
            // Each scheme, or none at all where the server has no keys.
            let secured =
                choices.is_some_and(|choices| choices.iter().map(keys).eq([schemes.clone(), BTreeSet::new()]));
            assert_eq!(secured, route.keyed, "{}", route.path);
            assert_eq!(operation["responses"].get("401").is_some(), route.keyed, "{}", route.path);
            assert_eq!(route.keyed, route.path.starts_with("/v1/"), "{}", route.path);
        }
    }

    #[test]
    fn parameters_are_those_of_the_document() {
        let document = document();
        let known: BTreeSet<String> = query::PARAMETERS.iter().map(|&name| name.to_owned()).collect();
        for path in ["/v1/upscale", "/v1/plan"] {
            let parameters = document["paths"][path]["post"]["parameters"].as_sequence().expect("a list");
            let query = parameters.iter().map(|parameter| resolve(&document, parameter)).filter(|p| p["in"] == "query");
            let written: BTreeSet<String> =
                query.map(|parameter| parameter["name"].as_str().expect("a name").to_owned()).collect();
            assert_eq!(written, known, "{path}");
        }
        let form = &document["components"]["requestBodies"]["Image"]["content"]["multipart/form-data"]["schema"];
        assert_eq!(keys(&form["properties"]), upload::FIELDS.iter().map(|&name| name.to_owned()).collect());
    }

    #[test]
    fn problems_are_those_of_the_document() {
        let document = document();
        let known: BTreeSet<String> = Code::ALL.iter().map(|code| code.name().to_owned()).collect();
        let listed = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_sequence();
        let listed = listed.expect("a list").iter().map(|code| code.as_str().expect("a name").to_owned()).collect();
        assert_eq!(known, listed, "the codes of the schema");
        assert_eq!(known, keys(&document["components"]["examples"]), "the examples");

        for code in Code::ALL {
            let example = &document["components"]["examples"][code.name()]["value"];
            let detail = example["detail"].as_str().expect("a detail");
            let sent = Problem::new(*code, detail).document("id");
            let sent: serde_json::Value = serde_json::from_slice(&sent).expect("JSON");
            for field in ["type", "title", "status", "code"] {
                let written = serde_json::to_value(&example[field]).expect("YAML of JSON's kind");
                assert_eq!(sent[field], written, "{}: {field}", code.name());
            }
        }
    }

    #[test]
    fn every_problem_is_promised_somewhere_under_its_status() {
        let document = document();
        let mut promised = BTreeSet::new();
        for route in router::ROUTES {
            let responses = &document["paths"][route.path][route.method.to_lowercase()]["responses"];
            for status in keys(responses) {
                let content = &resolve(&document, &responses[&status])["content"]["application/problem+json"];
                if content.is_mapping() {
                    promised.extend(keys(&content["examples"]).into_iter().map(|code| (status.clone(), code)));
                }
            }
        }
        for code in Code::ALL {
            // No path promises 405: it is the answer to methods that a path does not have.
            let expected = (code.status().as_u16().to_string(), code.name().to_owned());
            assert!(*code == Code::MethodNotAllowed || promised.contains(&expected), "{expected:?}");
        }
    }

    #[test]
    fn every_path_that_answers_503_while_models_load_says_so() {
        let document = document();
        for route in &router::ROUTES {
            let responses = &document["paths"][route.path][route.method.to_lowercase().as_str()]["responses"];
            assert_eq!(responses.get("503").is_some(), route.path != "/health/live", "{}", route.path);
        }
    }

    #[test]
    fn limits_are_reported_under_the_names_that_refusals_use() {
        let limits = keys(&document()["components"]["schemas"]["Limits"]["properties"]);
        let side = images::units::Size { width: 70_000, height: 1 };
        let input = InputLimits { input_pixels: u64::MAX, output_pixels: u64::MAX }.check_input(side);
        let Err(CodecError::TooLarge { name, .. }) = input else { panic!("{input:?}") };
        for name in [name, "output_side"] {
            assert!(limits.contains(name), "{name}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut count = 0;
        walk(&document, &mut |value| {
            if value.get("$ref").is_some() {
                count += 1;
                resolve(&document, value);
            }
        });
        assert!(count > 50, "{count} references");
    }
}
