"""The systems of the talk at one small budget: one head, one tail, and between them the body of each paper.

Equal for all: a 3x3 convolution into the features, one 3x3 convolution to 3*s*s channels with PixelShuffle, and the
bicubic upscaled image added, so that every network starts as bicubic and a short training is spent on the body. The
bodies work on (B, C, H, W) features and are made of the published networks' own modules.
"""
import torch
import torch.nn.functional as F
from torch import nn

from .attention import channel_attention
from .nlrn import Recurrence
from .nonlocal_regions import FixedRegionNonLocal
from .rcan import ResidualGroup, conv3
from .san import RGB_MEAN, Block
from .srresnet import ResidualTrunk
from .upsample import BicubicResidual


class AttentionGroup(nn.Module):
    """SAN's group with the attention as a choice: residual blocks, channel attention, a 3x3 convolution, skip."""

    def __init__(self, channels, blocks, attention, reduction):
        super().__init__()
        self.blocks = nn.Sequential(*[Block(channels) for _ in range(blocks)])
        self.attention = channel_attention(attention, channels, reduction)
        self.last = conv3(channels, channels)

    def forward(self, x):
        return x + self.last(self.attention(self.blocks(x)))


class AttentionBody(nn.Module):
    """SAN's body (Dai et al. 2019, section 3): groups with the share-source skip (eq. 3) and, with `region` above 0, the
    non-local module before and after them, with the same weights, in regions of that side."""

    def __init__(self, channels, groups, blocks, attention="none", reduction=4, region=0, inner=8):
        super().__init__()
        self.multiple = max(1, region)
        self.non_local = FixedRegionNonLocal(channels, inner, region) if region else nn.Identity()
        self.groups = nn.ModuleList([AttentionGroup(channels, blocks, attention, reduction) for _ in range(groups)])
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        source = features = self.non_local(x)
        shared = self.gamma.to(source.dtype) * source
        for group in self.groups:
            features = group(features) + shared
        return x + self.non_local(features)


class RcanBody(nn.Module):
    """RCAN's residual in residual (Zhang et al. 2018, section 3.2): attention in every block, two skips around."""

    multiple = 1

    def __init__(self, channels, groups, blocks, reduction=4):
        super().__init__()
        self.body = nn.Sequential(*[ResidualGroup(channels, blocks, reduction) for _ in range(groups)],
                                  conv3(channels, channels))

    def forward(self, x):
        return x + self.body(x)


class NlrnBody(nn.Module):
    """NLRN's recurrence (Liu et al. 2018) on the features of LR, with the normalization after it."""

    def __init__(self, channels, inner, unrollings, region):
        super().__init__()
        self.multiple = region
        self.body = nn.Sequential(Recurrence(channels, inner, unrollings, region), nn.BatchNorm2d(channels), nn.ReLU())

    def forward(self, x):
        return self.body(x)


class SrResNetBody(ResidualTrunk):
    """SRResNet's trunk (Ledig et al. 2017, figure 4)."""

    multiple = 1


BODIES = {"attention": AttentionBody, "rcan": RcanBody, "nlrn": NlrnBody, "srresnet": SrResNetBody}


class Small(BicubicResidual):
    """(B, 3, H, W) float32 RGB in 0..255 -> (B, 3, s*H, s*W), same range, not clamped.

    `detail` wants H and W as multiples of the body's regions and is what is exported.
    """

    def __init__(self, scale, body, channels, **arguments):
        super().__init__(scale)
        if body not in BODIES:
            raise ValueError(f"network.body {body!r}: expected one of {', '.join(BODIES)}")
        self.register_buffer("mean", torch.tensor(RGB_MEAN).view(1, 3, 1, 1), persistent=False)
        self.head = conv3(3, channels)
        self.body = BODIES[body](channels, **arguments)
        self.tail = conv3(channels, 3 * scale * scale)
        self.multiple = self.body.multiple
        nn.init.normal_(self.tail.weight, std=1e-3)
        nn.init.zeros_(self.tail.bias)

    def detail(self, x):
        return 255 * F.pixel_shuffle(self.tail(self.body(self.head(x / 255 - self.mean))), self.scale).float()
