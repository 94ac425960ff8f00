"""Muon for the 3x3 convolutions, Adam for the rest, the learning-rate schedule, and the moving average of weights.

Muon (Jordan et al., 2024) replaces the momentum of a weight matrix by its nearest orthogonal one. Here a convolution
(out, in, k, k) counts as the matrix (out, in*k*k), and the update is scaled to Adam's usual size, so that one rate
serves both. What it gains here is measured in models/README.md.
"""
import math

import torch


def orthogonalise(m, steps=5):
    """(N, rows, cols) -> about U Vt of each, by the quintic iteration; singular values land in 0.7..1.2.

    Every iterate is a polynomial in S = M Mt times M, so the iteration runs on the small square S alone and meets M
    once at the end: 8 ms instead of 22 for 28 matrices of 64 x 576 on one core.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = m.shape[1] > m.shape[2]
    if tall:
        m = m.transpose(1, 2)
    m = m / (m.norm(dim=(1, 2), keepdim=True) + 1e-7)
    s = m @ m.transpose(1, 2)
    product = None
    for _ in range(steps):
        factor = b * s + c * s @ s
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if product is None else factor @ product
        s = factor @ s @ factor
    m = product @ m
    return m.transpose(1, 2) if tall else m


class Muon(torch.optim.Optimizer):
    """For parameters of two or more dimensions; those of equal shape are worked on as one stack.

    `decay` shrinks each parameter by lr * decay a step: updates have one size whatever the gradient, so without it weights
    grow as long as they are trained, and the gates behind them shrink until bfloat16 no longer resolves them.
    """

    def __init__(self, params, lr, momentum=0.95, decay=0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            stacks = {}
            for p in group["params"]:
                if p.grad is not None:
                    stacks.setdefault(p.shape, []).append(p)
            for shape, params in stacks.items():
                moves = []
                for p in params:
                    state = self.state[p]
                    mean = state.setdefault("momentum", torch.zeros_like(p))
                    mean.lerp_(p.grad, 1 - group["momentum"])
                    moves.append(p.grad.lerp(mean, group["momentum"]).reshape(shape[0], -1))
                moves = orthogonalise(torch.stack(moves))
                size = 0.2 * math.sqrt(max(moves.shape[1:]))
                for p, move in zip(params, moves):
                    p.mul_(1 - group["lr"] * group["decay"]).sub_(move.reshape(shape), alpha=group["lr"] * size)


def make_optimizers(network, kind, lr, weight_decay=0.0):
    """A list of optimizers that together hold every parameter. `kind`: "adam", or "muon" for it and Adam; only it decays."""
    muon, adam = [], []
    for p in network.parameters():
        wide = p.ndim == 4 and p.shape[2] > 1 and p.shape[1] > 3 and p.shape[0] >= 16
        (muon if kind == "muon" and wide else adam).append(p)
    made = [torch.optim.Adam(adam, lr=lr, betas=(0.9, 0.99))] if adam else []
    return made + ([Muon(muon, lr=lr, decay=weight_decay)] if muon else [])


def rate_factor(progress, step, warmup_steps, floor, decay):
    """Share of the peak rate: linear over the first steps, 1, then 1 - sqrt down to `floor` over the last share `decay`
    of progress 0..1 (Haegele et al. 2024 found this shape best for a constant rate with a cooldown)."""
    warm = min(1.0, (step + 1) / max(1, warmup_steps))
    cooled = min(1.0, max(0.0, progress - (1 - decay)) / decay)
    return warm * (1 - (1 - floor) * math.sqrt(cooled))


class MovingAverage:
    """Exponential moving average of parameters; the decay ramps up so that early averages do not keep the start."""

    def __init__(self, network, decay):
        self.decay, self.steps = decay, 0
        self.shadow = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network):
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        current = network.state_dict()
        names = [k for k, v in self.shadow.items() if v.is_floating_point()]
        self.shadow |= {k: current[k].clone() for k in self.shadow.keys() - names}
        torch._foreach_lerp_([self.shadow[k] for k in names], [current[k].detach() for k in names], 1 - decay)
