"""Take weights over from a file: an exported ONNX, an .npz, or a checkpoint of a run.

Tensors are matched by name and shape, so that the body of a x4 network starts a x3 one whose last layer differs.
"""
from pathlib import Path

import numpy as np
import torch


def read_tensors(path):
    """{name: float32 tensor} of a file, by its ending: .onnx, .npz or .pt (a run's averaged weights)."""
    path = Path(path)
    if path.suffix == ".onnx":
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(path).graph
        # A tensor kept in half precision carries the ending ".fp16" (see export).
        return {t.name.removeprefix("network.").removesuffix(".fp16"):
                torch.from_numpy(np.array(numpy_helper.to_array(t))) for t in graph.initializer}
    if path.suffix == ".npz":
        with np.load(path) as stored:
            return {k: torch.from_numpy(stored[k].astype(np.float32)) for k in stored.files}
    if path.suffix == ".pt":
        state = torch.load(path, map_location="cpu", weights_only=False)
        return state.get("average", state)
    raise ValueError(f"{path}: expected .onnx, .npz or .pt")


def load_matching(network, path):
    """Copy what fits by name and shape; (taken over, left alone). Nothing fitting is an error. Counters, which batch
    normalization has and no graph needs, are no weights."""
    own, stored = {k: v for k, v in network.state_dict().items() if v.is_floating_point()}, read_tensors(path)
    fitting = {k: stored[k].to(v.dtype) for k, v in own.items() if k in stored and stored[k].shape == v.shape}
    if not fitting:
        raise ValueError(f"{path}: no tensor fits this network")
    network.load_state_dict(fitting, strict=False)
    return len(fitting), len(own) - len(fitting)
