"""Clients that send one photograph after the other, and what became of each; those of deploy/test/load.py drive them."""

import hashlib
import http.client
import itertools
import math
import struct
import time
from collections import defaultdict
from typing import NamedTuple

import load

SCALE = 4
BOUNDARY = "a-photograph-ends-here"


class Request(NamedTuple):
    size: tuple
    body: bytes


class Answer(NamedTuple):
    photo: int
    began: float
    ended: float
    digest: bytes


def requests(photos):
    """The forms that upload them."""
    head = (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n").encode()
    return [Request(size, head + file + f"\r\n--{BOUNDARY}--\r\n".encode()) for size, file in photos]


def send(port, path, request):
    """The answer's digest; ValueError for what is not the whole PNG of the size that was due."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=400)
    try:
        connection.request("POST", path, request.body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise ValueError(f"{answer.status}: {body[:200].decode(errors='replace')}")
    size = struct.unpack(">II", body[16:24]) if len(body) > 24 else None
    if size != tuple(SCALE * side for side in request.size) or not body.endswith(b"IEND\xaeB`\x82"):
        raise ValueError(f"not the whole image: {len(body)} bytes, size {size}")
    return hashlib.sha256(body).digest()


class Outcome:
    """Answers and failures that ended after `start`; the window ends at `end`, the last answers later."""

    def __init__(self, requests, answers, failures, start, end):
        self.requests = requests
        # Of all answers, also those before the window.
        self.pixels = sum(math.prod(requests[answer.photo].size) for answer in answers)
        self.answers = [answer for answer in answers if answer.ended > start]
        self.failures = [reason for ended, reason in failures if ended > start]
        self.start, self.end = start, end

    def pixels_per_second(self):
        """Input pixels; of an answer that lies partly in the window, that part of its pixels counts."""
        total = 0.0
        for photo, began, ended, _ in self.answers:
            width, height = self.requests[photo].size
            inside = min(ended, self.end) - max(began, self.start)
            total += width * height * max(inside, 0) / (ended - began)
        return total / (self.end - self.start)

    def quantile(self, q):
        """Seconds within which that share of the answers came; None without answers."""
        took = sorted(answer.ended - answer.began for answer in self.answers)
        return took[max(math.ceil(q * len(took)), 1) - 1] if took else None

    def unsteady(self):
        """Photographs that were not answered with the same bytes every time."""
        digests = defaultdict(set)
        for answer in self.answers:
            digests[answer.photo].add(answer.digest)
        return sum(len(different) > 1 for different in digests.values())


def run(port, path, requests, clients, lead, window):
    answers, failures, turns = [], [], itertools.count()

    def one(_):
        photo = next(turns) % len(requests)
        began = time.monotonic()
        try:
            digest = send(port, path, requests[photo])
            answers.append(Answer(photo, began, time.monotonic(), digest))
        except (OSError, ValueError, http.client.HTTPException) as error:
            failures.append((time.monotonic(), f"{type(error).__name__}: {error}"))
            # Whoever is refused at once should not fill the log.
            time.sleep(0.2)

    running = load.Load(clients, one)
    start = time.monotonic() + lead
    end = start + window
    time.sleep(lead + window)
    running.stop(timeout=400)
    return Outcome(requests, answers, failures, start, end)
