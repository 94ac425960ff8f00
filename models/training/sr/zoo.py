"""A trained system as a model's folder, models/zoo/NAME: x4.onnx with weights stored in half precision, and model.toml.

The service does not load models/zoo by default, since it looks one level deep (crates/inference/src/registry/load.rs): `--models models/zoo` names it.
"""
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
from torch.optim.swa_utils import update_bn

from .evaluate import evaluate
from .export import PARITY, parity, run, session, sha256, store_fp16, to_onnx
from .manifest import gives_detail, stored_parameters
from .tiling import Bounds, served

ZOO = Path(__file__).resolve().parents[2] / "zoo"
TILE = Bounds(step=32, min_side=32, max_side=192, max_area=96**2, halo=8)  # every region of sr/systems.py divides the sides
LARGEST = 1_000_000
BATCHES, PATCHES = 30, 16  # of training patches that batch normalization settles on
SETS = ("Set5", "Set14", "BSD100")

MANIFEST = """name = "{name}"
title = "{title}"
description = "{description}"
license = "Apache-2.0"
paper = "{paper}"
range = 255.0
mean_inside = true
{skip}trained_on = "505 crops of 343 freely licensed photographs (models/ATTRIBUTION.md), MATLAB-bicubic degradation"
training = "{training}"

[tile]
{tile}
[[scale]]
factor = {scale}
file = "x{scale}.onnx"
sha256 = "{sha256}"
parameters = {parameters}
steps = {steps}
psnr_y = {{ {figures} }}
"""


def settled(network, crops, patch):
    """`network` with the statistics of its batch normalization found anew on training patches.

    Those gathered on the way are of weights that have moved on since, and never of the averaged ones: with them the
    recurrence (NLRN) was at 27.45 dB on Set5 and not at 30.6. Where there are no such layers nothing is done.
    """
    rng = np.random.default_rng(0)
    update_bn((crops.batch(rng, PATCHES, patch, 1)[0] for _ in range(BATCHES)), network)
    return network.eval()


def write_model(folder, network, title, description, paper, training, steps, sets=SETS):
    """Export `network` into `folder`, check it, measure it as served on `sets`, and write its manifest."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"x{network.scale}.onnx"
    model = to_onnx(network, file)
    planes = np.random.default_rng(0).uniform(0, 255, (2, 3, 64, 96)).astype(np.float32)
    worst = parity(network, session(file, 1), planes)
    if not worst < PARITY:
        raise ValueError(f"{folder.name}: parity {worst:.2e} of white: over {PARITY:.0e}")
    onnx.save(store_fp16(model), file)
    if file.stat().st_size >= LARGEST:
        raise ValueError(f"{file.name} of {folder.name}: {file.stat().st_size:,} bytes; below {LARGEST:,} are allowed")
    made = session(file, 1)
    upscale = served(lambda x: run(made, x), network.scale, TILE)
    figures = {name: evaluate(upscale, name, network.scale)[0] for name in sets}
    tile = "".join(f"{key} = {value}\n" for key, value in asdict(TILE).items())
    (folder / "model.toml").write_text(MANIFEST.format(
        name=folder.name, title=title, description=description, paper=paper, training=training, tile=tile,
        skip='skip = "bicubic"\n' if gives_detail(file) else "", scale=network.scale, sha256=sha256(file),
        parameters=stored_parameters(file), steps=steps,
        figures=", ".join(f"{k} = {v:.2f}" for k, v in figures.items())), encoding="utf-8")
