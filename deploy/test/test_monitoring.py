"""Rules and dashboards: generated copies are fresh, names are those that the server exports, alerts are explained. What
needs a Prometheus and a server is in observe.py. Run by deploy/test/manifests.sh."""

import importlib.util
import json
import re
import unittest
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def script(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rules():
    files = sorted((DEPLOY / "prometheus/rules").glob("*.yaml"))
    return [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def queries(name, part):
    """Every query of a dashboard, with where it stands."""
    for variable in part["templating"]["list"]:
        if variable["type"] == "query":
            yield f"{name}: variable {variable['name']}", variable["query"]["query"]
    for panel in part["panels"]:
        for target in panel.get("targets", []):
            yield f"{name}: {panel['title']}", target["expr"]


def documented():
    """The metrics of docs/metrics.md by name, with their labels; a test of the server holds it to what is exported."""
    found = {}
    for line in (ROOT / "docs/metrics.md").read_text().splitlines():
        cells = [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        if line.startswith("|") and re.match(r"(upscaler|process)_", cells[0]):
            labels = {label.strip() for label in cells[2].split(",") if label.strip()}
            suffixes = ["_bucket", "_sum", "_count"] if cells[1] == "histogram" else [""]
            for suffix in suffixes:
                found[cells[0] + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return found


def explained():
    """The queries that docs/metrics.md shows: its indented lines."""
    lines = (ROOT / "docs/metrics.md").read_text().splitlines()
    return [("docs/metrics.md", line.strip()) for line in lines if line.startswith("    ")]


def adapter():
    """What the adapter serves: the name that an autoscaler reads, with the series and the template of its query."""
    for rule in yaml.safe_load((DEPLOY / "prometheus/adapter.yaml").read_text())["rules"]:
        series = rule["seriesQuery"].split("{")[0]
        yield re.sub(rule["name"]["matches"], rule["name"]["as"].replace("$", "\\"), series, count=1), series, rule["metricsQuery"]


class Monitoring(unittest.TestCase):
    def setUp(self):
        self.rules = rules()
        self.dashboards = {path.name: json.loads(path.read_text()) for path in (DEPLOY / "grafana/dashboards").iterdir()}
        self.queries = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in self.rules]
        for name, dashboard in self.dashboards.items():
            self.queries += queries(name, dashboard)
        self.queries += explained()
        self.queries += [(f"adapter: {served}", template.replace("<<.Series>>", series)) for served, series, template in adapter()]

    def test_generated_files_are_fresh(self):
        written = {name: (DEPLOY / "grafana/dashboards" / name).read_text() for name in self.dashboards}
        self.assertEqual(written, script(DEPLOY / "grafana/dashboards.py").written(), "run deploy/grafana/dashboards.py")
        rule = (DEPLOY / "prometheus/prometheusrule.yaml").read_text()
        self.assertEqual(rule, script(DEPLOY / "prometheus/prometheusrule.py").prometheusrule(), "run deploy/prometheus/prometheusrule.py")
        sources = [group for file in sorted((DEPLOY / "prometheus/rules").glob("*.yaml"))
                   for group in yaml.safe_load(file.read_text())["groups"]]
        self.assertEqual(yaml.safe_load(rule)["spec"]["groups"], sources)

    def test_every_dashboard_is_rolled_out(self):
        listed = yaml.safe_load((DEPLOY / "grafana/kustomization.yaml").read_text())["configMapGenerator"][0]["files"]
        self.assertEqual(sorted(listed), sorted(f"dashboards/{name}" for name in self.dashboards))

    def test_every_metric_is_exported(self):
        exported = documented()
        self.assertGreater(len(exported), 20)
        recorded = {rule["record"] for rule in self.rules if "record" in rule}
        for where, query in self.queries:
            with self.subTest(where=where):
                named = re.findall(r"(?<![\w:/-])((?:upscaler|process)_\w+)", re.sub(r'"[^"]*"', '""', query))
                series = re.findall(r"upscaler:[\w:]+", query)
                self.assertTrue(named or series or re.search(r"\b(up|ALERTS)\{", query), query)
                self.assertLessEqual(set(named), exported.keys())
                self.assertLessEqual(set(series), recorded)

    def test_every_label_exists(self):
        exported = documented()
        # By Prometheus itself, from the scrape.
        target = {"job", "instance", "namespace", "pod"}
        for where, query in self.queries:
            with self.subTest(where=where):
                for name, matchers in re.findall(r"((?:upscaler|process)_\w+)\{([^}]*)\}", query):
                    labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", matchers))
                    self.assertLessEqual(labels, exported[name] | target, name)

    def test_every_recording_is_used(self):
        read = " ".join(query for _, query in self.queries)
        unused = [rule["record"] for rule in self.rules if "record" in rule and rule["record"] not in read]
        self.assertEqual(unused, [])

    def test_every_alert_is_tested_and_explained(self):
        tests = "".join(path.read_text() for path in (DEPLOY / "prometheus/tests").glob("*.yaml"))
        headings = re.findall(r"^### (\w+)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
        alerts = [rule["alert"] for rule in self.rules if "alert" in rule]
        self.assertEqual(sorted(alerts), sorted(h for h in headings if h.startswith("Upscaler")))
        for rule in self.rules:
            if "alert" in rule:
                self.assertIn(f"alertname: {rule['alert']}\n", tests)
                self.assertEqual(rule["annotations"]["runbook"], f"docs/operations.md#{rule['alert'].lower()}")
                self.assertIn(rule["labels"]["severity"], {"critical", "warning"})

    def test_what_the_adapter_serves_has_a_name_that_kubernetes_takes(self):
        # A colon would end up in the path of a request to the API server.
        names = [served for served, _, _ in adapter()]
        self.assertEqual(names, ["upscaler_admitted_seconds", "upscaler_inflight_bytes"])


if __name__ == "__main__":
    unittest.main()
