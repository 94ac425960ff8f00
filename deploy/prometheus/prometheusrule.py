#!/usr/bin/env python3
"""Writes prometheusrule.yaml, the rules of rules/ in the form that the Prometheus operator reads. Kustomize cannot put
one file into another, so the copy is committed, and deploy/test/test_monitoring.py holds it to its sources."""

from pathlib import Path

HERE = Path(__file__).parent
HEAD = """\
# Generated from rules/ by prometheusrule.py; change the rules there and run it again.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: san-upscaler
spec:
  groups:
"""


def prometheusrule():
    text = HEAD
    for source in sorted((HERE / "rules").glob("*.yaml")):
        _, groups = source.read_text().split("groups:\n", 1)
        text += "".join(f"  {line}" if line.strip() else line for line in groups.splitlines(keepends=True))
    return text


if __name__ == "__main__":
    (HERE / "prometheusrule.yaml").write_text(prometheusrule())
