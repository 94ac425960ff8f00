"""san-light: SAN's ideas at about a million parameters, shaped for a CPU. models/README.md argues each choice.

Kept: second-order channel attention a group, region-level non-local before and after the groups with shared weights,
group skips, and the share-source skip with one learned scalar from 0 (paper, eq. 3). Changed: fewer blocks, regions
of a fixed size, one convolution straight to 3*s*s channels and PixelShuffle, and a bicubic global skip, so that the
network starts as bicubic and learns the difference alone.
"""
import torch
import torch.nn.functional as F
from torch import nn

from .attention import channel_attention
from .nonlocal_regions import FixedRegionNonLocal
from .upsample import BicubicResidual

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(x)))"""

    def __init__(self, channels):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return x + self.second(F.relu(self.first(x)))


class Group(nn.Module):
    """Residual blocks, channel attention, a 3x3 convolution, and the group's input added (paper, eq. 3)."""

    def __init__(self, channels, blocks, attention, reduction):
        super().__init__()
        self.blocks = nn.Sequential(*[ResidualBlock(channels) for _ in range(blocks)])
        self.attention = channel_attention(attention, channels, reduction)
        self.last = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return x + self.last(self.attention(self.blocks(x)))


class SanLight(BicubicResidual):
    """(B, 3, H, W) float32 RGB in 0..255 -> (B, 3, s*H, s*W), same range, not clamped.

    `detail` wants H and W as multiples of `region` and is what is exported.
    """

    def __init__(self, scale, channels=64, groups=4, blocks=3, reduction=4, inner=8, region=12,
                 attention="second", non_local=True):
        super().__init__(scale)
        self.multiple = region
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.non_local = FixedRegionNonLocal(channels, inner, region) if non_local else nn.Identity()
        self.groups = nn.ModuleList([Group(channels, blocks, attention, reduction) for _ in range(groups)])
        self.gamma = nn.Parameter(torch.zeros(1))
        self.tail = nn.Conv2d(channels, 3 * scale * scale, 3, padding=1)
        nn.init.normal_(self.tail.weight, std=1e-3)
        nn.init.zeros_(self.tail.bias)

    def detail(self, x):
        head = self.head(x / 255 - self.mean)
        source = features = self.non_local(head)
        shared = self.gamma.to(source.dtype) * source
        for group in self.groups:
            features = group(features) + shared
        return 255 * F.pixel_shuffle(self.tail(self.non_local(features) + head), self.scale).float()
