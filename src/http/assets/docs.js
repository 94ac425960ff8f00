// Starts Swagger UI on openapi.yaml, and lists the problems of the same document, where `type` of a problem leads to.

"use strict";

function element(name, content, attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...[content].flat());
  return made;
}

function problem([code, example]) {
  return element("section", [
    element("h4", [element("code", code), ` ${example.value.status}: ${example.value.title}`]),
    element("p", example.summary ?? ""),
    element("pre", JSON.stringify(example.value, null, 2)),
  ], { id: code });
}

function showProblems(examples) {
  document.getElementById("problems").replaceChildren(
    element("h2", "Problems", { id: "problems-title", className: "title" }),
    element("p", "Every error is application/problem+json (RFC 9457). Programs match on the code; the detail is for people and may change."),
    ...Object.entries(examples).map(problem),
  );
  // The browser looked for the fragment before it was there. Swagger UI's own begin with a slash.
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

const ui = SwaggerUIBundle({
  url: "openapi.yaml",
  domNode: document.getElementById("swagger-ui"),
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  // Its default sends the document's address to a server of Swagger's makers.
  validatorUrl: null,
  onComplete: () => showProblems(ui.specSelectors.specJson().toJS().components.examples),
});
