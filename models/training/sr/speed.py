"""What each choice in san-light costs on a CPU: seconds of processor time for one tile in ONNX Runtime, float32.

    python -m sr.speed [--tile 72] [--repeats 10]

Processor time on one thread, the best of several runs, so that other programs on the machine do not count; variants
take turns, so that a slow spell hits all of them. Weights are random: the time does not depend on them.
"""
import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from torch import nn

from .export import run, session, to_onnx
from .networks import build, count_parameters
from .nonlocal_regions import GridNonLocal
from .san import upsampler

BASE = {"kind": "san-light"}
VARIANTS = {
    "san-light as it is (4 x 3, 64 channels)": {},
    "4 groups of 4 blocks": {"blocks": 4},
    "48 channels": {"channels": 48},
    "80 channels": {"channels": 80},
    "no channel attention": {"attention": "none"},
    "first-order attention": {"attention": "first"},
    "no non-local module": {"non_local": False},
    "regions of 8 x 8": {"region": 8},
    "regions of 24 x 24": {"region": 24},
    "regions of 36 x 36": {"region": 36},
    "san-plain (2 x 7, 48 channels)": {"kind": "san-plain"},
    "san-plain, no non-local module": {"kind": "san-plain", "non_local": False},
    "san-plain, no channel attention": {"kind": "san-plain", "attention": "none"},
    "san-plain, 3 groups of 5": {"kind": "san-plain", "groups": 3, "convs": 5},
    "san-plain, 64 channels, 2 groups of 4": {"kind": "san-plain", "channels": 64, "convs": 4},
}


def with_grid(network):
    """The published 2 x 2 grid instead of regions of a fixed size."""
    network.non_local = GridNonLocal(64, 8)
    return network


def with_published_tail(network):
    """The published upsampler: for x4, twice convolution and PixelShuffle at x2, then a convolution to 3 channels."""

    class Core(nn.Module):
        multiple, scale = network.multiple, network.scale

        def __init__(self):
            super().__init__()
            self.body, self.up, self.last = network, upsampler(64, 4), nn.Conv2d(64, 3, 3, padding=1)
            network.tail = nn.Identity()

        def core(self, x):
            head = self.body.head(x / 255 - self.body.mean)
            source = features = self.body.non_local(head)
            for group in self.body.groups:
                features = group(features) + self.body.gamma * source
            return self.body.skip(x) + 255 * self.last(self.up(self.body.non_local(features) + head))

    return Core()


def main(argv=None):
    parser = argparse.ArgumentParser(prog="sr.speed", description=__doc__.split("\n\n")[0])
    parser.add_argument("--tile", type=int, default=72)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--san", action="store_true", help="the published network too (a minute of exporting)")
    args = parser.parse_args(argv)
    networks = {name: build(BASE | changes, 4) for name, changes in VARIANTS.items()}
    networks["the published 2 x 2 grid"] = with_grid(build(BASE, 4))
    networks["the published upsampler"] = with_published_tail(build(BASE, 4))
    if args.san:
        networks["SAN as published"] = build({"kind": "san"}, 4)
    tile = np.random.default_rng(0).uniform(0, 255, (1, 3, args.tile, args.tile)).astype(np.float32)
    best = {}
    with tempfile.TemporaryDirectory() as folder:
        made = {}
        for i, (name, network) in enumerate(networks.items()):
            path = Path(folder) / f"{i}.onnx"
            to_onnx(network.eval(), path)
            made[name] = session(path, 1)
        for _ in range(args.repeats):
            for name, one in made.items():
                start = time.process_time()
                run(one, tile)
                best[name] = min(best.get(name, 1e9), time.process_time() - start)
    for name, seconds in best.items():
        print(f"| {name} | {count_parameters(networks[name]):,} | {1000 * seconds:.0f} |")


if __name__ == "__main__":
    main()
