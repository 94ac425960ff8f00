"""SRResNet and SRGAN's discriminator (Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative
Adversarial Network", CVPR 2017, figure 4).

SRResNet: 16 residual blocks of 64 channels with batch normalization and PReLU, 9x9 convolutions at both ends, one
sub-pixel step for each factor of two (or three). A convolution that batch normalization follows has no bias, which
would be subtracted again. Inside, LR is in 0..1 and HR in -1..1, as in the paper (section 3.2).
"""
from torch import nn


class ResidualBlock(nn.Module):
    """x + BN(conv(PReLU(BN(conv(x))))); (B, C, H, W) -> the same."""

    def __init__(self, channels):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        return x + self.body(x)


class ResidualTrunk(nn.Module):
    """x + BN(conv(blocks(x))); (B, C, H, W) -> the same: everything between the two ends."""

    def __init__(self, channels, blocks):
        super().__init__()
        self.body = nn.Sequential(*[ResidualBlock(channels) for _ in range(blocks)],
                                  nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        return x + self.body(x)


class SrResNet(nn.Module):
    """(B, 3, H, W) float32 RGB in 0..255 -> (B, 3, s*H, s*W), same range, not clamped."""

    multiple = 1

    def __init__(self, scale, channels=64, blocks=16):
        super().__init__()
        self.scale = scale
        self.head = nn.Sequential(nn.Conv2d(3, channels, 9, padding=4), nn.PReLU(channels))
        self.trunk = ResidualTrunk(channels, blocks)
        steps = []
        for s in {2: (2,), 3: (3,), 4: (2, 2)}[scale]:
            steps += [nn.Conv2d(channels, s * s * channels, 3, padding=1), nn.PixelShuffle(s), nn.PReLU(channels)]
        self.tail = nn.Sequential(*steps, nn.Conv2d(channels, 3, 9, padding=4))

    def core(self, x):
        return 127.5 * (self.tail(self.trunk(self.head(x / 255))) + 1)

    forward = core


class Discriminator(nn.Module):
    """(B, 3, size, size) float32 RGB in 0..255 -> logits (B, 1): above 0 where the image looks like an original.

    Published: 64 channels, size 96. The sigmoid is part of the loss. `size` must be a multiple of 16.
    """

    def __init__(self, size=96, channels=64):
        super().__init__()
        widths = [channels, *(w * channels for w in (1, 2, 2, 4, 4, 8, 8))]
        self.stages = nn.ModuleList([nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.LeakyReLU(0.2))])
        for i in range(1, len(widths)):
            self.stages.append(nn.Sequential(
                nn.Conv2d(widths[i - 1], widths[i], 3, stride=1 + i % 2, padding=1, bias=False),
                nn.BatchNorm2d(widths[i]), nn.LeakyReLU(0.2)))
        self.judge = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * (size // 16) ** 2, 16 * channels),
                                   nn.LeakyReLU(0.2), nn.Linear(16 * channels, 1))

    def features(self, x):
        """The output of every stage, the first at full size."""
        x, found = x / 127.5 - 1, []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found

    def forward(self, x):
        return self.judge(self.features(x)[-1])
