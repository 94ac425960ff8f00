"""The talk's systems at one small budget (sr/systems.py): trained, measured, written as models/zoo.

    python -m sr.replicate                                    # everything, into runs/replicate; resumes where it stopped
    python -m sr.replicate --steps 500 --only small-soca --seeds 1

Equal are the data, the order of patches for a seed, the steps and every other setting; sizes are printed. The table goes
to replicate.md. Of several seeds that one is exported whose PSNR on fixed patches of the training images is highest: no
test image chooses. At the end SRGAN is tuned from the SRResNet (sr/srgan.py).
"""
import argparse
import json
from pathlib import Path

import numpy as np
import torch

from . import config as configuration
from . import srgan
from . import train as trainer
from .data import Crops, data_root
from .evaluate import evaluate, torch_upscaler
from .metrics import psnr
from .networks import count_parameters
from .systems import SYSTEMS
from .zoo import SETS, ZOO, settled, write_model

HERE = Path(__file__).resolve().parents[1]
SCALE = 4
JUDGED = 64  # patches of the training images that choose among seeds


def configured(base, system, seed, steps):
    """The configuration `base` with the network of `system`."""
    config = configuration.load(base)
    config.name, config.network = system.name, dict(system.network)
    config.train.seed, config.train.eval_set = seed, ""
    if steps:
        config.train.steps = steps
    return config


def folder_of(out, system, seed, steps):
    """Where a run lives."""
    return Path(out) / f"{system.name}-{steps}-seed{seed}"


def on_training_patches(network, crops, patch):
    """PSNR over RGB on the same patches for every network."""
    lr, hr = crops.batch(np.random.default_rng(0), JUDGED, patch, 1)
    with torch.inference_mode():
        return float(psnr(network(lr).clamp(0, 255).numpy().astype(np.float64), hr.numpy().astype(np.float64)))


def run_system(config, crops, folder, sets=SETS):
    """Train and measure one network; the result is kept in result.json and not made twice. None if it was stopped."""
    result = folder / "result.json"
    if result.exists():
        return json.loads(result.read_text())
    run = trainer.Run(config, SCALE, folder, "cpu")
    run.resume()
    trainer.train(run, crops)
    if run.progress() < 1:
        return None
    network = settled(run.averaged(), crops, config.data.patch)
    made = {"system": config.name, "seed": config.train.seed, "steps": run.step, "parameters": count_parameters(network),
            "minutes": round(run.seconds / 60, 1), "train_psnr": on_training_patches(network, crops, config.data.patch)}
    made |= {name: evaluate(torch_upscaler(network), name, SCALE) for name in sets}
    result.write_text(json.dumps(made))
    return made


def table(results):
    """Markdown: one row a system, mean over seeds, and the range over seeds where there are several."""
    sets = [name for name in SETS if all(name in r for r in results)]
    lines = ["| system | parameters | steps | seeds | minutes | " + " | ".join(sets) + " |",
             "|---|---|---|---|---|" + "---|" * len(sets)]
    for name, system in SYSTEMS.items():
        rows = [r for r in results if r["system"] == name]
        if not rows:
            continue
        cells = []
        for of in sets:
            figures = np.array([r[of] for r in rows])
            spread = f" ({np.ptp(figures[:, 0]):.2f})" if len(rows) > 1 else ""
            cells.append(f"{figures[:, 0].mean():.2f}{spread} / {figures[:, 1].mean():.4f}")
        lines.append(f"| {system.label} | {rows[0]['parameters']:,} | {rows[0]['steps']:,} | "
                     f"{', '.join(str(r['seed']) for r in rows)} | {sum(r['minutes'] for r in rows):.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def export_best(base, system, results, crops, out, zoo, sets=SETS):
    """Write the seed with the highest figure on training patches as a model's folder."""
    best = max((r for r in results if r["system"] == system.name), key=lambda r: r["train_psnr"])
    config = configured(base, system, best["seed"], best["steps"])
    run = trainer.Run(config, SCALE, folder_of(out, system, best["seed"], best["steps"]), "cpu")
    run.resume()
    write_model(zoo / system.name, settled(run.averaged(), crops, config.data.patch), f"{system.label}, small",
                f"The replication's {system.label} at {best['parameters']:,} parameters; models/README.md compares them.",
                system.paper, f"python -m sr.replicate --only {system.name}; seed {best['seed']}", best["steps"], sets)


def plan(names, seeds):
    """(system, seed) in the order of training: the first seed of every system, then the second, and so on."""
    asked = [(s, seed) for s in SYSTEMS.values() if s.name in names for seed in seeds or s.seeds]
    return sorted(asked, key=lambda pair: pair[1])


def arguments(argv):
    parser = argparse.ArgumentParser(prog="sr.replicate", description=__doc__.split("\n\n")[0])
    parser.add_argument("--config", type=Path, default=HERE / "configs" / "replicate.toml")
    parser.add_argument("--steps", type=int, help="updates of each network (default: the configuration's)")
    parser.add_argument("--seeds", type=int, nargs="+", help="seeds of every system (default: as in sr/systems.py)")
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="SYSTEM")
    parser.add_argument("--out", type=Path, default=trainer.RUNS / "replicate")
    parser.add_argument("--zoo", type=Path, default=ZOO, help="where the models' folders go (default ../zoo)")
    parser.add_argument("--sets", nargs="*", default=list(SETS), help="test sets that are measured")
    parser.add_argument("--train-dir", type=Path)
    parser.add_argument("--limit", type=int, help="use the first N images only")
    return parser.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    config = configuration.load(args.config)
    steps = args.steps or config.train.steps
    crops = Crops(args.train_dir or data_root() / "train", SCALE, config.data.degradation, trainer.RUNS / "cache", args.limit)
    pairs, results = plan(args.only, args.seeds), []
    for i, (system, seed) in enumerate(pairs):
        made = run_system(configured(args.config, system, seed, steps), crops, folder_of(args.out, system, seed, steps), args.sets)
        if made is None:
            print(f"{system.name}, seed {seed}: stopped; the same command goes on")
            return
        results.append(made)
        (args.out / "replicate.md").write_text(table(results) + "\n")
        if all(later.name != system.name for later, _ in pairs[i + 1 :]):
            export_best(args.config, system, results, crops, args.out, args.zoo, args.sets)
    print(table(results))
    if "small-srresnet" in args.only:
        start = folder_of(args.out, SYSTEMS["small-srresnet"], (args.seeds or [1])[0], steps) / "last.pt"
        srgan.tune(start, crops, args.out / "srgan", args.zoo / "srgan", args.sets)


if __name__ == "__main__":
    main()
