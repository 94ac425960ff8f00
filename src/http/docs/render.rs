//! The contract, an `OpenAPI` document, as one page of HTML: no script, nothing from elsewhere.
//!
//! Only the shapes that our own document has are known here: parameters, bodies, headers and examples by reference,
//! schemas of objects one level deep. What a reference does not find is left out; a test sees to it that none is.

use std::fmt::Write as _;

use serde_yaml_ng::Value;

/// The whole page.
///
/// # Panics
/// If the document is not YAML: it is part of the binary, and a test reads it.
pub fn page(openapi: &str) -> String {
    let root: Value = serde_yaml_ng::from_str(openapi).expect("openapi.yaml is YAML: a test reads it");
    let page = Page { root: &root };
    let title = text(&root["info"]["title"]);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}: the API</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <link rel=\"icon\" href=\"assets/icon.svg\"><link rel=\"stylesheet\" href=\"assets/style.css\"></head>\
         <body class=\"docs\"><nav aria-label=\"Contents\"><p><a href=\"./\"><strong>{title}</strong></a></p><ul>{}</ul></nav>\
         <main><h1>{title}: the API</h1><p class=\"lead\">{} Version {}. \
         <a href=\"openapi.yaml\">openapi.yaml</a> is the same as a file.</p>{}",
        page.contents(),
        text(&root["info"]["summary"]),
        text(&root["info"]["version"]),
        prose(string(&root["info"]["description"])),
    );
    for (path, method, operation) in page.operations() {
        page.operation(&mut html, path, method, operation);
    }
    page.problems(&mut html);
    page.schemas(&mut html);
    html.push_str("</main></body></html>\n");
    html
}

struct Page<'a> {
    root: &'a Value,
}

impl<'a> Page<'a> {
    /// Follows `$ref`, if there is one.
    fn resolve(&self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/")) {
            Some(path) => path.split('/').fold(self.root, |at, key| &at[key]),
            None => value,
        }
    }

    /// Path, method and operation, in the order of the document.
    fn operations(&self) -> impl Iterator<Item = (&'a str, &'a str, &'a Value)> {
        entries(&self.root["paths"]).flat_map(|(path, item)| entries(item).map(move |(method, op)| (path, method, op)))
    }

    fn contents(&self) -> String {
        let mut html = String::new();
        for (path, method, operation) in self.operations() {
            let id = text(&operation["operationId"]);
            let _ = write!(html, "<li><a href=\"#{id}\">{} {}</a></li>", badge(method), escape(path));
        }
        html.push_str("<li><a href=\"#problems\">Problems</a></li><li><a href=\"#schemas\">Schemas</a></li>");
        html
    }

    fn operation(&self, html: &mut String, path: &str, method: &str, operation: &'a Value) {
        let _ = write!(
            html,
            "<section id=\"{}\"><h2>{} {}</h2><p class=\"lead\">{}</p>{}",
            text(&operation["operationId"]),
            badge(method),
            escape(path),
            text(&operation["summary"]),
            prose(string(&operation["description"])),
        );
        let parameters = items(&operation["parameters"]).map(|parameter| self.resolve(parameter));
        let rows = parameters.map(|parameter| {
            let schema = &parameter["schema"];
            [
                format!("<code>{}</code><br><small>{}</small>", text(&parameter["name"]), text(&parameter["in"])),
                kind(schema),
                inline(string(&parameter["description"])),
                format!("<code>{}</code>", escape(&scalar(&parameter["example"]))),
            ]
        });
        table(html, "Parameters", ["Name", "Type", "Meaning", "Example"], rows);

        let body = self.resolve(&operation["requestBody"]);
        if body["content"].is_mapping() {
            let types = entries(&body["content"]).map(|(media_type, _)| format!("<code>{}</code>", escape(media_type)));
            let _ = write!(
                html,
                "<h3>Body</h3><p>{}</p><p>{}</p>",
                inline(string(&body["description"])),
                types.collect::<Vec<_>>().join(", "),
            );
        }
        let rows = entries(&operation["responses"]).map(|(status, response)| {
            let response = self.resolve(response);
            [format!("<code>{}</code>", escape(status)), inline(string(&response["description"])), content(response)]
        });
        table(html, "Answers", ["Status", "Meaning", "Content"], rows);
        let headers = entries(&operation["responses"]["200"]["headers"]).map(|(name, header)| {
            let header = self.resolve(header);
            let example = format!("<code>{}</code>", escape(&scalar(&header["example"])));
            [format!("<code>{}</code>", escape(name)), inline(string(&header["description"])), example]
        });
        table(html, "Headers of the answer", ["Name", "Meaning", "Example"], headers);
        let example = &operation["responses"]["200"]["content"]["application/json"]["example"];
        if !example.is_null() {
            let _ = write!(html, "<h3>Example</h3>{}", json(example));
        }
        html.push_str("</section>");
    }

    fn problems(&self, html: &mut String) {
        html.push_str(
            "<section id=\"problems\"><h2>Problems</h2><p>Every error is <code>application/problem+json</code> \
             (RFC 9457). Programs match on <code>code</code>; the <code>detail</code> is for people and may change.</p>",
        );
        for (code, example) in entries(&self.root["components"]["examples"]) {
            let _ = write!(
                html,
                "<section id=\"{0}\"><h3><code>{0}</code> <span class=\"status\">{1}</span></h3><p>{2}</p>{3}</section>",
                escape(code),
                escape(&scalar(&example["value"]["status"])),
                inline(string(&example["summary"])),
                json(&example["value"]),
            );
        }
        html.push_str("</section>");
    }

    fn schemas(&self, html: &mut String) {
        html.push_str("<section id=\"schemas\"><h2>Schemas</h2>");
        for (name, schema) in entries(&self.root["components"]["schemas"]) {
            let _ = write!(
                html,
                "<section id=\"schema-{0}\"><h3>{0}</h3><p>{1}</p>",
                escape(name),
                inline(string(&schema["description"])),
            );
            self.properties(html, schema);
            html.push_str("</section>");
        }
        html.push_str("</section>");
    }

    fn properties(&self, html: &mut String, schema: &'a Value) {
        let required: Vec<&str> = items(&schema["required"]).map(string).collect();
        let rows = entries(&schema["properties"]).map(|(name, property)| {
            let always = if required.contains(&name) { "" } else { " <small>not always there</small>" };
            let meaning = inline(string(&self.resolve(property)["description"]));
            [format!("<code>{}</code>{always}", escape(name)), kind(property), meaning]
        });
        table(html, "", ["Name", "Type", "Meaning"], rows);
        // Lists of objects written in place (the models and their scales) are shown below their owner.
        for (name, property) in entries(&schema["properties"]) {
            if property["items"]["properties"].is_mapping() {
                let _ = write!(html, "<h4>Each of <code>{}</code></h4>", escape(name));
                self.properties(html, &property["items"]);
            }
        }
    }
}

/// Problem codes as links, other content as media types.
fn content(response: &Value) -> String {
    let parts = entries(&response["content"]).map(|(media_type, content)| {
        let codes: Vec<String> = entries(&content["examples"])
            .map(|(code, _)| format!("<a href=\"#{0}\"><code>{0}</code></a>", escape(code)))
            .collect();
        if codes.is_empty() { format!("<code>{}</code>", escape(media_type)) } else { codes.join(", ") }
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// A heading and a table, or nothing where there are no rows.
fn table<const N: usize>(html: &mut String, title: &str, head: [&str; N], rows: impl Iterator<Item = [String; N]>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    if !title.is_empty() {
        let _ = write!(html, "<h3>{title}</h3>");
    }
    html.push_str("<div class=\"wide\"><table><thead><tr>");
    for cell in head {
        let _ = write!(html, "<th scope=\"col\">{cell}</th>");
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows {
        html.push_str("<tr>");
        for cell in row {
            let _ = write!(html, "<td>{cell}</td>");
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
}

/// The type of a schema in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return format!("<a href=\"#schema-{0}\">{0}</a>", escape(name));
    }
    let name = match &schema["type"] {
        Value::Sequence(types) => types.iter().map(scalar).collect::<Vec<_>>().join(" or "),
        one => scalar(one),
    };
    let mut words = escape(&name);
    if name == "array" {
        let _ = write!(words, " of {}", kind(&schema["items"]));
    }
    let values: Vec<String> = items(&schema["enum"]).map(|v| format!("<code>{}</code>", escape(&scalar(v)))).collect();
    if !values.is_empty() {
        let _ = write!(words, ": {}", values.join(", "));
    }
    for (key, word) in [("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"), ("default", "default")] {
        if !schema[key].is_null() {
            let _ = write!(words, ", {word} {}", escape(&scalar(&schema[key])));
        }
    }
    words
}

fn badge(method: &str) -> String {
    format!("<span class=\"method {0}\">{1}</span>", escape(method), escape(&method.to_uppercase()))
}

fn json(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    format!("<pre><code>{}</code></pre>", escape(&text))
}

/// Paragraphs, and blocks of code where they are indented by four.
fn prose(text: &str) -> String {
    let blocks =
        text.split("\n\n").filter(|block| !block.trim().is_empty()).map(|block| match block.strip_prefix("    ") {
            Some(code) => format!("<pre><code>{}</code></pre>", escape(&code.replace("\n    ", "\n"))),
            None => format!("<p>{}</p>", inline(block)),
        });
    blocks.collect()
}

/// Text with `code` in backticks.
fn inline(text: &str) -> String {
    let mut html = String::new();
    for (i, part) in text.split('`').enumerate() {
        let _ =
            if i % 2 == 1 { write!(html, "<code>{}</code>", escape(part)) } else { write!(html, "{}", escape(part)) };
    }
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn text(value: &Value) -> String {
    escape(string(value))
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A scalar as it stands in the document.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(bool) => bool.to_string(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_mapping().into_iter().flatten().filter_map(|(key, value)| Some((key.as_str()?, value)))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_sequence().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::docs::OPENAPI;
    use crate::http::problem::Code;

    #[test]
    fn the_page_shows_every_operation_and_every_problem() {
        let page = page(OPENAPI);
        for route in crate::http::router::ROUTES {
            assert!(page.contains(&format!("</span> {}</h2>", route.path)), "{}", route.path);
        }
        for code in Code::ALL {
            assert!(page.contains(&format!("<section id=\"{}\">", code.name())), "{}", code.name());
        }
    }

    #[test]
    fn every_link_on_the_page_leads_somewhere() {
        let page = page(OPENAPI);
        for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(page.contains(&format!("id=\"{link}\"")), "#{link}");
        }
    }

    #[test]
    fn text_is_escaped_and_code_is_marked() {
        assert_eq!(inline("a `<b>` & c"), "a <code>&lt;b&gt;</code> &amp; c");
        assert_eq!(prose("one\n\n    two\n    three\n"), "<p>one</p><pre><code>two\nthree\n</code></pre>");
    }
}
