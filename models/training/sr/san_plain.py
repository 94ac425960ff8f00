"""san-light's body as it is served: SAN's ideas on a plain, shallow stack of 3x3 convolutions (models/README.md).

Kept from the paper: second-order channel attention a group, region-level non-local, group skips, and the share-source
skip. Changed: a group is a plain stack of convolutions without inner skips (each starts as the identity, so the skip
is in the weights and costs nothing when served), one convolution straight to 3*s*s channels and PixelShuffle, and a
bicubic global skip, so that the network starts as bicubic and learns the difference alone.
"""
import torch
import torch.nn.functional as F
from torch import nn

from .attention import channel_attention
from .nonlocal_regions import FixedRegionNonLocal
from .san_light import DIV2K_MEAN
from .upsample import BicubicUpsample

SLOPE = 0.1


def plain(channels, out=None):
    """A 3x3 convolution; where it keeps its width it starts as the identity and a small random part."""
    conv = nn.Conv2d(channels, out or channels, 3, padding=1)
    if out in (None, channels):
        with torch.no_grad():
            conv.weight.mul_(0.5)
            conv.weight[range(channels), range(channels), 1, 1] += 1
            conv.bias.zero_()
    return conv


class Group(nn.Module):
    """`convs` of 3x3 with LeakyReLU between, channel attention, and the group's input added (paper, eq. 3)."""

    def __init__(self, channels, convs, attention, reduction, part):
        super().__init__()
        self.part = part or channels
        widths = [channels] + [self.part] * (convs - 2) + [channels]
        self.convs = nn.ModuleList([plain(w) for w in widths])
        self.attention = channel_attention(attention, channels, reduction)

    def forward(self, x):
        y = x
        last = len(self.convs) - 1
        for i, conv in enumerate(self.convs):
            width = conv.in_channels
            if width == y.shape[1]:
                y = conv(y)
            else:
                y = torch.cat([conv(y[:, :width]), y[:, width:]], 1)
            if i < last:
                y = F.leaky_relu(y, SLOPE)
        return x + self.attention(y)


class SanPlain(nn.Module):
    """(B, 3, H, W) float32 RGB in 0..255 -> (B, 3, s*H, s*W), same range, not clamped."""

    def __init__(self, scale, channels=48, groups=4, convs=4, reduction=4, inner=8, region=12,
                 attention="second", non_local=True, part=0):
        super().__init__()
        self.scale, self.multiple = scale, region
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.non_local = FixedRegionNonLocal(channels, inner, region) if non_local else nn.Identity()
        self.groups = nn.ModuleList([Group(channels, convs, attention, reduction, part) for _ in range(groups)])
        self.gamma = nn.Parameter(torch.zeros(1))
        self.tail = nn.Conv2d(channels, 3 * scale * scale, 3, padding=1)
        self.skip = BicubicUpsample(scale)
        nn.init.normal_(self.tail.weight, std=1e-3)
        nn.init.zeros_(self.tail.bias)

    def core(self, x):
        head = self.head(x / 255 - self.mean)
        features = head
        shared = self.gamma.to(head.dtype) * head
        for group in self.groups:
            features = group(features) + shared
        detail = F.pixel_shuffle(self.tail(self.non_local(features) + head), self.scale)
        with torch.autocast(x.device.type, enabled=False):
            return self.skip(x) + 255 * detail.float()

    def forward(self, x):
        h, w = x.shape[2:]
        down, right = -h % self.multiple, -w % self.multiple
        if down or right:
            x = F.pad(x, (0, right, 0, down), mode="reflect" if down < h and right < w else "replicate")
        return self.core(x)[:, :, : h * self.scale, : w * self.scale]
