"""RCAN (Zhang et al., "Image Super-Resolution Using Very Deep Residual Channel Attention Networks", ECCV 2018).

Residual in residual: a long skip around the groups and a short one around the blocks of each (section 3.2), and in each
block first-order channel attention (section 3.3) on the residual (section 3.4). Published: 10 groups of 20 blocks, 64
channels, reduction 16. Names and shapes are those of the authors' weights, mean shifts included, which their optimizer
trained along.
"""
from torch import nn

from .attention import FirstOrderAttention
from .san import MeanShift, upsampler


def conv3(inputs, outputs):
    """3x3, size kept."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class Rcab(nn.Module):
    """Residual channel attention block: x + attention(conv(ReLU(conv(x)))); (B, C, H, W) -> the same."""

    def __init__(self, channels, reduction):
        super().__init__()
        self.body = nn.Sequential(conv3(channels, channels), nn.ReLU(), conv3(channels, channels),
                                  FirstOrderAttention(channels, reduction))

    def forward(self, x):
        return x + self.body(x)


class ResidualGroup(nn.Module):
    """x + conv(blocks(x)); (B, C, H, W) -> the same."""

    def __init__(self, channels, blocks, reduction):
        super().__init__()
        self.body = nn.Sequential(*[Rcab(channels, reduction) for _ in range(blocks)], conv3(channels, channels))

    def forward(self, x):
        return x + self.body(x)


class Rcan(nn.Module):
    """(B, 3, H, W) float32 RGB in 0..255 -> (B, 3, s*H, s*W), same range, not clamped."""

    multiple = 1

    def __init__(self, scale, channels=64, groups=10, blocks=20, reduction=16):
        super().__init__()
        self.scale = scale
        self.sub_mean, self.add_mean = MeanShift(-1), MeanShift(1)
        self.head = nn.Sequential(conv3(3, channels))
        self.body = nn.Sequential(*[ResidualGroup(channels, blocks, reduction) for _ in range(groups)],
                                  conv3(channels, channels))
        self.tail = nn.Sequential(upsampler(channels, scale), conv3(channels, 3))

    def core(self, x):
        head = self.head(self.sub_mean(x))
        return self.add_mean(self.tail(head + self.body(head)))

    forward = core


def recognizes(state):
    """Whether a state dict has RCAN's names."""
    return "body.0.body.0.body.3.conv_du.0.weight" in state


def import_checkpoint(state, scale):
    """An `Rcan` from a state dict of the authors' repository, {name: tensor}; every name and shape must be there."""
    state = {k.removeprefix("module."): v for k, v in state.items()}
    if not recognizes(state):
        raise ValueError("not an RCAN state dict: body.0.body.0.body.3.conv_du.0.weight is missing")
    channels = state["head.0.weight"].shape[0]
    groups = len({k.split(".")[1] for k in state if k.startswith("body.")}) - 1
    blocks = len({k.split(".")[3] for k in state if k.startswith("body.0.body.")}) - 1
    reduction = channels // state["body.0.body.0.body.3.conv_du.0.weight"].shape[0]
    network = Rcan(scale, channels, groups, blocks, reduction)
    network.load_state_dict(state, strict=True)
    return network.eval()
