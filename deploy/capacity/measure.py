#!/usr/bin/env python3
"""The figures of docs/capacity.md, measured on this machine: start, memory, and what one server does when it is never idle.

    measure.py SERVER MODELS RUNTIME [--seconds 60] [--model NAME] [-- FLAGS OF SERVE...]

Run it on a quiet machine. Where other things run, only the rate by core-second means something; it prints how many cores
they took."""

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))
import load  # noqa: E402
from service import Stack, free_port  # noqa: E402

CLIENTS = 2


def metrics(port):
    _, text = load.request(port, "GET", "/metrics")
    found = {}
    for name, labels, value in re.findall(r"^(\w+)(\{[^}]*\})? (\S+)$", text.decode(), re.MULTILINE):
        found[name + labels] = float(value)
    return found


def total(values, name, part=""):
    return sum(value for key, value in values.items() if key.startswith(name) and part in key)


def memory(pid, field):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE).group(1)) / 1024


def machine_busy():
    """Seconds of all cores spent computing, since boot."""
    user, nice, system = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def saturate(port, model, image, seconds):
    """Tiles and input megapixels a second, cores used by others, and the time of each answer, sorted."""
    path = f"/v1/upscale?scale=4&model={model}"

    def send(_):
        status = load.request(port, "POST", path, image, timeout=600)[0]
        if status == 429:
            time.sleep(1)
        return status

    clients = load.Load(CLIENTS, send)
    time.sleep(seconds / 10)
    before, began, busy = metrics(port), time.monotonic(), machine_busy()
    time.sleep(seconds)
    after, took = metrics(port), time.monotonic() - began
    cores = (machine_busy() - busy) / took
    clients.stop(timeout=600)
    if any(status not in (200, 429) for status, _ in clients.answers) or clients.errors:
        sys.exit(f"measure: not all was answered: {clients.answers[:3]} {clients.errors[:3]}")

    def rate(name, part):
        return (total(after, name, part) - total(before, name, part)) / took

    own = rate("process_cpu_seconds_total", "")
    return rate("upscaler_tiles_total", 'outcome="done"'), own, cores - own, sorted(seconds for status, seconds in clients.answers if status == 200)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("runtime", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--model", default="san-light")
    parser.add_argument("flags", nargs="*")
    args = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="measure-") as temporary, Stack(Path(temporary)) as stack:
        began = time.monotonic()
        process = stack.start("server", [args.server, "serve", "--listen", f"127.0.0.1:{port}", "--models", args.models,
                                         "--runtime", args.runtime, "--only", args.model, "--model", args.model, *args.flags])
        stack.wait_ready("server", f"http://127.0.0.1:{port}/health/ready")
        print(f"ready after {time.monotonic() - began:.1f} s; idle with {memory(process.pid, 'VmRSS'):.0f} MiB")
        for key in metrics(port):
            if key.startswith("upscaler_model_info") and f'model="{args.model}"' in key:
                print(re.sub(r',sha256="[^"]*"', "", key.removeprefix("upscaler_model_info")))
        for width, height in ((320, 240), (1024, 1024)):
            image = load.png(width, height)
            began = time.monotonic()
            load.request(port, "POST", f"/v1/upscale?scale=4&model={args.model}", image, timeout=600)
            alone = time.monotonic() - began
            tiles, own, others, times = saturate(port, args.model, image, args.seconds)
            _, plan = load.request(port, "POST", f"/v1/plan?scale=4&model={args.model}", image)
            each = int(re.search(rb'"tiles":(\d+)', plan).group(1))
            pixels = tiles / each * width * height / 1e6
            print(f"{width}x{height} ({each} tiles): alone {alone:.2f} s; {CLIENTS} clients: {tiles:.2f} tiles/s and {pixels:.4f} "
                  f"input megapixels/s on {own:.2f} cores ({others:.2f} by others), that is {tiles / own:.1f} tiles a core-second; "
                  f"answered after {times[len(times) // 2]:.1f} s (median)")
        print(f"peak {memory(process.pid, 'VmHWM'):.0f} MiB")


if __name__ == "__main__":
    main()
