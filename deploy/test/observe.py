"""Puts load on a real server that a real Prometheus scrapes, and evaluates every query there is: none may fail, none
that should have data may be empty, no metric may be read that is not exported, none exported that is not explained.

    observe.py SERVER MODELS [RUNTIME]     the binary, the folder of models, the ONNX Runtime library

Run by deploy/test/run.sh."""

import json
import math
import re
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

import load
import test_monitoring
from service import Installation, Stack, free_port

ROOT = Path(__file__).parents[2]
# Scraped every second, so that a minute of load has the samples that a quarter of an hour has in production.
SCRAPE = "1s"
LOAD_SECONDS = 45
WINDOW = "40s"
# What a healthy server answers none of. Its queries must evaluate, and may be empty; every other counter is there from 0.
NEVER_SELECTED = {("upscaler_requests_total", 'status=~"5.."')}


class Failed(Exception):
    pass


def prometheus_config(folder, target):
    rules = folder / "rules"
    rules.mkdir()
    for source in (ROOT / "deploy/prometheus/rules").glob("*.yaml"):
        text = re.sub(r"interval: \d+s", f"interval: {SCRAPE}", source.read_text())
        (rules / source.name).write_text(text)
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE, "evaluation_interval": SCRAPE}
    # As the operator's ServiceMonitor would label it.
    labels = {"namespace": "san-upscaler", "pod": "san-upscaler-0"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target], "labels": labels}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    return folder / "prometheus.yml"


class Prometheus:
    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}/api/v1/"

    def get(self, path, **parameters):
        url = self.base + path + "?" + urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise Failed(json.load(error)["error"]) from None

    def query(self, expression):
        """The finite values of an instant query; an infinite one counts as a value too."""
        found = self.get("query", query=expression)
        result = found["result"] if found["resultType"] == "vector" else [{"value": found["result"]}]
        return [value for one in result if not math.isnan(value := float(one["value"][1]))]


def concrete(query, model):
    """A dashboard's query with its variables filled in as Grafana would."""
    for name, value in {"$__rate_interval": WINDOW, "$namespace": ".*", "$instance": ".*", "$model": model}.items():
        query = query.replace(name, value)
    if "$" in query:
        raise Failed(f"a variable is left: {query}")
    return query


def selectors(expression):
    """Each metric that an expression reads, with its matchers and without its window."""
    bare = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", "", expression)
    return re.findall(r"(?<![\w:])((?:upscaler[_:]|process_)[\w:]+|up(?=\{))(\{[^}]*\})?", bare)


def never(name, matchers):
    """Whether a healthy server has nothing to show for it."""
    return any(name == metric and part in matchers for metric, part in NEVER_SELECTED)


def send(port, models, images):
    """One request of the mixed load; the turn decides which."""

    def one(turn):
        model = models[turn % len(models)]
        image = images[turn % len(images)]
        if turn % 11 == 3:
            return load.request(port, "POST", f"/v1/plan?scale=4&model={model}", image)[0]
        if turn % 11 == 5:
            return load.request(port, "POST", "/v1/upscale?scale=9", image)[0]
        if turn % 11 == 7:
            return load.request(port, "POST", "/v1/upscale", b"no image at all")[0]
        if turn % 11 == 9:
            return load.request(port, "POST", "/v1/upscale", load.png_file(60000, 60000, b""))[0]
        return load.request(port, "POST", f"/v1/upscale?scale=4&model={model}", image)[0]

    return one


def drive(port, models, look):
    """The load: steady clients, now and then more at once than the queue takes, and clients that leave. Calls `look` while
    it is on; what that says, and the statuses seen."""
    images = [load.png(width, height, width) for width, height in ((48, 48), (64, 96), (160, 120), (33, 200))]
    large, larger = load.png(250, 250), load.png(300, 300)
    path = f"/v1/upscale?scale=4&model={models[0]}"
    steady = load.Load(3, send(port, models, images))
    began = time.monotonic()
    left, bursts = 0, []
    while time.monotonic() - began < LOAD_SECONDS:
        load.leave(port, path, larger, 0.25)
        left += 1
        bursts.append(load.Load(4, lambda _: load.request(port, "POST", path, large)[0], each=1))
        time.sleep(8)
    seen = look()
    everyone = [steady, *bursts]
    for clients in everyone:
        clients.stop()
    errors = [error for clients in everyone for error in clients.errors]
    if errors:
        raise Failed(f"{len(errors)} requests had no answer, e.g. {errors[0]}")
    statuses = [status for clients in everyone for status, _ in clients.answers]
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    print(f"load: {counts} and {left} clients that left", flush=True)
    if any(status >= 500 for status in counts):
        raise Failed("the server failed under load")
    return seen, counts


def check_queries(prometheus, model):
    """Every query of every panel, every rule, docs/metrics.md and the adapter; what is wrong with them."""
    wrong, checked = [], 0

    def evaluate(where, expression, allow_empty=False):
        nonlocal checked
        checked += 1
        try:
            if not prometheus.query(expression) and not allow_empty:
                wrong.append(f"{where}: no data from {' '.join(expression.split())}")
        except Failed as error:
            wrong.append(f"{where}: {error} in {expression}")

    def check(where, expression, allow_empty=False):
        evaluate(where, expression, allow_empty)
        # What `or vector(0)` would hide, and an alert that does not fire: whatever they read must be there.
        for name, matchers in selectors(expression):
            evaluate(f"{where} reads", name + matchers, never(name, matchers))

    for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
        for where, query in test_monitoring.queries(path.name, json.loads(path.read_text())):
            if listed := re.fullmatch(r"label_values\((.*), (\w+)\)", query):
                series = prometheus.get("series", **{"match[]": concrete(listed[1], model)})
                checked += 1
                if not any(one.get(listed[2]) for one in series):
                    wrong.append(f"{where}: no series has a label {listed[2]}")
            else:
                check(where, concrete(query, model))
    for rule in test_monitoring.rules():
        if "record" in rule:
            evaluate(rule["record"], rule["record"])
            check(rule["record"], rule["expr"])
            continue
        check(rule["alert"], rule["expr"], allow_empty=True)
    for where, query in test_monitoring.explained():
        check(where, query)
    for served, series, template in test_monitoring.adapter():
        for name, value in {"Series": series, "GroupBy": "pod",
                            "LabelMatchers": 'namespace="san-upscaler",pod=~"san-upscaler-.*"'}.items():
            template = template.replace(f"<<.{name}>>", value)
        check(f"adapter: {served}", template)
    return wrong, checked


def check_rules(prometheus):
    """Whether Prometheus itself could evaluate each rule, and whether an alert fires on a healthy server."""
    wrong = []
    for group in prometheus.get("rules")["groups"]:
        for rule in group["rules"]:
            if rule["health"] != "ok":
                wrong.append(f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}")
            if rule.get("state") == "firing":
                wrong.append(f"{rule['name']} fires on a healthy server")
    return wrong


def check_names(exported):
    """Dashboards, rules, docs/metrics.md and the server must name the same metrics."""
    live = set(re.findall(r"^([a-z0-9_]+)(?:\{| )", exported, re.MULTILINE))
    documented = set(test_monitoring.documented())
    unexplained = live - documented
    absent = documented - live
    return [f"{name} is exported and not in docs/metrics.md" for name in sorted(unexplained)] + [
        f"{name} is in docs/metrics.md and was not exported under load" for name in sorted(absent)
    ]


def main():
    installed = Installation(sys.argv[1:])
    models = installed.models
    port, metrics_port, prometheus_port = free_port(), free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="observe-") as temporary, Stack(Path(temporary)) as stack:
        folder = Path(temporary)
        # A short queue, so that a few clients can fill it.
        flags = ["--metrics-listen", f"127.0.0.1:{metrics_port}", "--queue-tiles", "30"]
        stack.start("server", installed.serve(port, *flags))
        config = prometheus_config(folder, f"127.0.0.1:{metrics_port}")
        stack.start("prometheus", ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
                                   f"--web.listen-address=127.0.0.1:{prometheus_port}", "--log.level=warn"])
        stack.wait_ready("server", f"http://127.0.0.1:{port}/health/ready")
        stack.wait_ready("prometheus", f"http://127.0.0.1:{prometheus_port}/-/ready")
        prometheus = Prometheus(prometheus_port)
        (wrong, checked), counts = drive(port, models, lambda: check_queries(prometheus, models[0]))
        wrong += [f"no request was answered {status}" for status in (200, 400, 413, 415, 429) if status not in counts]
        wrong += check_rules(prometheus)
        _, exported = load.request(metrics_port, "GET", "/metrics")
        wrong += check_names(exported.decode())
        if (status := stack.end("server", 60)) != 0:
            wrong.append(f"the server ended with {status}:\n{stack.log('server')}")
    for line in wrong:
        print(f"observe: {line}", file=sys.stderr)
    print(f"observe: {checked} queries evaluated against {models}, {len(wrong)} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
