#!/usr/bin/env python3
"""What reduced precision costs: PSNR-Y of every network at fp32 on the CPU and at another provider and precision.

    benches/precision.py target/release/san-upscaler --data ../shared/data/test
    benches/precision.py target/release/san-upscaler --data ../shared/data/test --provider cuda --precision fp16

Prints a table for benches/README.md, and fails if a mean is lower by more than --limit. Tiled as served; some minutes of
all cores for Set5, Set14 and BSD100. Needs Python 3.11 and nothing else."""

import argparse
import json
import subprocess
import sys


def call(binary, *arguments):
    return json.loads(subprocess.check_output([binary, *arguments, "--json", "--log-level", "error"], text=True))


def networks(binary):
    """Name and scale of every network that has a file."""
    for model in call(binary, "models")["models"]:
        for scale in model["scales"]:
            if scale["sha256"]:
                yield model["name"], scale["scale"]


def measured(binary, data, model, scale, provider, precision):
    """PSNR of each image by set, of exactly what was asked for."""
    report = call(binary, "eval", "--data", data, "--scale", str(scale), "--model", model,
                  "--provider", provider, "--precision", precision)
    if report["execution"] != {"provider": provider, "precision": precision}:
        sys.exit(f"{model} x{scale} ran on {report['execution']}, not on {provider}, {precision}")
    return {one["name"]: [image["psnr"] for image in one["images"]] for one in report["sets"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--data", required=True, help="a test set, or a folder of several")
    parser.add_argument("--provider", default="openvino")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--limit", type=float, default=0.01, help="dB that a mean may be lower")
    args = parser.parse_args()

    print(f"| network | set | fp32 | {args.precision} | difference of means | worst image |")
    print("|---|---|---|---|---|---|")
    bad = []
    for model, scale in networks(args.binary):
        exact = measured(args.binary, args.data, model, scale, "cpu", "fp32")
        reduced = measured(args.binary, args.data, model, scale, args.provider, args.precision)
        for name in exact:
            differences = [b - a for a, b in zip(exact[name], reduced[name], strict=True)]
            means = [sum(values) / len(values) for values in (exact[name], reduced[name], differences)]
            print(f"| {model} x{scale} | {name} | {means[0]:.3f} | {means[1]:.3f} | {means[2]:+.4f} | {min(differences):+.4f} |",
                  flush=True)
            if means[2] < -args.limit:
                bad.append(f"{model} x{scale} on {name}: {means[2]:+.4f} dB")
    if bad:
        sys.exit("lower by more than the limit:\n  " + "\n  ".join(bad))


if __name__ == "__main__":
    main()
