#!/usr/bin/env python3
"""Decibels against milliseconds: every model folder's PSNR-Y on the test sets and its seconds a megapixel, in one run.

    benches/front.py --data ../shared/data/test --provider cpu
    benches/front.py --data ../shared/data/test --models models --models /path/to/others --plot front.png

PSNR-Y is of `san-upscaler eval` in that provider's arithmetic, tiled as served. Speed is of the bare session on the model's
own tiles, the fastest of them, useful input pixels alone; the models take turns, and the median of the rounds counts, so
that a slow spell of the machine hits all of them. Any network takes part as a folder with a `model.toml`. Needs cargo and
Python 3.11; `--plot` needs matplotlib (models/training/.venv has it)."""

import argparse
import json
import statistics
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def cargo(*arguments):
    """The standard output of a cargo command in release."""
    return subprocess.check_output(["cargo", *map(str, arguments)], text=True, stderr=subprocess.DEVNULL, cwd=ROOT)


def networks(roots, scale):
    """(root, name, parameters) of each model folder that has the scale."""
    for root in roots:
        for manifest in sorted(Path(root).resolve().glob("*/model.toml")):
            model = tomllib.loads(manifest.read_text())
            for one in model["scale"]:
                if one["factor"] == scale:
                    yield manifest.parent.parent, model["name"], one.get("parameters")


def quality(args, root, name):
    """PSNR-Y of each set, in dB."""
    report = json.loads(cargo("run", "--release", "--quiet", "--locked", "--", "eval", "--json", "--models", root, "--model", name,
                              "--data", Path(args.data).resolve(), "--scale", args.scale, "--provider", args.provider,
                              "--precision", args.precision))
    return {one["name"]: one["mean"]["psnr_y"] for one in report["sets"]}


def speed(args, root, name):
    """(seconds for a megapixel of input on the fastest of the model's tiles, what ran)."""
    lines = cargo("bench", "--quiet", "--locked", "--bench", "session", "--", "--models", root, "--model", name, "--scale", args.scale,
                  "--provider", args.provider, "--precision", args.precision, "--batch", 1, "--seconds", args.seconds).splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    best = max(row["useful_input_pixels_per_second"] for row in rows)
    return 1e6 / best, f"{rows[0]['provider']}, {rows[0]['precision']}, {rows[0]['threads']} threads"


def plot(rows, path, on):
    """PSNR-Y on the first set against speed."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    first = next(iter(rows[0]["psnr"]))
    for row in rows:
        axes.scatter(row["seconds"], row["psnr"][first], color="tab:blue")
        axes.annotate(row["name"], (row["seconds"], row["psnr"][first]), xytext=(5, 4), textcoords="offset points", fontsize=8)
    axes.set(xscale="log", xlabel=f"seconds a megapixel of input ({on})", ylabel=f"PSNR-Y on {first}, dB")
    axes.grid(True, which="both", alpha=0.3)
    figure.savefig(path, dpi=110, bbox_inches="tight")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a folder of test sets")
    parser.add_argument("--models", action="append", help="a folder of model folders; may be repeated (default: models)")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--provider", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--seconds", type=float, default=2, help="for each tile shape and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", help="a PNG to write")
    args = parser.parse_args()
    rows = [{"name": name, "root": root, "parameters": parameters, "times": []}
            for root, name, parameters in networks(args.models or [ROOT / "models"], args.scale)]
    if not rows:
        parser.error(f"no model.toml with scale {args.scale} below {', '.join(map(str, args.models or ['models']))}")
    for _ in range(args.rounds):
        for row in rows:
            seconds, on = speed(args, row["root"], row["name"])
            row["times"].append(seconds)
    for row in rows:
        row["seconds"], row["psnr"] = statistics.median(row["times"]), quality(args, row["root"], row["name"])
    rows.sort(key=lambda row: row["seconds"])
    sets = list(rows[0]["psnr"])
    print(f"x{args.scale}, {on}\n\n| model | parameters | {' | '.join(sets)} | s / MP |\n|---|---|{'---|' * len(sets)}---|")
    for row in rows:
        print(f"| {row['name']} | {row['parameters']:,} | {' | '.join(format(row['psnr'][one], '.2f') for one in sets)} "
              f"| {row['seconds']:.2f} |")
    if args.plot:
        plot(rows, args.plot, on)


if __name__ == "__main__":
    main()
