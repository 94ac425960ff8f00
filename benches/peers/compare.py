"""The same network behind LitServe, BentoML and FastAPI, and behind this service: speed, latency, memory and failures.

    compare.py SERVER MODELS --ours PROVIDER RUNTIME... [options]

Every server has the cores that this process may use, and starts afresh for each load, since allocators keep what they had."""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "deploy/test"))
from service import Stack, free_port  # noqa: E402

import clients  # noqa: E402
import photos  # noqa: E402
from processes import Watch, end_tree  # noqa: E402

CORES = len(os.sched_getaffinity(0))
# What a process may allocate under the load of one large photograph: what a pod of deploy/kubernetes has.
LARGE_MEMORY = 2 << 30


class Server(NamedTuple):
    name: str
    command: list
    ready: str
    path: str
    environment: dict
    loads: tuple


def peers(port, batch):
    programs = {
        "FastAPI": ([sys.executable, "-m", "uvicorn", "serve_fastapi:app", "--app-dir", HERE, "--port", port,
                     "--log-level", "warning"], "/health"),
        "LitServe": ([sys.executable, HERE / "serve_litserve.py", port], "/health"),
        "BentoML": ([sys.executable, "-m", "bentoml", "serve", "serve_bentoml:Upscaler", "--working-dir", HERE,
                     "--host", "127.0.0.1", "--port", port], "/readyz"),
    }
    words = {"single": "one by one", "stack": f"batches of {batch}", "pad": f"batches of {batch}, padded"}
    modes = {"single": ("equal", "mixed", "large"), "stack": ("equal", "mixed"), "pad": ("mixed",)}
    for program, (command, ready) in programs.items():
        for mode, loads in modes.items():
            if program == "FastAPI" and mode != "single":
                continue
            environment = {"PEER_THREADS": str(CORES), "PEER_BATCH": str(batch), "PEER_MODE": mode,
                           "BENTOML_DO_NOT_TRACK": "True"}
            name = "FastAPI, all at once" if program == "FastAPI" else f"{program}, {words[mode]}"
            yield Server(name, command, ready, "/upscale", environment, loads)


def ours(port, args):
    for provider, runtime in args.ours:
        command = [args.server, "serve", "--listen", f"127.0.0.1:{port}", "--models", args.models, "--runtime", runtime,
                   "--provider", provider, "--only", "san-light", "--model", "san-light", "--log-level", "warn"]
        yield Server(f"san-upscaler, {provider}", command, "/health/ready",
                     "/v1/upscale?scale=4&model=san-light&format=png", {}, ("equal", "mixed", "large"))


def under(server, port, load):
    """Starts the server and puts the load on it."""
    requests = clients.requests(photos.photos(load.sizes))
    command = server.command
    if load.memory:
        command = ["prlimit", f"--data={load.memory}", *command]
    with tempfile.TemporaryDirectory(prefix="peers-") as folder, Stack(Path(folder)) as stack:
        process = stack.start("server", command, **server.environment)
        try:
            stack.wait_ready("server", f"http://127.0.0.1:{port}{server.ready}")
            with Watch(process.pid) as watch:
                outcome = clients.run(port, server.path, requests, load.clients, load.lead, load.window)
        finally:
            end_tree(stack, "server")
    return outcome, watch


class Load(NamedTuple):
    words: str
    sizes: list
    clients: int
    lead: float
    window: float
    memory: int | None


def loads(args):
    many = {"clients": args.clients, "lead": args.lead, "window": args.seconds, "memory": None}
    where = photos.sources()[1]
    sizes = ", ".join(f"{width}x{height}" for width, height in photos.MIXED)
    return {
        "equal": Load(f"equal sizes: {len(photos.EQUAL)} {where} of {photos.EQUAL[0][0]}x{photos.EQUAL[0][1]}",
                      photos.EQUAL, **many),
        "mixed": Load(f"mixed sizes: {where} of {sizes}", photos.MIXED, **many),
        "large": Load(f"one photograph of {photos.LARGE[0][0]}x{photos.LARGE[0][1]}, {LARGE_MEMORY >> 30} GiB a process",
                      photos.LARGE, clients=1, lead=0, window=0.1, memory=LARGE_MEMORY),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("--ours", nargs=2, action="append", default=[], metavar=("PROVIDER", "RUNTIME"),
                        help="run this service with this provider and this ONNX Runtime library")
    parser.add_argument("--seconds", type=float, default=60, help="of load that count")
    parser.add_argument("--lead", type=float, default=10, help="seconds of load before, which do not count")
    parser.add_argument("--clients", type=int, default=8, help="that send one request after the other")
    parser.add_argument("--batch", type=int, default=4, help="images in a peer's batch at most")
    parser.add_argument("--loads", default="equal,mixed,large")
    parser.add_argument("--only", default="", help="servers with this in their name")
    args = parser.parse_args()

    print(f"san-light x4, JPEG in, PNG out, {CORES} cores for a server and the clients; "
          f"{args.clients} clients, {args.seconds:.0f} s a figure")
    chosen = loads(args)
    for name in args.loads.split(","):
        load = chosen[name]
        print(f"\n{load.words}\n{'':32} useful px/s     p50 s     p99 s  answers  failed  unsteady  peak MiB  "
              "px/core-s  cores of others", flush=True)
        port = free_port()
        rates, own = {}, {}
        own_servers = list(ours(port, args))
        for server in [*peers(port, args.batch), *own_servers]:
            if name not in server.loads or args.only not in server.name:
                continue
            try:
                outcome, watch = under(server, port, load)
            except (RuntimeError, TimeoutError) as error:
                print(f"{server.name:32} did not start: {error}", flush=True)
                continue
            rate, failed = outcome.pixels_per_second(), len(outcome.failures)
            times = "".join("         -" if time is None else f"{time:10.2f}" for time in map(outcome.quantile, (0.5, 0.99)))
            print(f"{server.name:32} {rate:11.0f}{times} {len(outcome.answers):8} {failed:7} {outcome.unsteady():9} "
                  f"{watch.peak / 2**20:9.0f} {outcome.pixels / watch.seconds:10.0f} {watch.others:16.2f}", flush=True)
            for failure in outcome.failures[:1]:
                print(f"    failed: {failure}")
            if not failed:
                (own if server in own_servers else rates)[server.name] = rate
        if rates:
            best = max(rates, key=rates.get)
            for mine, rate in own.items():
                print(f"{mine} / the fastest peer without failures ({best}): {rate / rates[best]:.2f}")


if __name__ == "__main__":
    main()
