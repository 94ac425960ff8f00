"""Bicubic upscaled image as a fixed convolution, to be part of a network's graph.

At an integer factor s, each of the s*s output phases is a weighted sum of a 5 x 5 neighborhood of the input, so the
whole is one depthwise convolution followed by PixelShuffle; the border repeats the edge pixel.
"""
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .matlab import cubic

REACH = 2  # input pixels to each side that a phase may look at


def phase_weights(scale):
    """(scale, 5) float64: row p holds the weights of output phase p on input offsets -2..2; each row sums to 1."""
    center = (np.arange(scale) + 0.5) / scale - 0.5
    weights = cubic(center[:, None] - np.arange(-REACH, REACH + 1))
    return weights / weights.sum(1, keepdims=True)


class BicubicUpsample(nn.Module):
    """(B, 3, H, W) -> (B, 3, s*H, s*W), same range. No parameters."""

    def __init__(self, scale):
        super().__init__()
        w = phase_weights(scale)
        kernel = np.einsum("ai,bj->abij", w, w).reshape(scale * scale, 1, 2 * REACH + 1, 2 * REACH + 1)
        self.register_buffer("kernel", torch.tensor(np.tile(kernel, (3, 1, 1, 1)), dtype=torch.float32), persistent=False)
        self.scale = scale

    def forward(self, x):
        padded = F.pad(x, (REACH,) * 4, mode="replicate")
        return F.pixel_shuffle(F.conv2d(padded, self.kernel, groups=3), self.scale)


class Padded(nn.Module):
    """A network whose `core` wants sides that are multiples of `multiple`: pads any image for it and cuts the answer."""

    def forward(self, x):
        h, w = x.shape[2:]
        down, right = -h % self.multiple, -w % self.multiple
        if down or right:
            x = F.pad(x, (0, right, 0, down), mode="reflect" if down < h and right < w else "replicate")
        return self.core(x)[:, :, : h * self.scale, : w * self.scale]


class BicubicResidual(Padded):
    """A network that adds what its `detail` gives to the bicubic image: it starts as bicubic and learns the difference.

    What is exported is `detail` alone (B, 3, H, W) -> (B, 3, s*H, s*W) in levels: who serves it adds the bicubic image in
    float32, whatever the network itself is computed in (`skip = "bicubic"` in model.toml).
    """

    def __init__(self, scale):
        super().__init__()
        self.scale = scale
        self.skip = BicubicUpsample(scale)

    def core(self, x):
        detail = self.detail(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.skip(x) + detail.float()
