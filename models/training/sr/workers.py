"""The gradient of a batch on a CPU, by single-threaded workers that take small pieces from one queue.

Against one pass with many threads per operation: no barrier after each operation, activations of a piece stay in the
cache, and a core that other programs keep busy slows its own worker alone, since the free one takes more pieces.
"""
import threading
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F


LOSSES = ("l1", "l2")


def pixel_loss(kind, sr, hr):
    """Mean over pixels in 0..255 units: "l1", |d|; "l2", d*d/255, which falls where PSNR rises, for a last turn."""
    if kind not in LOSSES:
        raise ValueError(f"loss {kind!r}: expected one of {', '.join(LOSSES)}")
    return F.l1_loss(sr, hr) if kind == "l1" else F.mse_loss(sr, hr) / 255


class GradientWorkers:
    """`count` threads over one network; `piece` patches at a time. The gradient is that of the whole batch's mean."""

    def __init__(self, network, count, piece, loss="l1"):
        self.network, self.piece, self.count, self.loss = network, piece, count, loss
        self.params = [p for p in network.parameters() if p.requires_grad]
        self.lock = threading.Lock()
        torch.set_num_threads(1)
        self.pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))

    def _piece(self, lr, hr, share):
        with torch.autocast("cpu", torch.bfloat16):
            sr = self.network(lr.contiguous(memory_format=torch.channels_last))
            loss = pixel_loss(self.loss, sr, hr) * share
        grads = torch.autograd.grad(loss / 255, self.params)
        with self.lock:
            if self.params[0].grad is None:
                for p, g in zip(self.params, grads):
                    p.grad = g.clone() if g.dtype == p.dtype else g.to(p.dtype)
            else:
                torch._foreach_add_([p.grad for p in self.params], list(grads))
        return loss.detach()

    def backward(self, lr, hr):
        """Fill `.grad` (which must be None) of every parameter; returns the mean loss in 0..255 units."""
        pieces = zip(lr.split(self.piece), hr.split(self.piece))
        jobs = [self.pool.submit(self._piece, a, b, len(a) / len(lr)) for a, b in pieces]
        return sum(job.result() for job in jobs)

    def map(self, function, items):
        """Run `function` over `items` on the workers, in order of the items."""
        return list(self.pool.map(function, items))
