"""Does second-order attention earn its place? Six networks at equal budget: attention none, first-order (squeeze-and-
excitation) and second-order (SOCA), each with and without the region-level non-local module, at x4, over seeds.

    python -m sr.replicate                       # everything, into runs/replicate; resumes where it stopped
    python -m sr.replicate --steps 1000 --seeds 1

Equal are the data, the order of patches for a seed, the steps and every other setting. The sizes differ by the
modules themselves, under 3 % of the parameters, and are printed. The table goes to replicate.md.
"""
import argparse
import json
from pathlib import Path

import numpy as np

from . import config as configuration
from . import train as trainer
from .data import Crops, data_root
from .evaluate import evaluate, torch_upscaler
from .networks import count_parameters

HERE = Path(__file__).resolve().parents[1]
SETS = ("Set5", "Set14", "BSD100")
CELLS = [(attention, non_local) for non_local in (False, True) for attention in ("none", "first", "second")]
NAMES = {"none": "none", "first": "first order", "second": "second order"}


def run_cell(base, attention, non_local, seed, steps, crops, folder):
    """Train and measure one network; the result is kept in result.json and not made twice."""
    result = folder / "result.json"
    if result.exists():
        return json.loads(result.read_text())
    config = configuration.load(base)
    config.network |= {"attention": attention, "non_local": non_local}
    config.train.seed, config.train.steps = seed, steps
    config.train.eval_set = ""
    run = trainer.Run(config, 4, folder, "cpu")
    run.resume()
    trainer.train(run, crops)
    upscale = torch_upscaler(run.averaged())
    made = {"attention": attention, "non_local": non_local, "seed": seed, "steps": run.step,
            "parameters": count_parameters(run.network), "minutes": round(run.seconds / 60, 1)}
    made |= {name: evaluate(upscale, name, 4) for name in SETS}
    result.write_text(json.dumps(made))
    return made


def table(results):
    """Markdown: one row a network, mean over seeds, and the range over seeds where there are several."""
    lines = ["| attention | non-local | parameters | steps | seeds | " + " | ".join(SETS) + " |",
             "|---|---|---|---|---|" + "---|" * len(SETS)]
    for attention, non_local in CELLS:
        rows = [r for r in results if (r["attention"], r["non_local"]) == (attention, non_local)]
        if not rows:
            continue
        cells = []
        for name in SETS:
            figures = np.array([r[name] for r in rows])
            spread = f" ({np.ptp(figures[:, 0]):.2f})" if len(rows) > 1 else ""
            cells.append(f"{figures[:, 0].mean():.2f}{spread} / {figures[:, 1].mean():.4f}")
        lines.append(f"| {NAMES[attention]} | {'yes' if non_local else 'no'} | {rows[0]['parameters']:,} | "
                     f"{rows[0]['steps']:,} | {', '.join(str(r['seed']) for r in rows)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="sr.replicate", description=__doc__.split("\n\n")[0])
    parser.add_argument("--config", type=Path, default=HERE / "configs" / "replicate.toml")
    parser.add_argument("--steps", type=int, help="updates of each network (default: the configuration's)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=trainer.RUNS / "replicate")
    parser.add_argument("--train-dir", type=Path)
    args = parser.parse_args(argv)
    config = configuration.load(args.config)
    crops = Crops(args.train_dir or data_root() / "train", 4, config.data.degradation, trainer.RUNS / "cache")
    steps = args.steps or config.train.steps
    results = []
    for seed in args.seeds:
        for attention, non_local in CELLS:
            name = f"{attention}-{'nonlocal' if non_local else 'local'}-{steps}-seed{seed}"
            results.append(run_cell(args.config, attention, non_local, seed, steps, crops, args.out / name))
            (args.out / "replicate.md").write_text(table(results) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
