#!/usr/bin/env python3
"""How far the bare session is from what the cores can do: its floating-point operations a second over those of a large
matrix product in the same precision, by PyTorch (oneDNN), before and after, on one thread.

    models/training/.venv/bin/python benches/peak.py [--provider auto] [--precision auto]

Operations are those of the network's convolutions and matrix products, two for each multiply-add, by the shapes that ONNX
infers. Needs cargo and the training's environment (`make test-training` makes it)."""

import time
from math import prod
from pathlib import Path

import onnx
import torch
from grid import network_flags, network_options, session_rows

ROOT = Path(__file__).parents[1]


def operations(path, side):
    """Of one tile."""
    model = onnx.load(path)
    for axis, value in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, 3, side, side)):
        axis.dim_value = value
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    graph = model.graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in [*graph.value_info, *graph.input, *graph.output]:
        shapes[value.name] = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            total += 2 * prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])
        elif node.op_type in ("MatMul", "Gemm"):
            total += 2 * prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    return total


def peak(dtype, size=2048, seconds=3.0):
    """Operations a second of a size x size x size product, the best of those that fit into the time."""
    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    end, best = time.perf_counter() + seconds, float("inf")
    while time.perf_counter() < end:
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def main():
    parser = network_options(__doc__)
    parser.add_argument("--side", type=int, default=72)
    args = parser.parse_args()
    torch.set_num_threads(1)
    work = operations(ROOT / f"models/{args.model}/x{args.scale}.onnx", args.side)
    before = {dtype: peak(dtype) for dtype in (torch.float32, torch.bfloat16)}
    [row] = session_rows(*network_flags(args), "--workers", 1, "--threads", 1, "--tile", args.side, "--batch", 1,
                         "--seconds", 5)
    tiles = row["input_pixels_per_second"] / args.side**2
    after = {dtype: peak(dtype) for dtype in (torch.float32, torch.bfloat16)}
    print(f"{args.model} x{args.scale}, a tile of {args.side}: {work / 1e9:.2f} GFLOP; {row['provider']}, {row['precision']}: "
          f"{tiles:.1f} tiles, {tiles * work / 1e9:.0f} GFLOP a second on one thread")
    for dtype, first in before.items():
        product = max(first, after[dtype])
        print(f"matrix product of 2048, {str(dtype).removeprefix('torch.')}: {product / 1e9:.0f} GFLOP a second "
              f"({first / 1e9:.0f} before, {after[dtype] / 1e9:.0f} after): the session reaches {tiles * work / product:.0%}")


if __name__ == "__main__":
    main()
