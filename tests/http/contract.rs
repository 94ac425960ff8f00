//! The document at the root, the one that is served, and what the port does.

use serde_yaml_ng::Value;

use crate::support::Server;

const FILE: &str = include_str!("../../openapi.yaml");

#[tokio::test]
async fn the_served_document_is_the_file_and_every_path_in_it_is_there() {
    let server = Server::start(&[]);
    let response = server.get("/openapi.yaml").await;
    assert_eq!(response.headers()["content-type"], "application/yaml; charset=utf-8");
    assert_eq!(response.text().await.expect("text"), FILE);

    let document: Value = serde_yaml_ng::from_str(FILE).expect("YAML");
    assert_eq!(document["info"]["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
    for (path, item) in document["paths"].as_mapping().expect("paths") {
        let path = path.as_str().expect("a path").replace("{name}", "style.css");
        for method in ["GET", "POST"] {
            let documented = item.get(method.to_lowercase()).is_some();
            let request = server.client.request(method.parse().expect("a method"), server.url(&path));
            let response = request.send().await.expect("an answer");
            let status = response.status().as_u16();
            assert_eq!(status != 404 && status != 405, documented, "{method} {path} answers {status}");
            if documented {
                let responses = &item[method.to_lowercase().as_str()]["responses"];
                assert!(responses.get(status.to_string()).is_some(), "{method} {path} answers {status}, undocumented");
            }
        }
    }
}

#[tokio::test]
async fn answers_have_the_fields_that_their_schemas_require() {
    let server = Server::start(&[]);
    let document: Value = serde_yaml_ng::from_str(FILE).expect("YAML");
    for (path, schema) in [("/v1/models", "Models"), ("/v1/limits", "Limits"), ("/health/ready", "Health")] {
        let answer: Value = server.get(path).await.json().await.expect("JSON");
        holds(&document, &document["components"]["schemas"][schema], &answer, path);
    }
    let image = crate::support::png(&crate::support::drawing(9, 9));
    let plan = server.post("/v1/plan?scale=2.5", image).send().await.expect("an answer");
    holds(&document, &document["components"]["schemas"]["Plan"], &plan.json().await.expect("JSON"), "/v1/plan");
}

/// Required fields are there, no other field is, and types are right: as much of JSON Schema as the document uses.
fn holds(document: &Value, schema: &Value, answer: &Value, at: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => &document["components"]["schemas"][reference.rsplit('/').next().expect("a name")],
        None => schema,
    };
    let types: Vec<&str> = match &schema["type"] {
        Value::Sequence(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let right = types.iter().any(|name| match *name {
        "object" => answer.is_mapping(),
        "array" => answer.is_sequence(),
        "string" => answer.is_string(),
        "boolean" => answer.is_bool(),
        "integer" => answer.is_u64(),
        "number" => answer.is_number(),
        "null" => answer.is_null(),
        other => panic!("{at}: unknown type {other}"),
    });
    assert!(right, "{at}: {answer:?} should be {types:?}");
    // Of an object; where there may be none, null has no fields.
    for name in schema["required"].as_sequence().into_iter().flatten().filter_map(Value::as_str) {
        assert!(answer.is_null() || answer.get(name).is_some(), "{at} lacks {name}");
    }
    if let (Some(answer), Some(properties)) = (answer.as_mapping(), schema["properties"].as_mapping()) {
        for (name, value) in answer {
            let name = name.as_str().expect("a name");
            let property = properties.get(name).unwrap_or_else(|| panic!("{at} has {name}, undocumented"));
            holds(document, property, value, &format!("{at}.{name}"));
        }
    }
    for item in answer.as_sequence().into_iter().flatten() {
        holds(document, &schema["items"], item, &format!("{at}[]"));
    }
}

#[tokio::test]
async fn pages_need_nothing_from_elsewhere() {
    let server = Server::start(&[]);
    for path in ["/", "/docs"] {
        let response = server.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        let policy = response.headers()["content-security-policy"].to_str().expect("text").to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let html = response.text().await.expect("text");
        for attribute in ["src=\"", "href=\""] {
            for link in html.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(!link.contains("//"), "{path} refers to {link}");
                if !link.starts_with('#') {
                    let there = server.get(&format!("/{}", link.trim_start_matches("./"))).await;
                    assert_eq!(there.status(), 200, "{path} refers to {link}");
                }
            }
        }
        assert!(!html.contains("style=") && !html.contains("onclick="), "the policy forbids what stands in the page");
        assert!(!html.contains("<script>"), "so it does with a script within the page");
    }
}

#[tokio::test]
async fn the_files_of_swagger_ui_are_those_that_the_page_needs() {
    let server = Server::start(&[]);
    for (name, media_type) in [("swagger-ui-bundle.js", "text/javascript"), ("swagger-ui.css", "text/css")] {
        let response = server.get(&format!("/assets/{name}")).await;
        assert_eq!(response.status(), 200, "{name}");
        assert_eq!(response.headers()["content-type"], media_type, "{name}");
        assert!(response.text().await.expect("text").contains("swagger"), "{name}");
    }
    for name in ["oauth2-redirect.html", "swagger-ui.css.map", "", "..%2fopenapi.yaml"] {
        assert_eq!(server.get(&format!("/assets/{name}")).await.status(), 404, "{name}");
    }
}
