"""PSNR and SSIM of a network on the test sets, whole pictures or tiled as the service does.

    python -m sr.evaluate MODEL.onnx --scale 4 [--tile 64 --halo 8] [--ensemble] [--sets Set5 Set14 BSD100]
"""
import numpy as np
import torch

from .data import test_pairs
from .metrics import psnr_ssim_y


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


def evaluate(upscale, name, scale, kind="BI", root=None):
    """Mean (PSNR-Y in dB, SSIM-Y) of `upscale` over test set `name`."""
    figures = [psnr_ssim_y(hr, to_uint8(upscale(to_planes(lr))[0]), scale)
               for _, lr, hr in test_pairs(name, scale, kind, root)]
    if not figures:
        raise FileNotFoundError(f"test set {name}: no pictures")
    return tuple(float(v) for v in np.mean(figures, axis=0))
