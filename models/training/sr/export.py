"""Write a network as ONNX for the service, check it, and keep its entry in model.toml.

    python -m sr.export configs/san-light.toml --scale 4 --weights runs/san-light-x4/last.pt --out ../san-light/x4.onnx
    python -m sr.export --official SAN_BI4X.pt --scale 4 --fp16-storage --out ../san/x4.onnx

Input "lr" (batch, 3, height, width), output "sr" (batch, 3, s*height, s*width), float32 in 0..255, not clamped; batch,
height and width are free, height and width in multiples of the network's region. Of a network that adds to the bicubic
image the output is what it adds, "detail": the service adds the two (`skip = "bicubic"` in model.toml). Checked before
the file is kept: onnx's checker, no control flow left, and parity with PyTorch in float32 within 1e-4 of white.
With --fp16 a second file is written beside it, FILE.fp16.onnx, for providers that compute in what a graph says (CUDA).
"""
import argparse
import copy
import hashlib
import tempfile
from math import ceil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from . import config as configuration
from . import official
from .networks import build, count_parameters
from .upsample import BicubicResidual, BicubicUpsample
from .weights import load_matching

OPSET = 18
PARITY = 1e-4  # in units of white: 0.0255 of 255
CONTROL_FLOW = {"If", "Loop", "Scan"}
IN_FP16 = {"Conv", "Relu", "LeakyRelu"}
CONSTANTS = ("network.mean", "network.luma", "network.upsample.kernel")  # in a graph, not learned


class _Graph(nn.Module):
    """What is exported of a network, under the names of the graph."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.output = "detail" if isinstance(network, BicubicResidual) else "sr"

    def forward(self, lr):
        return self.network.detail(lr) if self.output == "detail" else self.network.core(lr)


def to_onnx(network, path, fp16_storage=False):
    """Export `network` (in evaluation mode, on the CPU) to `path`; returns the checked model proto."""
    m = network.multiple
    height, width = (torch.export.Dim(n, min=2, max=4096) for n in ("rows", "columns"))
    shapes = {"lr": {0: torch.export.Dim("batch", min=1, max=4096), 2: m * height, 3: m * width}}
    example = torch.rand(2, 3, m * max(2, ceil(16 / m)), m * max(3, ceil(16 / m))) * 255
    network = network.eval().to(memory_format=torch.contiguous_format)
    graph = _Graph(network).eval()
    program = torch.onnx.export(graph, (example,), dynamo=True, opset_version=OPSET, dynamic_shapes=shapes,
                                input_names=["lr"], output_names=[graph.output], verbose=False)
    model = tidy(program.model_proto, network)
    if fp16_storage:
        model = store_fp16(model)
    onnx.checker.check_model(model, full_check=True)
    left = {n.op_type for n in model.graph.node} & CONTROL_FLOW
    if left:
        raise ValueError(f"control flow left in the graph: {', '.join(sorted(left))}")
    onnx.save(model, path)
    return model


def tidy(model, network):
    """Plain axis names, and no trace of the exporting machine's paths. Weights are called "network." + their name."""
    for value, s in ((model.graph.input[0], ""), (model.graph.output[0], f"{network.scale}*")):
        dims = value.type.tensor_type.shape.dim
        for i, name in ((0, "batch"), (2, s + "height"), (3, s + "width")):
            dims[i].dim_param = name
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    model.producer_name, model.producer_version = "san-upscaler", ""
    return model


def store_fp16(model):
    """Keep large float32 weights as float16 with a Cast in front: half the file, computed in float32 all the same."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < 1024 or tensor.name in CONSTANTS:
            continue
        values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, name + ".fp16"))
        casts.append(onnx.helper.make_node("Cast", [name + ".fp16"], [name], to=onnx.TensorProto.FLOAT))
    nodes = casts + list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def in_fp16(model):
    """A copy whose convolutions and rectifiers are in float16, with casts around each and their weights stored so.

    ONNX Runtime drops casts that undo each other. Convolutions are nearly all of the arithmetic; what is left in float32
    is what float16, which ends at 65504, is not made for: sums of squares (covariance, Newton-Schulz), softmax, and a
    bicubic image inside the graph.
    """
    half, full = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    model = copy.deepcopy(model)
    used = {name for node in model.graph.node if node.op_type in IN_FP16 for name in node.input} - set(CONSTANTS)
    kept = {name for node in model.graph.node if node.op_type not in IN_FP16 for name in node.input}
    stored = {}
    for tensor in model.graph.initializer:
        if tensor.name in used - kept and tensor.data_type == full:
            stored[tensor.name] = tensor.name + ".fp16"
            values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, stored[tensor.name]))
    nodes = []
    for node in model.graph.node:
        if node.op_type not in IN_FP16 or set(node.input) & set(CONSTANTS):
            nodes.append(node)
            continue
        for i, name in enumerate(node.input):
            if name in stored:
                node.input[i] = stored[name]
            elif name:
                node.input[i] = f"{node.output[0]}.fp16.{i}"
                nodes.append(onnx.helper.make_node("Cast", [name], [node.input[i]], to=half))
        output = node.output[0]
        node.output[0] = output + ".fp16"
        nodes += [node, onnx.helper.make_node("Cast", [node.output[0]], [output], to=full)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return model


def session(path, threads=0):
    """An ONNX Runtime session on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(made, planes):
    """float32 (B, 3, H, W) -> (B, 3, sH, sW), with the bicubic image where the network gives what is added to it."""
    (output,) = made.get_outputs()
    upscaled = made.run([output.name], {"lr": planes})[0]
    if output.name == "detail":
        skip = BicubicUpsample(upscaled.shape[2] // planes.shape[2])
        upscaled = upscaled + skip(torch.from_numpy(planes)).numpy()
    return upscaled


def parity(network, made, planes):
    """Largest difference between PyTorch and ONNX Runtime, in units of white."""
    with torch.inference_mode():
        expected = network.core(torch.from_numpy(planes)).numpy()
    return float(np.abs(expected - run(made, planes)).max() / 255)


def sha256(path):
    """Hex digest of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def configured(args):
    """The network of a configuration, with every tensor from the weights named, or random ones."""
    if args.config is None:
        raise SystemExit("name a configuration, or --official")
    config = configuration.load(args.config)
    torch.manual_seed(config.train.seed)
    network = build(config.network, args.scale).eval()
    if args.weights:
        _, left = load_matching(network, args.weights)
        if left:
            raise SystemExit(f"{args.weights}: {left} tensors of the network are missing")
    return network


def main(argv=None):
    parser = argparse.ArgumentParser(prog="sr.export", description=__doc__.split("\n\n")[0])
    parser.add_argument("config", type=Path, nargs="?", help="needed but for --official")
    parser.add_argument("--official", type=Path, help="state dict of the authors of SAN, RCAN or EDSR")
    parser.add_argument("--scale", type=int, required=True, choices=(2, 3, 4))
    parser.add_argument("--weights", type=Path, help="last.pt of a run, .onnx or .npz; left out: random weights")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fp16-storage", action="store_true", help="weights kept as float16, computed in float32")
    parser.add_argument("--fp16", action="store_true", help="write FILE.fp16.onnx, too: convolutions in float16, for CUDA")
    args = parser.parse_args(argv)
    network = official.read(args.official, args.scale) if args.official else configured(args)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.onnx"
        model = to_onnx(network, draft, args.fp16_storage)
        made = session(draft)
        rng = np.random.default_rng(0)
        if not args.fp16_storage:
            m = network.multiple * ceil(12 / network.multiple)
            for shape in ((1, 3, 6 * m, 6 * m), (8, 3, 3 * m, 3 * m), (1, 3, 3 * m, 4 * m)):
                worst = parity(network, made, rng.uniform(0, 255, shape).astype(np.float32))
                if not worst < PARITY:
                    raise SystemExit(f"parity {worst:.2e} of white at {shape}: over {PARITY:.0e}")
                print(f"parity at {shape}: {worst:.1e} of white")
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_bytes(draft.read_bytes())
        if args.fp16:
            onnx.save(in_fp16(model), args.out.with_suffix(".fp16.onnx"))
    print(f"{args.out}: {count_parameters(network):,} parameters, {args.out.stat().st_size:,} bytes\nsha256 = \"{sha256(args.out)}\"")


if __name__ == "__main__":
    main()
