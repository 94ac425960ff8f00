"""PSNR and SSIM of a network on the test sets, whole images or tiled as the service does.

    python -m sr.evaluate ../san-light/x4.onnx --scale 4 --tiled
"""
import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .data import test_pairs
from .export import run, session
from .metrics import psnr_ssim_y
from .real import jpeg
from .tiling import bounds_of, ensembled, padded, served
from .upsample import BicubicUpsample


# Sides of whole images are padded to a multiple of it: every region divides it.
WHOLE_MULTIPLE = 48


def to_uint8(sr):
    """float (3, H, W) in 0..255 -> uint8 (H, W, 3), rounded half up and clipped."""
    return np.clip(np.floor(np.asarray(sr, dtype=np.float64) + 0.5), 0, 255).astype(np.uint8).transpose(1, 2, 0)


def to_planes(lr):
    """uint8 (H, W, 3) -> float32 (1, 3, H, W)."""
    return np.ascontiguousarray(lr.transpose(2, 0, 1)[None], dtype=np.float32)


def torch_upscaler(network, bf16=False):
    """A function float32 (1, 3, H, W) -> (1, 3, sH, sW) over a PyTorch network."""

    def upscale(planes):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            x = torch.from_numpy(planes).contiguous(memory_format=torch.channels_last)
            return network(x).float().numpy()

    return upscale


def evaluate(upscale, name, scale, kind="BI", root=None, quality=None):
    """Mean (PSNR-Y in dB, SSIM-Y) of `upscale` over test set `name`; with `quality`, LR goes through a 4:2:0 JPEG."""
    def seen(lr):
        return lr if quality is None else np.asarray(jpeg(Image.fromarray(lr), quality, True))

    figures = [psnr_ssim_y(hr, to_uint8(upscale(to_planes(seen(lr)))[0]), scale)
               for _, lr, hr in test_pairs(name, scale, kind, root)]
    if not figures:
        raise FileNotFoundError(f"test set {name}: no images")
    return tuple(float(v) for v in np.mean(figures, axis=0))


def arguments(argv=None):
    parser = argparse.ArgumentParser(prog="sr.evaluate", description=__doc__.split("\n\n")[0])
    parser.add_argument("model", help="an exported .onnx, or bicubic")
    parser.add_argument("--scale", type=int, required=True, choices=(2, 3, 4))
    parser.add_argument("--tiled", action="store_true", help="in the tiles of its model.toml, as served; default: the whole image")
    parser.add_argument("--area", type=int, help="the largest area of a tile, instead of that of its model.toml")
    parser.add_argument("--ensemble", action="store_true", help="x8 self-ensemble")
    parser.add_argument("--degradation", default="BI", choices=("BI", "BD"))
    parser.add_argument("--jpeg", type=int, metavar="QUALITY", help="LR goes through a JPEG of this quality, 4:2:0")
    parser.add_argument("--sets", nargs="+", default=["Set5", "Set14", "BSD100"])
    parser.add_argument("--threads", type=int, default=0)
    return parser.parse_args(argv)


def onnx_upscaler(args):
    """The function that the command line asks for."""
    if args.model == "bicubic":
        network = BicubicUpsample(args.scale)
        return lambda planes: network(torch.from_numpy(planes)).numpy()
    made = session(args.model, args.threads)

    def upscale(planes):
        return run(made, planes)

    if args.tiled or args.area:
        bounds = bounds_of(Path(args.model).parent)
        upscale = served(upscale, args.scale, replace(bounds, max_area=args.area or bounds.max_area))
    else:
        upscale = padded(upscale, args.scale, WHOLE_MULTIPLE)
    return ensembled(upscale) if args.ensemble else upscale


def main(argv=None):
    args = arguments(argv)
    upscale = onnx_upscaler(args)
    for name in args.sets:
        psnr, ssim = evaluate(upscale, name, args.scale, args.degradation, quality=args.jpeg)
        print(f"{name}\tx{args.scale}\t{psnr:.3f}\t{ssim:.4f}", flush=True)


if __name__ == "__main__":
    main()
