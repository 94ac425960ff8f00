#!/usr/bin/env python3
"""Writes dashboards/*.json. The dashboards are code: change them here, run this, and commit both; a test holds the two
together, validates the result by Grafana's own schema and evaluates every query against a real server."""

import json
from pathlib import Path

HERE = Path(__file__).parent
# Which instances: those of the two variables at the top of each dashboard.
S = 'job="san-upscaler", namespace=~"$namespace", instance=~"$instance"'
# Recording rules are summed over instances.
R = 'job="san-upscaler", namespace=~"$namespace"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24


def target(expr, legend, **more):
    return {"datasource": SOURCE, "expr": expr, "legendFormat": legend, "range": True, **more}


def instant(expr, legend="", **more):
    return {"datasource": SOURCE, "expr": expr, "legendFormat": legend, "instant": True, "range": False, **more}


def panel(kind, title, description, targets, width, height, unit, options, defaults=None, overrides=None, custom=None):
    for number, one in enumerate(targets):
        one["refId"] = chr(ord("A") + number)
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "gridPos": {"x": 0, "y": 0, "w": width, "h": height},
        "targets": targets,
        "options": options,
        "fieldConfig": {
            "defaults": {"unit": unit, **({"custom": custom} if custom else {}), **(defaults or {})},
            "overrides": overrides or [],
        },
    }


def series(title, description, targets, unit, width=8, stack=False, maximum=None):
    custom = {"lineWidth": 1, "fillOpacity": 30 if stack else 5, "showPoints": "never"}
    if stack:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    defaults = {"min": 0, **({"max": maximum} if maximum else {})}
    return panel("timeseries", title, description, targets, width, 8, unit, options, defaults, custom=custom)


def stat(title, description, expr, unit, steps=None, decimals=None):
    """`steps`: (value from which, color), the first from minus infinity."""
    thresholds = [{"value": value, "color": color} for value, color in steps or [(None, "text")]]
    defaults = {"thresholds": {"mode": "absolute", "steps": thresholds}}
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "orientation": "auto",
        "textMode": "value",
        "wideLayout": True,
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }
    return panel("stat", title, description, [target(expr, title)], 3, 4, unit, options, defaults)


def heatmap(title, description, expr, unit, width=12):
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "fill": "dark-orange", "exponent": 0.5, "reverse": False},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }
    return panel("heatmap", title, description, [target(expr, "{{le}}", format="heatmap")], width, 8, unit, options)


def table(title, description, expr, hidden, width=24, links=None):
    options = {"showHeader": True, "cellHeight": "sm"}
    made = panel("table", title, description, [instant(expr, format="table")], width, 8, "none", options)
    made["transformations"] = [
        {"id": "organize", "options": {"excludeByName": {name: True for name in ["Time", "Value", "__name__", *hidden]}}}
    ]
    for column, link in (links or {}).items():
        made["fieldConfig"]["overrides"].append(
            {"matcher": {"id": "byName", "options": column}, "properties": [{"id": "links", "value": [link]}]}
        )
    return made


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": 0, "w": WIDTH, "h": 1}}


def lay_out(panels):
    """Places panels from left to right, and numbers them."""
    x = y = height = 0
    for number, one in enumerate(panels, 1):
        place = one["gridPos"]
        if x + place["w"] > WIDTH or one["type"] == "row":
            x, y, height = 0, y + height, 0
        place["x"], place["y"] = x, y
        x, height = x + place["w"], max(height, place["h"])
        one["id"] = number
    return panels


def variable(name, label, query, multi=True):
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "includeAll": multi,
        "multi": multi,
        **({"allValue": ".*", "current": {"text": "All", "value": "$__all"}} if multi else {}),
    }


def dashboard(uid, title, description, panels, variables=(), links=()):
    source = {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus"}
    namespace = variable("namespace", "Namespace", "label_values(upscaler_build_info, namespace)")
    instance = variable("instance", "Instance", 'label_values(upscaler_build_info{namespace=~"$namespace"}, instance)')
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["san-upscaler"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [source, namespace, instance, *variables]},
        "links": list(links),
        "panels": lay_out(panels),
    }


def quantile(share, metric, by, route=""):
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket{{{S}{route}}}[$__rate_interval])))"


def quantiles(metric, by, what):
    return [
        series(f"p{round(share * 100)} by {by}", f"{what}; {round(share * 100)} % take at most this.",
               [target(quantile(share, metric, by), f"{{{{{by}}}}}")], "s")
        for share in (0.5, 0.9, 0.99)
    ]


UPSCALE = ', route="/v1/upscale"'


def service():
    rate = "[$__rate_interval]"
    glance = [
        stat("Ready", "Instances that are ready.", f"sum(upscaler_ready{{{S}}})", "none", [(None, "red"), (1, "green")]),
        stat("Requests", "Upscale requests answered a second, whatever the answer.",
             f"sum(rate(upscaler_requests_total{{{S}{UPSCALE}}}{rate}))", "reqps"),
        stat("Throughput", "Input megapixels upscaled a second.",
             f'sum(rate(upscaler_pixels_total{{{S}, direction="input"}}{rate})) / 1e6', "none", decimals=3),
        stat("p99", "99 % of upscale requests are complete within this.",
             f"histogram_quantile(0.99, sum by (le) (rate(upscaler_request_duration_seconds_bucket{{{S}{UPSCALE}}}{rate})))", "s"),
        stat("Availability, 1 h", "Upscale requests that did not end in a 5xx; the objective is 99.9 % over 30 days.",
             f"1 - max(upscaler:upscale_errors:ratio_rate1h{{{R}}})", "percentunit",
             [(None, "red"), (0.99, "orange"), (0.999, "green")], 2),
        stat("Within 80 s, 1 h", "Upscale requests complete within 80 s; the objective is 95 % over 30 days.",
             f"1 - max(upscaler:upscale_slow:ratio_rate1h{{{R}}})", "percentunit",
             [(None, "red"), (0.9, "orange"), (0.95, "green")], 1),
        stat("Backlog", "Seconds until an instance would have done what it admitted, by the measured rates; on average.",
             f"avg(upscaler_admitted_seconds{{{S}}})", "s", [(None, "green"), (10, "orange"), (30, "red")], 1),
        stat("Alerts", "Alerts of this service that fire.",
             'count(ALERTS{alertname=~"Upscaler.+", alertstate="firing"}) or vector(0)', "none",
             [(None, "green"), (1, "red")]),
    ]
    latency = [
        *quantiles("upscaler_request_duration_seconds", "route", "From a request's header to the last byte of its answer"),
        *quantiles("upscaler_stage_duration_seconds", "stage", "Time of one upscale request in one stage"),
        series("p99 by model", "Upscale requests of each model, from the header to the last byte; 99 % take at most this.",
               [target(quantile(0.99, "upscaler_request_duration_seconds", "model", UPSCALE + ', model!=""'), "{{model}}")], "s", 24),
        heatmap("Upscale requests by duration", "How many requests a second took how long.",
                f"sum by (le) (rate(upscaler_request_duration_seconds_bucket{{{S}{UPSCALE}}}{rate}))", "s"),
        heatmap("Inference by duration", "How many requests a second had their tiles computed in how long.",
                f'sum by (le) (rate(upscaler_stage_duration_seconds_bucket{{{S}, stage="infer"}}{rate}))', "s"),
    ]
    throughput = [
        series("Input megapixels a second", "Pixels of images answered in full.",
               [target(f'sum by (model) (rate(upscaler_pixels_total{{{S}, direction="input"}}{rate})) / 1e6', "{{model}}")],
               "none", 6, stack=True),
        series("Output megapixels a second", "Pixels of images answered in full.",
               [target(f'sum by (model) (rate(upscaler_pixels_total{{{S}, direction="output"}}{rate})) / 1e6', "{{model}}")],
               "none", 6, stack=True),
        series("Upscale requests by status", "499 is a client that left.",
               [target(f"sum by (status) (rate(upscaler_requests_total{{{S}{UPSCALE}}}{rate}))", "{{status}}")],
               "reqps", 6, stack=True),
        series("Bytes of images", "Files received (input) and sent (output).",
               [target(f"sum by (direction) (rate(upscaler_body_bytes_total{{{S}}}{rate}))", "{{direction}}")], "Bps", 6),
    ]
    queue = [
        series("Tiles that wait", "For a worker; a request hands in its tiles a few at a time.",
               [target(f"sum by (instance) (upscaler_queued_tiles{{{S}}})", "{{instance}}")], "none", 6, stack=True),
        series("Tiles admitted", "Of requests that are not finished, of any size; --queue-tiles is the limit of each instance.",
               [target(f"sum by (instance) (upscaler_admitted_tiles{{{S}}})", "{{instance}}")], "none", 6, stack=True),
        series("Tiles a second by outcome", "Canceled tiles are those of clients that left or deadlines that passed.",
               [target(f"sum by (outcome) (rate(upscaler_tiles_total{{{S}}}{rate}))", "{{outcome}}")], "none", 6, stack=True),
        series("Backlog", "Seconds until each instance would have done what it admitted, by the measured rates; the autoscaler goes by the mean of this.",
               [target(f"upscaler_admitted_seconds{{{S}}}", "{{instance}}")], "s", 6),
        series("Batch fill", "Mean tiles in a batch; --max-batch is the limit for large tiles, several times that for small ones.",
               [target(f"sum by (instance) (rate(upscaler_batch_tiles_sum{{{S}}}{rate})) / sum by (instance) (rate(upscaler_batch_tiles_count{{{S}}}{rate}))", "{{instance}}")],
               "none", 12),
        heatmap("Batches by tiles", "How many batches a second had how many tiles.",
                f"sum by (le) (rate(upscaler_batch_tiles_bucket{{{S}}}{rate}))", "none"),
    ]
    refusals = [
        series("Refusals by reason", "The code of the problem document; /docs says what each means.",
               [target(f"sum by (reason) (rate(upscaler_refusals_total{{{S}}}{rate}))", "{{reason}}")], "reqps", 12, stack=True),
        series("Refused for load", "Share of upscale requests answered 429: the service was full.",
               [target(f"upscaler:load_refusals:ratio_rate5m{{{R}}}", "{{namespace}} {{job}}")], "percentunit", 12),
    ]
    resources = [
        series("Resident memory", "Of the process.",
               [target(f"process_resident_memory_bytes{{{S}}}", "{{instance}}")], "bytes", 6),
        series("Memory admitted", "What the requests under way may hold at most; --memory is the limit of each instance.",
               [target(f"upscaler_inflight_bytes{{{S}}}", "{{instance}}")], "bytes", 6),
        series("Requests under way", "Requests under /v1/ from their header to the last byte of their answer, uploads included.",
               [target(f"upscaler_inflight_requests{{{S}}}", "{{instance}}")], "none", 6),
        series("Processor", "Cores in use.",
               [target(f"rate(process_cpu_seconds_total{{{S}}}{rate})", "{{instance}}")], "none", 6),
        series("Threads", "Of the operating system.", [target(f"process_threads{{{S}}}", "{{instance}}")], "none", 12),
        series("File descriptors", "Share of those that may be open.",
               [target(f"process_open_fds{{{S}}} / process_max_fds{{{S}}}", "{{instance}}")], "percentunit", 12),
    ]
    provider = [
        table("What runs", "One row a network and instance: provider and precision are what really runs, not what was asked for.",
              f"upscaler_model_info{{{S}}}", ["job"], links={"model": {
                  "title": "Drill down", "url": "/d/san-upscaler-model?var-model=${__value.text}&${datasource:queryparam}&${namespace:queryparam}"}}),
        series("Instances by version", "Two lines while a rollout is under way.",
               [target(f"count by (version) (upscaler_build_info{{{S}}})", "{{version}}")], "none", 6, stack=True),
        series("Uptime", "Since the process started.",
               [target(f"time() - process_start_time_seconds{{{S}}}", "{{instance}}")], "s", 6),
        series("Defects", "Panics caught and tiles with values that are no numbers, within five minutes. Any is one too many.",
               [target(f"sum(increase(upscaler_panics_total{{{S}}}[5m])) or vector(0)", "panics"),
                target(f"sum(increase(upscaler_nonfinite_tiles_total{{{S}}}[5m])) or vector(0)", "non-finite tiles")], "none", 6),
        series("Run again in fp32", "Share of each network's tiles that came out non-finite at reduced precision; the answers are right, and dear. An alert asks for less than 0.1 %.",
               [target(f"sum by (model, scale) (rate(upscaler_fp32_retries_total{{{S}}}{rate})) / sum by (model, scale) (rate(upscaler_tiles_total{{{S}, outcome=~\"done|failed\"}}{rate}))", "{{model}} x{{scale}}")],
               "percentunit", 6),
    ]
    return dashboard(
        "san-upscaler", "San-upscaler", "Latency, throughput, queue, refusals, memory and provider of the upscaling service.",
        [row("At a glance"), *glance, row("Latency"), *latency, row("Throughput"), *throughput, row("Queue and batches"), *queue,
         row("Refusals"), *refusals, row("Memory and processor"), *resources, row("Models and provider"), *provider],
        links=[{"type": "link", "title": "By model", "url": "/d/san-upscaler-model?${datasource:queryparam}&${namespace:queryparam}",
                "icon": "dashboard", "tooltip": "", "tags": [], "asDropdown": False, "targetBlank": False,
                "includeVars": False, "keepTime": True}],
    )


def model():
    rate = "[$__rate_interval]"
    m = ', model="$model"'
    duration = "upscaler_request_duration_seconds"
    panels = [
        series("Upscale requests", "From a request's header to the last byte of its answer; so many percent take at most this.",
               [target(f"histogram_quantile({share}, sum by (le) (rate({duration}_bucket{{{S}{UPSCALE}{m}}}{rate})))", f"p{round(share * 100)}")
                for share in (0.5, 0.9, 0.99)], "s", 12),
        series("p99 by stage", "Time of one upscale request in one stage; 99 % take at most this.",
               [target(quantile(0.99, "upscaler_stage_duration_seconds", "stage", m), "{{stage}}")], "s", 12),
        heatmap("Upscale requests by duration", "How many requests a second took how long.",
                f"sum by (le) (rate({duration}_bucket{{{S}{UPSCALE}{m}}}{rate}))", "s"),
        series("Upscale requests a second", "Whatever the answer, once the request was understood.",
               [target(f"sum by (instance) (rate({duration}_count{{{S}{UPSCALE}{m}}}{rate}))", "{{instance}}")], "reqps", 12, stack=True),
        series("Input megapixels a second", "Pixels of images answered in full.",
               [target(f'sum by (instance) (rate(upscaler_pixels_total{{{S}{m}, direction="input"}}{rate})) / 1e6', "{{instance}}")],
               "none", stack=True),
        series("Output megapixels a second", "Pixels of images answered in full.",
               [target(f'sum by (instance) (rate(upscaler_pixels_total{{{S}{m}, direction="output"}}{rate})) / 1e6', "{{instance}}")],
               "none", stack=True),
        series("Share of all input pixels", "What of the service's work is this model's.",
               [target(f'sum(rate(upscaler_pixels_total{{{S}{m}, direction="input"}}{rate})) / sum(rate(upscaler_pixels_total{{{S}, direction="input"}}{rate}))', "$model")],
               "percentunit", maximum=1),
        series("Tiles a second by scale", "Tiles done.",
               [target(f'sum by (scale) (rate(upscaler_tiles_total{{{S}{m}, outcome="done"}}{rate}))', "x{{scale}}")], "none", stack=True),
        series("Tiles a second by instance", "Tiles done; unequal lines are unequal machines or an unequal balance.",
               [target(f'sum by (instance) (rate(upscaler_tiles_total{{{S}{m}, outcome="done"}}{rate}))', "{{instance}}")], "none"),
        series("Tiles not done", "Failed in the network, or canceled because nobody waited any more.",
               [target(f'sum(rate(upscaler_tiles_total{{{S}{m}, outcome="failed"}}{rate})) or vector(0)', "failed"),
                target(f'sum(rate(upscaler_tiles_total{{{S}{m}, outcome="canceled"}}{rate})) or vector(0)', "canceled")], "none"),
        series("Non-finite tiles", "Tiles for which the network gave NaN or infinity within five minutes. Any is one too many.",
               [target(f"sum(increase(upscaler_nonfinite_tiles_total{{{S}{m}}}[5m])) or vector(0)", "$model")], "none"),
        series("Tiles run again in fp32", "A second: those that came out non-finite at reduced precision. One instance alone is its machine, all are the network.",
               [target(f"sum by (instance) (rate(upscaler_fp32_retries_total{{{S}{m}}}{rate}))", "{{instance}}")], "none"),
        series("Instances that serve it", "By provider and precision; more than one line is more than one result for the same image.",
               [target(f"count by (scale, provider, precision) (upscaler_model_info{{{S}{m}}})", "x{{scale}} {{provider}} {{precision}}")],
               "none", 8),
        table("What runs", "One row an instance and scale.", f"upscaler_model_info{{{S}{m}}}", ["job", "model"]),
    ]
    choose = variable("model", "Model", "label_values(upscaler_model_info, model)", multi=False)
    back = {"type": "link", "title": "Service", "url": "/d/san-upscaler?${datasource:queryparam}&${namespace:queryparam}",
            "icon": "dashboard", "tooltip": "", "tags": [], "asDropdown": False, "targetBlank": False, "includeVars": False, "keepTime": True}
    return dashboard("san-upscaler-model", "San-upscaler: model", "One model: how much it does, where, and with what.",
                     panels, [choose], [back])


def written():
    """Every dashboard as it stands in its file."""
    return {f"{made['uid']}.json": json.dumps(made, indent=1) + "\n" for made in (service(), model())}


if __name__ == "__main__":
    for name, text in written().items():
        (HERE / "dashboards" / name).write_text(text)
