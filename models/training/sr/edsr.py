"""EDSR-baseline (Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017), plain,
with squeeze-and-excitation, and with a non-local block.

Published: 16 residual blocks of 64 channels without batch normalization and without residual scaling; names and shapes
are those of the authors' weights. `attention` "first" puts squeeze-and-excitation (Hu et al., CVPR 2018, eqs. 2 to 4)
at the end of every block's residual, where that paper puts it; "second" puts SOCA there. `non_local` puts one
embedded-Gaussian non-local block (Wang et al., CVPR 2018, eqs. 1 and 6; half the channels inside, zero at the start)
after half of the blocks. Its cost grows with the square of the tile's area.
"""
from torch import nn

from .attention import channel_attention
from .nonlocal_regions import NonLocal
from .san import MeanShift, upsampler


class ResBlock(nn.Module):
    """x + attention(conv(ReLU(conv(x)))); (B, C, H, W) -> the same."""

    def __init__(self, channels, attention, reduction):
        super().__init__()
        layers = [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)]
        if attention != "none":
            layers.append(channel_attention(attention, channels, reduction))
        self.body = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.body(x)


class Edsr(nn.Module):
    """(B, 3, H, W) float32 RGB in 0..255 -> (B, 3, s*H, s*W), same range, not clamped."""

    multiple = 1

    def __init__(self, scale, channels=64, blocks=16, attention="none", reduction=16, non_local=False):
        super().__init__()
        self.scale = scale
        self.sub_mean, self.add_mean = MeanShift(-1).requires_grad_(False), MeanShift(1).requires_grad_(False)
        self.head = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1))
        body = [ResBlock(channels, attention, reduction) for _ in range(blocks)]
        if non_local:
            body.insert(blocks // 2, NonLocal(channels, channels // 2))
        self.body = nn.Sequential(*body, nn.Conv2d(channels, channels, 3, padding=1))
        self.tail = nn.Sequential(upsampler(channels, scale), nn.Conv2d(channels, 3, 3, padding=1))

    def core(self, x):
        head = self.head(self.sub_mean(x))
        return self.add_mean(self.tail(head + self.body(head)))

    forward = core


def recognizes(state):
    """Whether a state dict has EDSR's names (the baseline's or those of a larger one without residual scaling)."""
    return "body.0.body.2.weight" in state and "body.0.body.3.conv_du.0.weight" not in state


def import_checkpoint(state, scale):
    """An `Edsr` from a state dict of the authors' repository, {name: tensor}; every name and shape must be there.

    Of the published ones only the baseline: the large one scales its residuals by 0.1, which no tensor says.
    """
    state = {k.removeprefix("module.").removeprefix("model."): v for k, v in state.items()}
    if not recognizes(state):
        raise ValueError("not an EDSR state dict: body.0.body.2.weight is missing")
    channels = state["head.0.weight"].shape[0]
    if channels > 64:
        raise ValueError(f"EDSR with {channels} channels scales its residuals by 0.1; only the baseline is supported")
    blocks = len({k.split(".")[1] for k in state if k.startswith("body.")}) - 1
    network = Edsr(scale, channels, blocks)
    network.load_state_dict(state, strict=True)
    return network.eval()
