"""NLRN (Liu et al., "Non-Local Recurrent Network for Image Restoration", NeurIPS 2018).

One residual block is unrolled `unrollings` times with the same convolutions (the paper's recurrent transition
function). Its non-local module is embedded Gaussian in a confined neighborhood, and adds the correlation of the
unrolling before to its own before the softmax (the paper's correlation propagation). Published: 128 channels, 64 inside the correlation, 12 unrollings, neighborhoods of 45 x 45,
on the luma of the bicubic upscaled image; color is that of the upscaled image. Batch normalizations belong to their unrolling,
as in the authors' code.

A neighborhood here is a region of a fixed grid, 48 x 48 pixels of the upscaled image, since that side goes with tiles at
every scale. The authors' test code too cuts patches (45 x 45, every 7 pixels) and lets a pixel see its patch; halos take
the place of that overlap. A sliding neighborhood would need 2,025 copies of the features.
"""
import torch
import torch.nn.functional as F
from torch import nn

from .upsample import BicubicUpsample

LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)
LUMA_GAIN = 255 / 219  # of each color for one level of studio luma


def to_regions(x, region):
    """(B, C, H, W), H and W in multiples of `region` -> (B * regions, region * region, C)."""
    b, c, h, w = x.shape
    x = x.reshape(b, c, h // region, region, w // region, region).permute(0, 2, 4, 3, 5, 1)
    return x.reshape(b * (h // region) * (w // region), region * region, c)


def from_regions(x, like, region):
    """The inverse of `to_regions`, to the shape (B, C, H, W) of `like` in all but the channels."""
    b, _, h, w = like.shape
    x = x.reshape(b, h // region, w // region, region, region, x.shape[2]).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(b, x.shape[1], h, w)


class Correlated(nn.Module):
    """Non-local module that takes and returns the correlation: x + softmax(theta phi + before) g."""

    def __init__(self, channels, inner, region):
        super().__init__()
        self.region = region
        self.theta, self.phi = nn.Conv2d(channels, inner, 1), nn.Conv2d(channels, inner, 1)
        self.g = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.g.weight)

    def forward(self, x, before):
        theta, phi, g = (to_regions(p(x), self.region) for p in (self.theta, self.phi, self.g))
        with torch.autocast(x.device.type, enabled=False):
            correlation = theta.float() @ phi.float().transpose(1, 2)
            if before is not None:
                correlation = correlation + before
            weights = correlation.softmax(-1)
        return x + from_regions(weights.to(g.dtype) @ g, x, self.region), correlation


class Recurrence(nn.Module):
    """The unrolled block: every state is conv(ReLU(conv(non-local(ReLU(state))))) + input; (B, C, H, W) -> the same."""

    def __init__(self, channels, inner, unrollings, region):
        super().__init__()
        self.non_local = Correlated(channels, inner, region)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.norms = nn.ModuleList([nn.ModuleList([nn.BatchNorm2d(channels) for _ in range(3)]) for _ in range(unrollings)])

    def forward(self, x):
        state, correlation = x, None
        for before, between, inside in self.norms:
            y, correlation = self.non_local(F.relu(before(state)), correlation)
            state = x + self.second(F.relu(inside(self.first(between(y)))))
        return state


class Nlrn(nn.Module):
    """(B, 3, H, W) float32 RGB in 0..255 -> (B, 3, s*H, s*W), same range, not clamped.

    `core` wants s*H and s*W as multiples of `region`; `forward` pads and cuts.
    """

    def __init__(self, scale, channels=128, inner=64, unrollings=12, region=48):
        super().__init__()
        if region % scale:
            raise ValueError(f"region {region}: expected a multiple of the scale {scale}")
        self.scale, self.multiple = scale, region // scale
        self.upsample = BicubicUpsample(scale)
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)
        self.head = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, channels, 3, padding=1))
        self.recurrence = Recurrence(channels, inner, unrollings, region)
        self.tail = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, 1, 3, padding=1))

    def core(self, x):
        with torch.autocast(x.device.type, enabled=False):
            up = self.upsample(x)
            y = (up * self.luma).sum(1, keepdim=True) / 255
        detail = self.tail(self.recurrence(self.head(y)))
        return up + 255 * LUMA_GAIN * detail.float()

    def forward(self, x):
        h, w = x.shape[2:]
        x = F.pad(x, (0, -w % self.multiple, 0, -h % self.multiple), mode="replicate")
        return self.core(x)[:, :, : h * self.scale, : w * self.scale]
