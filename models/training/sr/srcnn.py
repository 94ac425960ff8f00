"""SRCNN (Dong et al., ECCV 2014), the baseline: three convolutions on the bicubic upscaled image.

It fits the service's slot like every network, low resolution in: the bicubic upscaled image is part of the graph. Color
instead of luma, and the last convolution gives the difference to bicubic, which reaches the paper's figure in minutes.
"""
import torch
import torch.nn.functional as F
from torch import nn

from .upsample import BicubicUpsample


class Srcnn(nn.Module):
    """(B, 3, H, W) float32 RGB in 0..255 -> (B, 3, s*H, s*W); any H and W."""

    multiple = 1

    def __init__(self, scale, channels=(64, 32), kernels=(9, 5, 5)):
        super().__init__()
        self.scale = scale
        self.upsample = BicubicUpsample(scale)
        sizes = (3, *channels, 3)
        self.convs = nn.ModuleList(
            [nn.Conv2d(sizes[i], sizes[i + 1], k) for i, k in enumerate(kernels)])
        self.reach = sum(k // 2 for k in kernels)
        nn.init.normal_(self.convs[-1].weight, std=1e-3)
        nn.init.zeros_(self.convs[-1].bias)

    def core(self, x):
        with torch.autocast(x.device.type, enabled=False):
            up = self.upsample(x)
        # The edge is repeated once for all convolutions: zeros in between showed as a frame on flat colors.
        y = F.pad(up / 255 - 0.5, (self.reach,) * 4, mode="replicate")
        for conv in self.convs[:-1]:
            y = F.relu(conv(y))
        return up + 255 * self.convs[-1](y).float()

    forward = core
