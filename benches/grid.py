#!/usr/bin/env python3
"""The grid behind the defaults: tile, batch, workers x threads, each with its speed and its latencies.

    benches/grid.py                                 both tables of benches/README.md, some twenty minutes of all cores
    benches/grid.py --provider cuda --batch 1,4,16,32 --tiles 72,96,144

The first table is of the bare session, for tiles of any shape; useful pixels are what a tile adds to a large image, without
the overlap. The second is of the whole service under eight clients with photographs of mixed sizes, with the model's own
tiles. Quiet machine, please: turns of one table are as far apart as its length. Needs cargo and Python 3.11."""

import argparse
import json
import os
import re
import subprocess
from pathlib import Path


def bench(name, *arguments):
    command = ["cargo", "bench", "--quiet", "--locked", "--bench", name, "--", *map(str, arguments)]
    return subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[1])


def network_options(text):
    """The options that say which network runs on what; `network_flags` hands them on to a bench."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="san-light")
    parser.add_argument("--scale", default="4")
    parser.add_argument("--provider", default="auto")
    parser.add_argument("--precision", default="auto")
    return parser


def network_flags(args):
    return ["--model", args.model, "--scale", args.scale, "--provider", args.provider, "--precision", args.precision]


def session_rows(*arguments):
    """What `benches/session` prints, an object a line."""
    return [json.loads(line) for line in bench("session", *arguments).splitlines() if line.startswith("{")]


def shares(cores):
    """Workers and threads that use all cores."""
    return [(workers, cores // workers) for workers in range(1, cores + 1) if cores % workers == 0]


def service(text):
    """What `benches/load` printed, as cells."""
    def figure(pattern):
        return float(re.search(pattern, text).group(1))

    def latency(size):
        found = re.search(rf" {size} \(.*\) +\d+ +([\d.]+) +([\d.]+)", text)
        return ", ".join(found.groups()) if found else "none"

    return [f"{figure(r'whole service: +([0-9]+)') / 1e3:.1f}", f"{figure(r'service / bare session: ([0-9.]+)'):.2f}",
            latency("320x240"), latency("800x600"),
            f"{figure(r'([0-9]+) ms on an idle'):.0f}", f"{figure(r'([0-9]+) ms beside'):.0f}"]


def main():
    parser = network_options(__doc__)
    parser.add_argument("--tiles", default="48,72,96,120x108,144")
    parser.add_argument("--batch", default="1,2,4,8")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--bare-seconds", default="3", help="for each figure of the first table")
    parser.add_argument("--service-seconds", default="30", help="for each line of the second table")
    args = parser.parse_args()
    what = network_flags(args)
    batches = args.batch.split(",")

    for workers, threads in shares(args.cores):
        rows = session_rows(*what, "--workers", workers, "--threads", threads, "--tile", args.tiles,
                            "--batch", args.batch, "--seconds", args.bare_seconds)
        print(f"\n{args.model} x{args.scale}, {rows[0]['provider']}, {rows[0]['precision']}, {workers} x {threads} threads: "
              "thousand useful input pixels a second of the bare session\n")
        print("| tile | " + " | ".join(f"batch {batch}" for batch in batches) + " |\n|" + "---|" * (len(batches) + 1))
        for tile in args.tiles.split(","):
            name = tile if "x" in tile else f"{tile}x{tile}"
            of_tile = [row["useful_input_pixels_per_second"] / 1e3 for row in rows if row["tile"] == name]
            print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in of_tile) + " |", flush=True)

    print("\nthe whole service, 8 clients\n")
    print("| workers x threads | batch | thousand useful pixels/s | over bare | 320x240: p50, p99 s | 800x600: p50, p99 s "
          "| 64x64 idle, ms | beside a large one, ms |\n" + "|---" * 8 + "|")
    for workers, threads in shares(args.cores):
        for batch in batches:
            text = bench("load", *what, "--workers", workers, "--threads", threads, "--max-batch", batch,
                         "--seconds", args.service_seconds)
            print("| " + " | ".join([f"{workers} x {threads}", batch, *service(text)]) + " |", flush=True)


if __name__ == "__main__":
    main()
