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
ROUNDING = 4.0  # times the error of bfloat16 that a gate bears in training: what it costs in the loss is small


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

    `rounded`: in training the statistic is off by ROUNDING times the error that bfloat16 makes. Providers that serve in
    bfloat16 compute the iteration in it, too; the entries of a row nearly cancel, and a gate that never saw their rounding
    comes to depend on digits that are not there then. The error stands before the gate's layers, so that these learn it.
    """

    def __init__(self, channels, reduction, rounded=False):
        super().__init__(channels, reduction)
        self.rounded = rounded

    @staticmethod
    def statistic(x):
        """(B, C, H, W) -> (B, C), in the precision of x."""
        return newton_schulz_sqrt(covariance_pool(x)).mean(1)

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            statistic = self.statistic(x.float())
            if self.training and self.rounded:
                with torch.no_grad():
                    error = self.statistic(x.bfloat16()).float() - statistic
                statistic = statistic + ROUNDING * error
            gate = self.conv_du(statistic[:, :, None, None])
        return x * gate.to(x.dtype)


class FirstOrderAttention(_Gate):
    """Squeeze-and-excitation: the statistic is the mean of the channel. The control of the replication."""

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            gate = self.conv_du(x.float().mean((2, 3), keepdim=True))
        return x * gate.to(x.dtype)


def channel_attention(kind, channels, reduction, rounded=False):
    """The module for "second" (`rounded`: see SOCA), "first" or "none"."""
    if kind == "second":
        return SOCA(channels, reduction, rounded)
    if kind == "first":
        return FirstOrderAttention(channels, reduction)
    if kind == "none":
        return nn.Identity()
    raise ValueError(f"attention {kind!r}: expected second, first or none")
