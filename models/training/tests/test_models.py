"""The committed models: what model.toml says is what the files are, and they run."""
import tomllib

import numpy as np
import onnx
import pytest
import torch
from conftest import MODELS, drawn_image

from sr.evaluate import evaluate, to_planes
from sr.export import run, session
from sr.manifest import problems, stamp
from sr.tiling import bounds_of, served
from sr.upsample import BicubicUpsample

FOLDERS = sorted(p.parent for pattern in ("*/model.toml", "zoo/*/model.toml") for p in MODELS.glob(pattern))
ENTRIES = [(f, s) for f in FOLDERS for s in tomllib.loads((f / "model.toml").read_text())["scale"]]
NAMES = [f"{f.name} x{s['factor']}" for f, s in ENTRIES]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_manifest_is_true(folder):
    assert problems(folder) == []


@pytest.mark.parametrize("folder, scale", ENTRIES, ids=NAMES)
def test_tiles_run_alone_and_in_a_batch(folder, scale, rng):
    made = session(folder / scale["file"], 2)
    bounds = bounds_of(folder)
    side = max(side for side in bounds.sides() if side**2 <= bounds.max_area)
    for height, width in [(bounds.min_side, bounds.min_side), (bounds.min_side, side), (side, bounds.min_side), (side, side)]:
        drawn = to_planes(drawn_image(side, rng))[:, :, :height, :width]
        flat = np.full_like(drawn, 200)
        noise = rng.uniform(0, 255, drawn.shape).astype(np.float32)
        together = run(made, np.concatenate([drawn, flat, noise]))
        assert together.shape == (3, 3, height * scale["factor"], width * scale["factor"])
        assert np.isfinite(together).all()
        assert np.abs(run(made, drawn)[0] - together[0]).max() / 255 < 1e-5
        # A trained network keeps a flat color, but for the zeros that it sees around the tile: as far as the halo, which
        # the service cuts off or blends. And it is near bicubic on a drawn image.
        off, halo = np.abs(together[1] - 200), bounds.halo * scale["factor"]
        edge, inside, near = (8, 1 if folder.parent == MODELS else 3, 12) if folder.name != "srgan" else (32, 32, 24)  # it invents
        assert off.max() < edge and off[:, halo:-halo, halo:-halo].max() < inside
        bicubic = BicubicUpsample(scale["factor"])(torch.from_numpy(drawn)).numpy()[0]
        assert np.abs(together[0] - bicubic).mean() < near


@pytest.mark.parametrize("folder, scale", ENTRIES, ids=NAMES)
def test_no_machine_path_stands_in_the_file(folder, scale):
    model = onnx.load(folder / scale["file"])
    onnx.checker.check_model(model, full_check=True)
    assert b"site-packages" not in (folder / scale["file"]).read_bytes()
    assert [v.name for v in model.graph.input] == ["lr"]
    assert [v.name for v in model.graph.output] in (["sr"], ["detail"])


@pytest.mark.parametrize("folder, scale", [(f, s) for f, s in ENTRIES if "fp16" in s], ids=[n for n, (_, s) in zip(NAMES, ENTRIES) if "fp16" in s])
def test_the_fp16_file_is_the_same_network(folder, scale, rng):
    """On the CPU provider, which computes such convolutions in float32 on weights and inputs rounded to float16."""
    drawn = to_planes(drawn_image(48, rng))
    full, half = (run(session(folder / file, 2), drawn) for file in (scale["file"], scale["fp16"]["file"]))
    assert half.dtype == np.float32 and 0 < np.abs(full - half).max() < 1


@pytest.mark.parametrize("folder, scale", ENTRIES, ids=NAMES)
def test_the_stated_figure_of_set5_is_reached(folder, scale, data):
    stated = scale.get("psnr_y", {}).get("Set5")
    if stated is None:
        pytest.skip(f"{folder.name} x{scale['factor']} states no figure")
    made = session(folder / scale["file"], 2)
    upscale = served(lambda x: run(made, x), scale["factor"], bounds_of(folder))
    psnr, _ = evaluate(upscale, "Set5", scale["factor"], root=data)
    assert abs(psnr - stated) < 0.01


def test_stamp_corrects_a_manifest(tmp_path):
    if not ENTRIES:
        pytest.skip("no committed model")
    source, scale = ENTRIES[-1]
    folder = tmp_path / source.name
    folder.mkdir()
    for path in source.glob("*.onnx"):
        (folder / path.name).write_bytes(path.read_bytes())
    text = (source / "model.toml").read_text().replace(scale["sha256"], "0" * 64)
    (folder / "model.toml").write_text(text)
    assert any("sha256" in p for p in problems(folder))
    stamp(folder)
    assert problems(folder) == [] and (folder / "model.toml").read_text() == (source / "model.toml").read_text()
