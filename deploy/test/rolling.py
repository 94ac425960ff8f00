"""A rolling restart under load: two servers behind haproxy, each told to end and started anew in turn, and not one
request may fail. The proxy neither retries nor buffers: what is tested is the drain.

    rolling.py SERVER MODELS [RUNTIME]     the binary, the folder of models, the ONNX Runtime library

Run by deploy/test/rolling.sh."""

import sys
import tempfile
import time
from pathlib import Path

import load
from service import Installation, Stack, free_port

ROUNDS = 2
GRACE = "2s"
# The proxy must notice within the grace: two checks fit into it several times.
HAPROXY = """
global
    maxconn 200
defaults
    mode http
    retries 0
    timeout connect 2s
    timeout client 120s
    timeout server 120s
    timeout check 1s
frontend upscaler
    bind 127.0.0.1:{port}
    default_backend upscalers
backend upscalers
    balance roundrobin
    option httpchk GET /health/ready
    stats uri /stats
    default-server check inter 200ms fall 2 rise 2
{servers}
"""


def wait_up(proxy, name):
    """Until the proxy has the server back: only then may the other one go."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        _, table = load.request(proxy, "GET", "/stats;csv")
        if any(line.startswith(f"upscalers,{name},") and ",UP," in line for line in table.decode().splitlines()):
            return
        time.sleep(0.1)
    raise SystemExit(f"rolling: haproxy has not taken {name} back within 120 s")


def main():
    installed = Installation(sys.argv[1:])
    models = installed.models
    proxy, ports = free_port(), {"one": free_port(), "two": free_port()}
    with tempfile.TemporaryDirectory(prefix="rolling-") as temporary, Stack(Path(temporary)) as stack:

        def start(name):
            stack.start(name, installed.serve(ports[name], "--drain-grace", GRACE, "--workers", "1", "--threads", "1"))
            stack.wait_ready(name, f"http://127.0.0.1:{ports[name]}/health/ready")

        for name in ports:
            start(name)
        lines = "\n".join(f"    server {name} 127.0.0.1:{port}" for name, port in ports.items())
        (Path(temporary) / "haproxy.cfg").write_text(HAPROXY.format(port=proxy, servers=lines))
        stack.start("haproxy", ["haproxy", "-db", "-f", f"{temporary}/haproxy.cfg"])
        stack.wait_ready("haproxy", f"http://127.0.0.1:{proxy}/health/ready")

        small, large = load.png(96, 96), load.png(200, 150)

        def send(turn):
            # One in five is long enough to be under way through a good part of the drain.
            image = large if turn % 5 == 0 else small
            return load.request(proxy, "POST", f"/v1/upscale?scale=4&model={models[turn % len(models)]}", image)[0]

        steady = load.Load(4, send)
        time.sleep(2)
        ended = []
        for _ in range(ROUNDS):
            for name in ports:
                ended.append(stack.end(name, 120))
                start(name)
                wait_up(proxy, name)
        steady.stop()

    bad = [status for status, _ in steady.answers if status != 200]
    slowest = max((seconds for _, seconds in steady.answers), default=0)
    print(f"rolling: {len(ended)} restarts under load, {len(steady.answers)} answers (the slowest after {slowest:.1f} s), "
          f"{len(bad)} not 200, {len(steady.errors)} without an answer")
    for line in [*map(str, sorted(set(bad))), *sorted(set(steady.errors))[:5]]:
        print(f"rolling: {line}", file=sys.stderr)
    if any(ended):
        print(f"rolling: the servers ended with {ended}", file=sys.stderr)
    sys.exit(1 if bad or steady.errors or any(ended) or len(steady.answers) < 20 else 0)


if __name__ == "__main__":
    main()
