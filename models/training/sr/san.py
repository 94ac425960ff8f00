"""SAN as published (Dai et al., CVPR 2019), with the names and shapes of the authors' weights.

Facts: inputs and outputs 0..255, mean shift as trainable 1x1 convolutions, one non-local module used before the first
and after the last group, groups of residual blocks with SOCA at the end, share-source skip by one scalar. The authors'
network also carries tensors that its forward never touches: a 3x3 convolution, one scalar a group, and a SOCA inside
the non-local module, 38,044 numbers at the published size. They are kept, so that a strict load means what it says.
"""
import torch
import torch.nn.functional as F
from torch import nn

from .attention import SOCA
from .nonlocal_regions import GridNonLocal

RGB_MEAN = (0.4488, 0.4371, 0.4040)


class MeanShift(nn.Conv2d):
    """Adds sign * 255 * mean, as a 1x1 convolution that the authors' optimizer trained along."""

    def __init__(self, sign):
        super().__init__(3, 3, 1)
        with torch.no_grad():
            self.weight.copy_(torch.eye(3)[:, :, None, None])
            self.bias.copy_(sign * 255 * torch.tensor(RGB_MEAN))


class Block(nn.Module):
    """x + conv(ReLU(conv(x)))"""

    def __init__(self, channels):
        super().__init__()
        self.conv_first = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x):
        return x + self.conv_first(x)


class Group(nn.Module):
    """Local-source residual attention group: blocks, SOCA, 3x3 convolution, skip. `gamma` is never read."""

    def __init__(self, channels, blocks, reduction):
        super().__init__()
        self.rcab = nn.ModuleList([Block(channels) for _ in range(blocks)])
        self.soca = SOCA(channels, reduction)
        self.conv_last = nn.Conv2d(channels, channels, 3, padding=1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        y = x
        for block in self.rcab:
            y = block(y)
        return x + self.conv_last(self.soca(y))


class RegionNonLocal(GridNonLocal):
    """The 2 x 2 grid, with the SOCA that the authors' module carries and never calls."""

    def __init__(self, channels):
        super().__init__(channels, channels // 8)
        self.soca = SOCA(channels, 8)


def upsampler(channels, scale):
    """Convolution and PixelShuffle: once for x2 and x3, twice for x4."""
    steps = {2: (2,), 3: (3,), 4: (2, 2)}[scale]
    layers = []
    for s in steps:
        layers += [nn.Conv2d(channels, s * s * channels, 3, padding=1), nn.PixelShuffle(s)]
    return nn.Sequential(*layers)


class San(nn.Module):
    """(B, 3, H, W) float32 RGB in 0..255, H and W at least 2 -> (B, 3, s*H, s*W), same range, not clamped."""

    multiple = 2  # of the exported graph; `forward` takes any size

    def __init__(self, scale, channels=64, groups=20, blocks=10, reduction=16):
        super().__init__()
        self.scale = scale
        self.sub_mean, self.add_mean = MeanShift(-1), MeanShift(1)
        self.head = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1))
        self.gamma = nn.Parameter(torch.zeros(1))
        self.RG = nn.ModuleList([Group(channels, blocks, reduction) for _ in range(groups)])
        self.conv_last = nn.Conv2d(channels, channels, 3, padding=1)
        self.non_local = RegionNonLocal(channels)
        self.tail = nn.Sequential(upsampler(channels, scale), nn.Conv2d(channels, 3, 3, padding=1))

    def core(self, x):
        head = self.head(self.sub_mean(x))
        source = features = self.non_local(head)
        for group in self.RG:
            features = group(features) + self.gamma * source
        return self.add_mean(self.tail(self.non_local(features) + head))

    def forward(self, x):
        h, w = x.shape[2:]
        if h < 2 or w < 2:  # the 2 x 2 grid needs a pixel in each region
            x = F.pad(x, (0, max(0, 2 - w), 0, max(0, 2 - h)), mode="replicate")
        return self.core(x)[:, :, : h * self.scale, : w * self.scale]

    def unused_parameters(self):
        """Those that the official layout carries and the forward never reads."""
        idle = [self.conv_last.weight, self.conv_last.bias, *self.non_local.soca.parameters()]
        return idle + [group.gamma for group in self.RG]


def recognizes(state):
    """Whether a state dict has SAN's names."""
    return "RG.0.rcab.0.conv_first.0.weight" in state and "head.0.weight" in state


def import_checkpoint(state, scale):
    """A `San` from a state dict of the official repository, {name: tensor}; every name and shape must be there.

    Depth and width are read off the names. A "module." prefix, left by DataParallel, is taken away.
    """
    state = {k.removeprefix("module."): v for k, v in state.items()}
    if not recognizes(state):
        raise ValueError("not a SAN state dict: RG.0.rcab.0.conv_first.0.weight or head.0.weight is missing")
    groups = {k.split(".")[1] for k in state if k.startswith("RG.")}
    blocks = {k.split(".")[3] for k in state if k.startswith("RG.0.rcab.")}
    channels = state["head.0.weight"].shape[0]
    reduction = channels // state["RG.0.soca.conv_du.0.weight"].shape[0]
    network = San(scale, channels, len(groups), len(blocks), reduction)
    network.load_state_dict(state, strict=True)
    return network.eval()
