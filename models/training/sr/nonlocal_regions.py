"""Region-level non-local module (RL-NL; paper, section 3.2): embedded-Gaussian attention inside each region.

Cost grows with the square of a region's area. The published network cuts its input into 2 x 2 regions, so a large
tile is slow; san-light uses regions of a fixed size, which keeps the cost linear in the image.
"""
import torch
from torch import nn


class NonLocal(nn.Module):
    """Attention over all pixels of its input: x + W(softmax(theta(x) phi(x)) g(x)); (B, C, H, W) -> the same."""

    def __init__(self, channels, inner):
        super().__init__()
        self.g = nn.Conv2d(channels, inner, 1)
        self.W = nn.Conv2d(inner, channels, 1)
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Conv2d(channels, inner, 1)
        nn.init.zeros_(self.W.weight)
        nn.init.zeros_(self.W.bias)

    def forward(self, x):
        g, theta, phi = self.g(x), self.theta(x), self.phi(x)
        weights = (theta.flatten(2).transpose(1, 2) @ phi.flatten(2)).softmax(-1)
        y = g.flatten(2) @ weights.transpose(1, 2)
        return x + self.W(y.reshape(g.shape))


class GridNonLocal(nn.Module):
    """The published form: the input in 2 x 2 regions, the cut at the rounded-down half (H >= 2 and W >= 2).

    Even sizes, which is what tiles have, go as one batch of regions; odd ones region by region.
    """

    def __init__(self, channels, inner):
        super().__init__()
        self.non_local = NonLocal(channels, inner)

    def forward(self, x):
        b, c, h, w = x.shape
        top, left = h // 2, w // 2
        if h % 2 == 0 and w % 2 == 0:
            regions = x.reshape(b, c, 2, top, 2, left).permute(0, 2, 4, 1, 3, 5).reshape(4 * b, c, top, left)
            y = self.non_local(regions).reshape(b, 2, 2, c, top, left)
            return y.permute(0, 3, 1, 4, 2, 5).reshape(b, c, h, w)
        rows = []
        for band in (x[:, :, :top], x[:, :, top:]):
            rows.append(torch.cat([self.non_local(band[..., :left]), self.non_local(band[..., left:])], 3))
        return torch.cat(rows, 2)


class FixedRegionNonLocal(nn.Module):
    """Regions of `region` x `region` pixels as one batch; H and W must be multiples of `region`.

    The four 1x1 projections work on the whole image; only their few inner channels are regrouped.
    """

    def __init__(self, channels, inner, region):
        super().__init__()
        self.inner, self.region = inner, region
        self.project = nn.Conv2d(channels, 3 * inner, 1)
        self.W = nn.Conv2d(inner, channels, 1)
        nn.init.zeros_(self.W.weight)
        nn.init.zeros_(self.W.bias)

    def forward(self, x):
        b, _, h, w = x.shape
        r, n = self.region, self.inner
        rows, cols = h // r, w // r
        p = self.project(x).reshape(b, 3, n, rows, r, cols, r)
        p = p.permute(1, 0, 3, 5, 4, 6, 2).reshape(3, b * rows * cols, r * r, n)
        theta, phi, g = p[0], p[1], p[2]
        y = (theta @ phi.transpose(1, 2)).softmax(-1).to(g.dtype) @ g
        y = y.reshape(b, rows, cols, r, r, n).permute(0, 5, 1, 3, 2, 4).reshape(b, n, h, w)
        return x + self.W(y)
