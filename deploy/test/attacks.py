"""What a stranger can do to a server with small uploads, slow reading and a broken log: each attack is sent to a server of
its own at the loopback, bounded in count and time, and what must hold is checked.

    attacks.py [--long] SERVER MODELS [RUNTIME]     the binary, the folder of models, the ONNX Runtime library

--long sends more of each, and four files at once. Linux alone, for its /proc."""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attack_files
import load
from http2 import Stalled
from service import Installation, Stack, Vitals, free_port

MB = 1_000_000
DEADLINE = 1
# Of the answer after its deadline, and of another client's: no speed is tested, so a busy machine has time.
PATIENCE = 2
# Of all processors together in the second that begins GRACE after the answers: idle servers have 0.00. In the grace a pass over
# an image may come to its end (docs/operations.md, Decodes that go on).
GRACE, CPU_AFTER = 0.5, 0.1
# docs/operations.md, Size memory: the budget and the uploads, a fifth for the allocator.
BUDGET, UPLOADS = 700 * MB, 400 * MB
PEAK = (BUDGET + UPLOADS) * 1.2
# A decode in small memory holds no more than this above the idle server.
SMALL_PEAK = 200 * MB
SETTLED, SETTLES_WITHIN = 150 * MB, 30


class Report:
    """Every check with what was measured."""

    def __init__(self):
        self.failed = []

    def check(self, attack, what, passed, measured):
        print(f"attacks: {'ok  ' if passed else 'FAIL'} {attack}: {what} ({measured})", flush=True)
        if not passed:
            self.failed.append(f"{attack}: {what} ({measured})")


class Server:
    """A server with bicubic alone."""

    def __init__(self, stack, installed, *flags, stderr=None, wrapper=(), **environment):
        self.stack, self.port = stack, free_port()
        command = [*wrapper, *installed.serve(self.port), *flags]
        self.process = stack.start("server", command, stderr=stderr, **environment)
        try:
            stack.wait_ready("server", f"http://127.0.0.1:{self.port}/health/ready", timeout=30)
        except (RuntimeError, TimeoutError):
            stack.end("server", 20, signal.SIGKILL)
            raise
        self.vitals = Vitals(self.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # It may not be able to drain any more; what it held is nobody's.
        self.stack.end("server", 20, signal.SIGKILL)

    def send(self, path, body, timeout=20):
        """Status, code of the problem, seconds; status 0 where no answer came."""
        began = time.monotonic()
        try:
            status, answer = load.request(self.port, "POST", path, body, timeout)
            code = json.loads(answer).get("code") if status >= 400 else None
        except (OSError, load.http.client.HTTPException, ValueError) as error:
            status, code = 0, type(error).__name__
        return status, code, time.monotonic() - began

    def neighbor(self):
        """Another client with a small image."""
        return self.send("/v1/upscale?model=bicubic&scale=2", SMALL, timeout=10)

    def metric(self, name):
        """A metric without labels; None where there is none."""
        status, page = load.request(self.port, "GET", "/metrics", timeout=10)
        lines = (line.split(" ") for line in page.decode().splitlines() if status == 200)
        return next((float(line[1]) for line in lines if line[0] == name), None)

    def until_metric(self, name, value, seconds):
        """The metric once it has the value, or what it is after so long."""
        deadline = time.monotonic() + seconds
        while (now := self.metric(name)) != value and time.monotonic() < deadline:
            time.sleep(0.05)
        return now

    def settles(self, idle):
        """Memory above that of the idle server once it is little, or after half a minute; and how long that took."""
        began = time.monotonic()
        while (above := self.vitals.resident() - idle) > SETTLED and time.monotonic() < began + SETTLES_WITHIN:
            time.sleep(0.5)
        return above, time.monotonic() - began


SMALL = load.png(64, 64)


def uploads():
    """Name, frame or None, file, and what memory it may take above the idle server."""
    yield "GIF, 60,000 frames that restore", 59_999, attack_files.restoring_gif(60_000), PEAK
    yield "APNG, 500 frames that restore", 499, attack_files.animated_png(500, 1, 2), PEAK
    yield "APNG, 15 full frames", 14, attack_files.animated_png(15, attack_files.SIDE, 2), PEAK
    yield "WebP, 63 full frames", 62, attack_files.animated_webp(63), PEAK
    yield "WebP, 15 full frames", 14, attack_files.animated_webp(15), PEAK
    yield "TIFF, 65,535 strips with 1 MB of tables", None, attack_files.tables_tiff(65_535, MB), PEAK
    yield "TIFF, 10,000 strips with 4 kB of tables", None, attack_files.tables_tiff(10_000, 4_000), PEAK
    yield "TIFF, a strip that claims 65535x65535", None, attack_files.claiming_tiff(), SMALL_PEAK
    yield "JPEG, 31 scans of a dozen bytes", None, attack_files.scans_jpeg(31), PEAK


def decoders(report, start, at_once):
    """Files that cost minutes of a processor, or gigabytes: all of it ends with the deadline."""
    for name, frame, file, peak in uploads():
        for count in at_once:
            with start(UPSCALER_MEMORY=f"{BUDGET // MB}MB") as server:
                attack = f"{name}, {count} at once"
                query = f"/v1/upscale?model=bicubic&scale=1&format=png&deadline={DEADLINE}"
                query += f"&frame={frame}" if frame is not None else ""
                decode(report, server, attack, query, file, count, peak)


def decode(report, server, attack, query, file, count, peak):
    idle = server.vitals.resident()
    server.vitals.reset_peak()
    with ThreadPoolExecutor(count) as pool:
        sent = [pool.submit(server.send, query, file) for _ in range(count)]
        time.sleep(DEADLINE / 2)
        beside = server.neighbor()
        answers = [answer.result() for answer in sent]
    time.sleep(GRACE)
    cpu = server.vitals.cpu_seconds()
    time.sleep(1)
    cpu = server.vitals.cpu_seconds() - cpu
    decoding = server.metric("upscaler_decoding_requests")
    after = server.neighbor()
    above = server.vitals.peak() - idle

    statuses = ", ".join(f"{status} {code or ''} after {seconds:.2f} s" for status, code, seconds in answers)
    allowed = all(status in (200, 413, 422, 429, 504) for status, _, _ in answers)
    in_time = all(seconds < DEADLINE + PATIENCE for _, _, seconds in answers)
    report.check(attack, "answered in time", allowed and in_time, statuses)
    report.check(attack, "the processor rests after the answer", cpu < CPU_AFTER, f"{cpu:.2f} s of it in 1 s")
    report.check(attack, "no decode is left", decoding == 0, f"upscaler_decoding_requests {decoding}")
    for when, (status, _, seconds) in (("beside it", beside), ("after it", after)):
        served = status == 200 and seconds < DEADLINE + PATIENCE
        report.check(attack, f"another client is served {when}", served, f"{status} after {seconds:.2f} s")
    report.check(attack, "memory stays below its bound", above < peak, f"{above / MB:.0f} MB above idle")
    left, seconds = server.settles(idle)
    report.check(attack, "memory is given back", left <= SETTLED, f"{left / MB:.0f} MB above idle after {seconds:.0f} s")


def unread(report, start, connections, streams, budget):
    """HTTP/2 with windows of 0: what nobody takes is in the budget, and ends a moment after its own deadline."""
    attack, deadline, write_timeout = f"{connections} connections that do not read", 10, 1
    body = attack_files.deep_png(104)
    with start(UPSCALER_MEMORY=f"{budget // MB}MB", UPSCALER_WRITE_TIMEOUT=f"{write_timeout}s") as server:
        path = "/v1/upscale?model=bicubic&scale=4&format=png"
        status, answer = load.request(server.port, "POST", path, body)
        report.check(attack, "an answer of just below a mebibyte", status == 200 and MB / 2 < len(answer) < 1 << 20,
                     f"{len(body)} bytes in, {len(answer)} out")
        idle = server.vitals.resident()
        server.vitals.reset_peak()
        clients = [Stalled(server.port) for _ in range(connections)]
        with ThreadPoolExecutor(connections) as pool:
            for client in clients:
                pool.submit(stall, client, f"{path}&deadline={deadline}", body, streams, deadline - 2)
            time.sleep(deadline / 4)
            live, _, seconds = (*load.request(server.port, "GET", "/health/live", timeout=5), 0)
        held = sum(len(client.answered) for client in clients) * len(answer)
        refused = sum(len(client.refused) for client in clients)
        report.check(attack, "alive meanwhile", live == 200, live)
        report.check(attack, "unread answers are in the budget", 0 < held <= budget,
                     f"{held / MB:.0f} MB unread of {budget / MB:.0f} MB, {refused} refused")
        # A request behind 32 MiB of unread answers on its connection begins only as they are cut, with a deadline of its own.
        ends = 2 * (deadline + write_timeout) + 4 * PATIENCE
        inflight = server.until_metric("upscaler_inflight_bytes", 0, ends)
        report.check(attack, "they end after their deadline", inflight == 0, f"upscaler_inflight_bytes {inflight}")
        status, code, seconds = server.neighbor()
        report.check(attack, "another client is served then", status == 200, f"{status} {code or ''}")
        above = server.vitals.peak() - idle
        report.check(attack, "memory stays below its bound", above < (budget + UPLOADS) * 1.2,
                     f"{above / MB:.0f} MB above idle")
        for client in clients:
            client.close()
        left, seconds = server.settles(idle)
        report.check(attack, "memory is given back", left <= SETTLED,
                     f"{left / MB:.0f} MB above idle after {seconds:.0f} s")


def stall(client, path, body, streams, seconds):
    """Requests one after the other, whose heads alone are read; no more once one is refused."""
    deadline = time.monotonic() + seconds
    try:
        for _ in range(streams):
            client.post(path, body)
            stream = client.next - 2
            while stream not in client.answered | client.refused and time.monotonic() < deadline:
                if not client.read(0.2):
                    return
            if client.refused or time.monotonic() >= deadline:
                return
    except OSError:
        return


def logs(report, start, requests):
    """A log that is full, closed or not read by anybody."""
    with open("/dev/full", "wb") as full:
        log(report, start, "a log on a full disk", requests, stderr=full)
    log(report, start, "a log that is closed", requests, wrapper=("sh", "-c", 'exec "$@" 2>&-', "sh"))
    log(report, start, "a log that nobody reads", requests, stderr=subprocess.PIPE)
    log(report, start, "a log whose reader has left", requests, reader_leaves=True, stderr=subprocess.PIPE)


def log(report, start, attack, requests, reader_leaves=False, **keywords):
    try:
        server = start(UPSCALER_LOG_LEVEL="trace", **keywords)
    except (RuntimeError, TimeoutError) as error:
        report.check(attack, "the server starts", False, str(error).splitlines()[0])
        return
    with server:
        if reader_leaves:
            server.process.stderr.close()
        answered(report, server, attack, requests)


def answered(report, server, attack, requests):
    began, good, last = time.monotonic(), 0, None
    while good < requests and time.monotonic() < began + 60:
        last = server.send("/v1/upscale?model=bicubic&scale=2", SMALL, timeout=5)
        if last[0] != 200:
            break
        good += 1
    report.check(attack, "every request is answered", good == requests, f"{good} of {requests}, the last: {last[:2]}")
    try:
        status = load.request(server.port, "GET", "/health/live", timeout=5)[0]
    except OSError as error:
        status = type(error).__name__
    report.check(attack, "alive", status == 200, status)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--long", action="store_true")
    arguments.add_argument("installation", nargs="+")
    arguments = arguments.parse_args()
    installed = Installation(arguments.installation[:2])
    report = Report()
    with tempfile.TemporaryDirectory(prefix="attacks-") as temporary, Stack(Path(temporary)) as stack:
        def start(**keywords):
            return Server(stack, installed, **keywords)

        decoders(report, start, (1, 2, 4) if arguments.long else (2,))
        unread(report, start, *((40, 60, 600 * MB) if arguments.long else (8, 20, 60 * MB)))
        logs(report, start, 2000 if arguments.long else 300)
    print(f"attacks: {len(report.failed)} checks failed")
    for line in report.failed:
        print(f"attacks: failed: {line}", file=sys.stderr)
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
