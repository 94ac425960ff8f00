"""Train one model at one scale: resumable, by steps or by minutes.

    python -m sr.train configs/san-light.toml --scale 4 --minutes 75
    python -m sr.train configs/san-light.toml --scale 3 --init-from ../san-light/x4.onnx --rate 2e-4

A run lives in its own folder: `last.pt` (everything that resuming needs), `log.jsonl` (one object a report) and
`curve.png`. Starting again with the same folder resumes; SIGTERM ends it with a checkpoint. The figures logged on the
way are of the moving average; its last state is the result, whatever those figures said: no test image chooses.
When the rate begins to fall, the weights are written to `trunk.npz` in half precision: what a later run goes on from.
"""
import argparse
import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from . import config as configuration
from .curve import draw_curve
from .data import Crops, data_root
from .evaluate import evaluate, torch_upscaler
from .networks import build, count_parameters
from .optim import MovingAverage, make_optimizers, rate_factor
from .weights import load_matching
from .workers import LOSSES, GradientWorkers, pixel_loss

RUNS = Path(__file__).resolve().parents[1] / "runs"


class Run:
    """The state of one training: what a checkpoint holds."""

    def __init__(self, config, scale, folder, device):
        self.config, self.scale, self.folder, self.device = config, scale, Path(folder), device
        torch.manual_seed(config.train.seed)
        self.rng = np.random.default_rng(config.train.seed)
        self.network = build(config.network, scale).to(device, memory_format=torch.channels_last)
        self.optimizers = make_optimizers(
            self.network, config.train.optimizer, config.train.rate, config.train.weight_decay)
        self.average = MovingAverage(self.network, config.train.ema)
        workers = config.train.threads or len(os.sched_getaffinity(0))
        self.workers = GradientWorkers(self.network, workers, config.data.piece, config.train.loss) if device == "cpu" else None
        self.step, self.seconds = 0, 0.0

    @property
    def checkpoint(self):
        return self.folder / "last.pt"

    def progress(self):
        """0..1 of the budget."""
        t = self.config.train
        return self.seconds / (60 * t.minutes) if t.minutes > 0 else self.step / t.steps

    def initialize(self, path):
        """Take over every tensor of `path` that fits; the moving average starts from the result."""
        loaded, left = load_matching(self.network, path)
        self.average = MovingAverage(self.network, self.config.train.ema)
        print(f"{path}: {loaded} tensors taken over, {left} left at their start", flush=True)

    def state(self):
        """Everything that resuming needs."""
        return {
            "network": self.network.state_dict(), "average": self.average.shadow, "average_steps": self.average.steps,
            "optimizers": [o.state_dict() for o in self.optimizers], "step": self.step, "seconds": self.seconds,
            "rng": self.rng.bit_generator.state, "config": self.config.network, "scale": self.scale,
        }

    def restore(self, state):
        """The inverse of `state`."""
        self.network.load_state_dict(state["network"])
        self.average.shadow, self.average.steps = state["average"], state["average_steps"]
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]
        self.rng.bit_generator.state = state["rng"]

    def figures(self):
        """What a report says beside the loss."""
        return {}

    def save(self):
        """Write the checkpoint atomically: a kill in the middle leaves the one before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.checkpoint.with_suffix(".part")
        torch.save(self.state(), part)
        os.replace(part, self.checkpoint)

    @property
    def trunk(self):
        return self.folder / "trunk.npz"

    def save_trunk(self):
        """The weights before the rate falls, float16: `--init-from` reads them; momentum is rebuilt by the warm-up."""
        self.folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(self.trunk, **{k: v.cpu().numpy().astype(np.float16) for k, v in self.network.state_dict().items()})

    def resume(self):
        """Go on from the checkpoint, if there is one; True if so."""
        if not self.checkpoint.exists():
            return False
        self.restore(torch.load(self.checkpoint, map_location=self.device, weights_only=False))
        return True

    def averaged(self):
        """A network in evaluation mode with the averaged weights, on the CPU."""
        network = build(self.config.network, self.scale)
        network.load_state_dict({k: v.cpu() for k, v in self.average.shadow.items()})
        return network.to(memory_format=torch.channels_last).eval()

    def backward(self, lr, hr):
        """Gradients of the mean loss into `.grad`; returns the loss in 0..255 units."""
        if self.workers:
            return self.workers.backward(lr, hr)
        with torch.autocast(self.device, torch.bfloat16):
            sr = self.network(lr.contiguous(memory_format=torch.channels_last))
            loss = pixel_loss(self.config.train.loss, sr, hr)
        (loss / 255).backward()
        return loss.detach()

    def factor(self):
        """Share of the peak rate at this step."""
        t = self.config.train
        return rate_factor(self.progress(), self.step, t.warmup_steps, t.rate_floor, t.decay)

    def train_step(self, crops):
        """One update; returns the loss in 0..255 units."""
        d, t = self.config.data, self.config.train
        if not self.trunk.exists() and self.progress() >= 1 - t.decay:
            self.save_trunk()
        rate = t.rate * self.factor()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        lr, hr = crops.batch(self.rng, d.batch, d.patch, d.candidates, d.flat, d.drawn)
        loss = self.backward(lr.to(self.device), hr.to(self.device))
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.average.update(self.network)
        self.step += 1
        return loss


class StopRequest:
    """SIGINT or SIGTERM ends the run after the step at hand, with a checkpoint; a second one ends it at once."""

    def __init__(self):
        self.asked, self.before = False, {}
        if threading.current_thread() is threading.main_thread():
            self.before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}

    def _ask(self, *_):
        self.asked = True
        self.restore()

    def restore(self):
        """Back to the handlers that were there before."""
        for number, handler in self.before.items():
            signal.signal(number, handler)


def train(run, crops, quiet=False):
    """Run to the end of the budget, reporting, saving and drawing the curve on the way."""
    t = run.config.train
    run.folder.mkdir(parents=True, exist_ok=True)
    log = open(run.folder / "log.jsonl", "a", encoding="utf-8")
    bar = tqdm(total=1.0, initial=min(1.0, run.progress()), disable=quiet, unit="run", mininterval=5, maxinterval=30,
               bar_format="{percentage:5.1f}% {bar} {elapsed}<{remaining} {postfix}")
    stop = StopRequest()
    losses, saved, since = [], time.monotonic(), run.step
    clock = last = time.monotonic()
    while run.progress() < 1 and (t.minutes > 0 or run.step < t.steps) and not stop.asked:
        losses.append(run.train_step(crops))
        now = time.monotonic()
        run.seconds += now - last
        last = now
        bar.update(min(1.0, run.progress()) - bar.n)
        if run.step % 20 == 0:
            bar.set_postfix_str(f"step {run.step} {(run.step - since) / (now - clock):.2f}/s loss {losses[-1]:.3f}")
        if run.step % t.eval_every == 0 or run.progress() >= 1:
            rate = (run.step - since) / (now - clock)
            report(run, losses, rate, log)
            losses = []
            draw_curve(run.folder)
        if now - saved > 60 * t.save_minutes:
            run.save()
            saved = now
        if t.eval_set and run.step % t.eval_every == 0:
            last = time.monotonic()  # evaluation is not training time
    bar.close()
    stop.restore()
    run.save()


def report(run, losses, rate, log):
    """Append one line to the log: step, time, loss and, where a set is named, its PSNR-Y and SSIM."""
    t = run.config.train
    line = {"step": run.step, "minutes": round(run.seconds / 60, 2), "rate": round(rate, 3),
            "loss": round(float(torch.stack(losses).mean()), 4)} | run.figures()
    if t.eval_set:
        upscale = torch_upscaler(run.averaged(), bf16=True)
        kind = run.config.data.degradation
        psnr, ssim = evaluate(upscale, t.eval_set, run.scale, "BI" if kind == "REAL" else kind)
        line |= {"set": t.eval_set, "psnr_y": round(psnr, 3), "ssim_y": round(ssim, 4)}
    text = json.dumps(line)
    tqdm.write(text)
    log.write(text + "\n")
    log.flush()


def arguments(argv=None):
    parser = argparse.ArgumentParser(prog="sr.train", description=__doc__.split("\n\n")[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--scale", type=int, required=True, choices=(2, 3, 4))
    parser.add_argument("--out", type=Path, help="folder of the run (default runs/NAME-xSCALE)")
    parser.add_argument("--init-from", type=Path, nargs="+", default=[],
                        help="ONNX, .npz or .pt files to start from, the later over the earlier; what does not fit is left")
    parser.add_argument("--train-dir", type=Path, help="folder of training images (default $SAN_DATA/train)")
    parser.add_argument("--limit", type=int, help="use the first N images only")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--optimizer", choices=("adam", "muon"))
    parser.add_argument("--loss", choices=LOSSES)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--eval-every", type=int)
    parser.add_argument("--no-eval", action="store_true", help="report the loss only")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    config = configuration.load(args.config)
    for key in ("steps", "minutes", "rate", "seed", "eval_every", "optimizer", "loss"):
        if getattr(args, key) is not None:
            setattr(config.train, key, getattr(args, key))
    if args.steps is not None and args.minutes is None:
        config.train.minutes = 0.0
    if args.no_eval:
        config.train.eval_set = ""
    out = args.out or RUNS / f"{config.name}-x{args.scale}"
    run = Run(config, args.scale, out, args.device)
    if run.resume():
        print(f"resumed at step {run.step}, {run.seconds / 60:.1f} minutes", flush=True)
    else:
        for path in args.init_from:
            run.initialize(path)
    print(f"{config.name} x{args.scale}: {count_parameters(run.network):,} parameters on {args.device}", flush=True)
    crops = Crops(args.train_dir or data_root() / "train", args.scale, config.data.degradation, RUNS / "cache", args.limit)
    train(run, crops)
    return run


if __name__ == "__main__":
    main()
