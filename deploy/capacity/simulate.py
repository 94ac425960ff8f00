#!/usr/bin/env python3
"""What the autoscaler does to the queue, second by second: pods with the scheduler's own admission (work, and time left
before the deadline), the HorizontalPodAutoscaler as its manifest has it, a balancer that takes turns.

    simulate.py --megapixels-per-second R --start-seconds S

R is what one pod does of input (docs/capacity.md says how it was measured), S how long a new pod takes to be ready. Prints one
row for each scenario. The random numbers have a fixed seed: the same arguments, the same rows. Needs PyYAML."""

import argparse
import math
import random
import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
# As kube-controller-manager has them by default.
SYNC_SECONDS, TOLERANCE = 15, 0.1
# A photograph of 1024x1024 in tiles of 180x72 with a halo of 4: 6 x 16. Only --queue-tiles asks for it.
TILES_PER_MEGAPIXEL = 96
# Name, and phases of (seconds, load over what the first pods can do).
SCENARIOS = [
    ("half of it", [(1800, 0.5)]),
    ("twice, from one second to the next, for half an hour", [(600, 0.5), (1800, 2.0), (1800, 0.5)]),
    ("four times, for half an hour", [(600, 0.5), (1800, 4.0), (1800, 0.5)]),
    ("six times, more than all pods can do, for half an hour", [(600, 0.5), (1800, 6.0), (1800, 0.5)]),
    ("four times, for two minutes", [(600, 0.5), (120, 4.0), (1800, 0.5)]),
]


@dataclass
class Request:
    # Seconds of a pod that are left of it.
    work: float
    since: int
    # As in crates/scheduler/src/admission.rs: one that needs at most half of the pod for its time must not be made late.
    protected: bool


@dataclass
class Pod:
    ready_at: float
    queue: list = field(default_factory=list)
    history: deque = field(default_factory=lambda: deque(maxlen=60))
    leaving: bool = False

    def admitted(self):
        """`upscaler_admitted_seconds`."""
        return sum(request.work for request in self.queue)

    def admit(self, work, now, deadline, most):
        """crates/scheduler/src/admission.rs: all of it or nothing, by tiles, by fair sharing, and by what it does to others."""
        if self.admitted() + work > most or self.shared(work) + work > deadline:
            return False
        for one in self.queue:
            left = one.since + deadline - now
            before = self.shared(one.work)
            if one.protected and before <= left < before + min(work, one.work):
                return False
        self.queue.append(Request(work, now, work <= deadline / 2))
        return True

    def shared(self, work):
        """What is done by when a request of so much is, if all take turns, without its own."""
        return sum(min(one.work, work) for one in self.queue)

    def run(self, seconds, now):
        """Works for so long, in equal shares for each request; how long the finished ones took."""
        while seconds > 1e-9 and self.queue:
            share = seconds / len(self.queue)
            for request in self.queue:
                done = min(share, request.work)
                request.work -= done
                seconds -= done
            yield from (now - request.since for request in self.queue if request.work <= 1e-9)
            self.queue = [request for request in self.queue if request.work > 1e-9]


class Scaler:
    """The autoscaler: desired = ceil(pods x metric / target), within its behavior."""

    def __init__(self, spec):
        self.low, self.high = spec["minReplicas"], spec["maxReplicas"]
        self.target = float(spec["metrics"][0]["pods"]["target"]["averageValue"])
        self.up, self.down = spec["behavior"]["scaleUp"], spec["behavior"]["scaleDown"]
        self.wanted, self.changes = deque(), deque()

    def step(self, behavior, now, count, sign):
        """By how much the count may change now; policies count from the size at the beginning of their period."""
        steps = []
        for policy in behavior["policies"]:
            recent = [by for at, by in self.changes if now - at < policy["periodSeconds"] and by * sign > 0]
            already = abs(sum(recent))
            percent = math.ceil((count - sign * already) * policy["value"] / 100)
            steps.append((policy["value"] if policy["type"] == "Pods" else percent) - already)
        return max(0, *steps) if len(steps) > 1 else max(0, steps[0])

    def decide(self, now, count, metric):
        ratio = metric / self.target
        desired = count if abs(ratio - 1) <= TOLERANCE else math.ceil(count * ratio)
        desired = min(max(desired, self.low), self.high)
        self.wanted.append((now, desired))
        while now - self.wanted[0][0] > self.down["stabilizationWindowSeconds"]:
            self.wanted.popleft()
        if desired > count:
            made = min(desired, count + self.step(self.up, now, count, 1))
        else:
            stable = max(wish for _, wish in self.wanted)
            made = max(min(count, stable), count - self.step(self.down, now, count, -1))
        if made != count:
            self.changes.append((now, made - count))
        return made


def arrivals(draw, mean):
    """By Poisson (Knuth's way)."""
    count, product, bound = 0, draw.random(), math.exp(-mean)
    while product > bound:
        count += 1
        product *= draw.random()
    return count


def simulate(phases, rate, start_seconds, deadline, queue_tiles, spec):
    draw, scaler = random.Random(1), Scaler(spec)
    pods = [Pod(0) for _ in range(scaler.low)]
    # Images a second, of a megapixel in the mean; and --queue-tiles in seconds.
    capacity, most_work = scaler.low * rate, queue_tiles / TILES_PER_MEGAPIXEL / rate
    waits, asked, refused, late, most, now, peak = [], 0, 0, 0, scaler.low, 0, 0.0
    for seconds, load in phases:
        for _ in range(seconds):
            now += 1
            seen = [pod for pod in pods if pod.ready_at <= now and not pod.leaving]
            for _ in range(arrivals(draw, load * capacity)):
                pod = seen[asked % len(seen)]
                asked += 1
                # Images of a quarter to nearly two megapixels.
                work = draw.uniform(0.25, 1.75) / rate
                refused += not pod.admit(work, now, deadline, most_work)
            for pod in pods:
                kept = [request for request in pod.queue if now - request.since < deadline]
                late += len(pod.queue) - len(kept)
                pod.queue = kept
                if pod.ready_at <= now:
                    waits += pod.run(1, now)
                    pod.history.append(pod.admitted())
            pods = [pod for pod in pods if pod.queue or not pod.leaving]
            peak = max([peak, *(pod.admitted() for pod in seen)])
            if now % SYNC_SECONDS == 0:
                serving = [pod for pod in pods if not pod.leaving]
                metric = sum(sum(pod.history) / max(1, len(pod.history)) for pod in seen) / len(seen)
                # Pods that are not ready yet count as idle on the way up.
                if metric > scaler.target:
                    metric *= len(seen) / len(serving)
                wanted = scaler.decide(now, len(serving), metric)
                pods += [Pod(now + start_seconds) for _ in range(wanted - len(serving))]
                for pod in serving[wanted:]:
                    pod.leaving = True
                most = max(most, wanted)
    waits.sort()
    last = sum(not pod.leaving for pod in pods)
    return asked, refused, late, waits[len(waits) // 2], waits[len(waits) * 95 // 100], peak, most, last


def default_of(variable):
    """The default of a setting, from the server's own source."""
    source = (ROOT / "src/config/typed.rs").read_text()
    return re.search(rf'env = "{variable}"[^)]*default_value = "([^"]+)"', source).group(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels-per-second", type=float, required=True)
    parser.add_argument("--start-seconds", type=float, required=True)
    args = parser.parse_args()
    manifest = ROOT / "deploy/kubernetes/components/autoscaling/horizontalpodautoscaler.yaml"
    spec = yaml.safe_load(manifest.read_text())["spec"]
    deadline = float(default_of("UPSCALER_DEADLINE").removesuffix("s"))
    queue_tiles = int(default_of("UPSCALER_QUEUE_TILES"))
    low = spec["minReplicas"]
    print(f"| load, over what {low} pods can do | images | refused | too late | done after, median | 95 % | most work on a pod | most pods | in the end |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, phases in SCENARIOS:
        asked, refused, late, median, p95, peak, most, last = simulate(
            phases, args.megapixels_per_second, args.start_seconds, deadline, queue_tiles, spec
        )
        print(f"| {name} | {asked} | {refused / asked:.1%} | {late / asked:.1%} | {median:.0f} s | {p95:.0f} s | {peak:.0f} s | {most} | {last} |")


if __name__ == "__main__":
    main()
