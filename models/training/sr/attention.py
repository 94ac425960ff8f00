"""Second-order channel attention (SOCA) and the first-order one it is compared with.

Paper: Dai et al., "Second-order Attention Network for Single Image Super-Resolution", CVPR 2019, section 3.3.
Covariance pooling is centered before the product, which needs C*C + C*M numbers for M pixels; the textbook form with
an M x M centring matrix is the same value and needs M*M (102 GB at 400 x 400).
"""
import torch
from torch import nn

NEWTON_SCHULZ_STEPS = 5
# Trace below which an image counts as flat: keeps the division finite and is far under any trained feature's trace.
TINY_TRACE = 1e-10


def covariance_pool(x):
    """(B, C, H, W) -> (B, C, C): X Xt / M of the features centered per channel (paper, eq. 4)."""
    x = x.flatten(2)
    x = x - x.mean(2, keepdim=True)
    return x @ x.transpose(1, 2) / x.shape[2]


def newton_schulz_sqrt(cov, steps=NEWTON_SCHULZ_STEPS):
    """(B, C, C) symmetric positive semi-definite -> its square root, by coupled iterations (paper, eqs. 7 to 9).

    Divided by the trace first so that the iteration converges, multiplied by the trace's root after. A zero matrix
    gives zero. The last step needs Y alone; the first has Z = I folded in.
    """
    eye = torch.eye(cov.shape[1], dtype=cov.dtype, device=cov.device)
    trace = (cov * eye).sum((1, 2), keepdim=True).clamp_min(TINY_TRACE)
    three = 3.0 * eye
    y = cov / trace
    t = 0.5 * (three - y)
    y, z = y @ t, t
    for _ in range(steps - 2):
        t = 0.5 * (three - z @ y)
        y, z = y @ t, t @ z
    y = 0.5 * y @ (three - z @ y)
    return y * trace.sqrt()


def _beside(*matrices):
    return torch.cat(matrices, 2)


def _above(*matrices):
    return torch.cat(matrices, 1)


def root_row_mean(x, steps=NEWTON_SCHULZ_STEPS):
    """(B, C, H, W) -> (B, C): the mean of each row of the square root of the covariance of x, in the precision of x.

    The value of `newton_schulz_sqrt(covariance_pool(x)).mean(1)`, in an order that bfloat16 bears: the entries of a row
    nearly cancel, so that its eight bits leave the mean off by 2 to 4 %, and a gate that hangs on it by up to half. Here
    the mean is off by 0.5 %. Each matrix that Y depends on is kept as a sum of two, the product as it is rounded and what
    that took away: [left, high] @ [right; -1], since products sum up in float32 whatever they are stored in. The last
    step is done on the mean itself. In float32 the second of each two is nearly zero.
    """
    x = x.flatten(2)
    x = x - x.mean(2, keepdim=True)
    batch, channels, pixels = x.shape
    eye = torch.eye(channels, dtype=x.dtype, device=x.device).expand(batch, -1, -1)
    minus = -eye

    def product(left, right):
        left, right = _beside(*left), _above(*right)
        high = left @ right
        return high, _beside(left, high) @ _above(right, minus)

    sums = x @ x.transpose(1, 2)
    rest = _beside(x, sums) @ _beside(x, minus).transpose(1, 2)
    scale = 1 / (sums * eye).sum((1, 2), keepdim=True).clamp_min(TINY_TRACE)
    y = product((sums, rest), (scale * eye, scale * eye))
    n, three_halves = 0.5 * minus, 1.5 * eye  # n is -Z/2: with it a step is T = 3/2 + n Y, Y = Y T, n = T n
    for _ in range(steps - 1):
        t = product((n, n, three_halves), (*y, eye))
        y, n = product((*y, y[0]), (t[0], t[0], t[1])), _beside(*t) @ _above(n, n)
    # The last step, 3/2 Y + Y n Y, on the mean of Y's columns.
    mean = _beside(*y) @ torch.full((batch, 2 * channels, 1), 1 / channels, dtype=x.dtype, device=x.device)
    turned = n @ mean
    root = _beside(three_halves, *y) @ _above(mean, turned, turned)
    return (root * torch.rsqrt(scale * pixels))[:, :, 0]


class _Gate(nn.Module):
    """Channel statistics (B, C, 1, 1) -> weights in 0..1 (paper, eq. 11): C -> C/reduction -> C."""

    def __init__(self, channels, reduction):
        super().__init__()
        self.conv_du = nn.Sequential(
            nn.Conv2d(channels, channels // reduction, 1),
            nn.ReLU(),
            nn.Conv2d(channels // reduction, channels, 1),
            nn.Sigmoid(),
        )


class SOCA(_Gate):
    """Second-order: the statistic of channel c is the mean of row c of the covariance's square root (paper, eq. 10).

    `for_bf16`: it is computed by `root_row_mean` where it serves, for networks whose gates would not bear bfloat16
    otherwise; a tenth of san-plain's time.
    """

    def __init__(self, channels, reduction, for_bf16=False):
        super().__init__(channels, reduction)
        self.for_bf16 = for_bf16

    def statistic(self, x):
        """(B, C, H, W) -> (B, C)."""
        if self.for_bf16 and not self.training:
            return root_row_mean(x)
        return newton_schulz_sqrt(covariance_pool(x)).mean(1)

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            gate = self.conv_du(self.statistic(x.float())[:, :, None, None])
        return x * gate.to(x.dtype)


class FirstOrderAttention(_Gate):
    """Squeeze-and-excitation: the statistic is the mean of the channel. The control of the replication."""

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            gate = self.conv_du(x.float().mean((2, 3), keepdim=True))
        return x * gate.to(x.dtype)


def channel_attention(kind, channels, reduction, for_bf16=False):
    """The module for "second" (`for_bf16`: see SOCA), "first" or "none"."""
    if kind == "second":
        return SOCA(channels, reduction, for_bf16)
    if kind == "first":
        return FirstOrderAttention(channels, reduction)
    if kind == "none":
        return nn.Identity()
    raise ValueError(f"attention {kind!r}: expected second, first or none")
