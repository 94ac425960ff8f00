"""san-plain: the next body of san-light, SAN's ideas on a plain and shallow stack (models/README.md has the trials).

Kept from the paper: second-order channel attention a group, region-level non-local, group skips, and the share-source
skip with one learned scalar from 0 (eq. 3). Changed: a group is a plain stack of convolutions; each starts as the
identity plus a small random part, so what inner skips do for training is in the weights and costs nothing when served.
The non-local module runs once, after the groups. One convolution goes straight to 3*s*s channels, and the bicubic
image is added, so that the network starts as bicubic and learns the difference alone.
"""
import torch
import torch.nn.functional as F
from torch import nn

from .attention import channel_attention
from .nonlocal_regions import FixedRegionNonLocal
from .san_light import DIV2K_MEAN
from .upsample import BicubicResidual

SLOPE = 0.1  # of LeakyReLU, which ONNX Runtime fuses into the convolution; SiLU began 0.4 dB lower after 1,500 steps
RANDOM_PART = 0.5  # of PyTorch's usual initial weights


class IdentityConv(nn.Conv2d):
    """A 3x3 convolution (B, C, H, W) -> the same that starts as the identity plus a small random part."""

    def __init__(self, channels):
        super().__init__(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.weight.mul_(RANDOM_PART)
            self.weight[range(channels), range(channels), 1, 1] += 1
            self.bias.zero_()


class PlainGroup(nn.Module):
    """`convs` of 3x3 with LeakyReLU between, channel attention, and the group's input added (paper, eq. 3)."""

    def __init__(self, channels, convs, attention, reduction):
        super().__init__()
        self.convs = nn.ModuleList([IdentityConv(channels) for _ in range(convs)])
        self.attention = channel_attention(attention, channels, reduction, rounded=True)

    def forward(self, x):
        features = self.convs[0](x)
        for conv in self.convs[1:]:
            features = conv(F.leaky_relu(features, SLOPE))
        return x + self.attention(features)


class SanPlain(BicubicResidual):
    """(B, 3, H, W) float32 RGB in 0..255 -> (B, 3, s*H, s*W), same range, not clamped.

    `detail` wants H and W as multiples of `region` and is what is exported.
    """

    def __init__(self, scale, channels=48, groups=2, convs=7, reduction=4, inner=8, region=12,
                 attention="second", non_local=True):
        super().__init__(scale)
        self.multiple = region
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.non_local = FixedRegionNonLocal(channels, inner, region) if non_local else nn.Identity()
        self.groups = nn.ModuleList([PlainGroup(channels, convs, attention, reduction) for _ in range(groups)])
        self.gamma = nn.Parameter(torch.zeros(1))
        self.tail = nn.Conv2d(channels, 3 * scale * scale, 3, padding=1)
        nn.init.normal_(self.tail.weight, std=1e-3)
        nn.init.zeros_(self.tail.bias)

    def detail(self, x):
        head = features = self.head(x / 255 - self.mean)
        shared = self.gamma.to(head.dtype) * head
        for group in self.groups:
            features = group(features) + shared
        return 255 * F.pixel_shuffle(self.tail(self.non_local(features) + head), self.scale).float()
