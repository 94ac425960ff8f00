"""The report: statistics on known figures, the service's commands on a stand-in program, a page from end to end."""
import json
import os
import stat
import sys

import numpy as np
import pytest
from conftest import MODELS, TRAINING, drawn_image
from PIL import Image
from scipy.stats import pearsonr, spearmanr

from sr import image_statistics, replicate_report
from sr.degrade import degrade
from sr.image_statistics import NIQE_SIDE, correlation, mean_with_interval, niqe, texture
from sr.published import PUBLISHED
from sr.replicate_report import QUESTIONS, questions_for, seeds_range, verdict
from sr.service import Model, Service, models_in, sets_in, stage
from sr.systems import SYSTEMS

# `eval` and `upscale` of the service in a few lines: PSNR by the model's name, images by Pillow.
PROGRAM = """#!{python}
import json, pathlib, sys
from PIL import Image
line = sys.argv[1:]
given = dict(zip(line, line[1:]))
model = given["--model"]
if model == "broken":
    sys.exit("the model is broken: mend it")
with open({calls!r}, "a") as file:
    file.write(" ".join([line[0], model]) + "\\n")
if line[0] == "eval":
    data = pathlib.Path(given["--data"])
    gain = len(model) / 10 + 0.1 * ("--ensemble" in line)
    images = [{{"name": p.stem, "psnr": 25 + i + gain * (1 + i), "ssim": 0.7}} for i, p in enumerate(sorted((data / "HR").iterdir()))]
    mean = {{"psnr": sum(i["psnr"] for i in images) / len(images), "ssim": 0.7}}
    print(json.dumps({{"source": model, "execution": {{"provider": "cpu", "precision": "fp32"}},
                      "sets": [{{"name": data.name, "images": images, "mean": mean}}]}}))
else:
    low, out = pathlib.Path(line[line.index("--output") - 1]), pathlib.Path(given["--output"])
    out.mkdir(parents=True)
    for path in low.iterdir():
        image = Image.open(path)
        image.resize((4 * image.width, 4 * image.height), Image.BICUBIC).save(out / path.name)
"""


@pytest.fixture
def setup(tmp_path, rng):
    """A stand-in program, a set of five drawn images, and models of the zoo's names without weights."""
    calls = tmp_path / "calls"
    program = tmp_path / "program"
    program.write_text(PROGRAM.format(python=sys.executable, calls=str(calls)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "data" / "Drawn" / "HR").mkdir(parents=True)
    for i, side in enumerate((304, 300, 296, 200, 97)):
        image = np.clip(128 + (drawn_image(side, rng).astype(float) - 128) * (1 - i / 6), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / "data" / "Drawn" / "HR" / f"image{i}.png")
    for name in ("small-none", "small-se", "small-soca", "small-san", "broken"):
        folder = tmp_path / ("bad" if name == "broken" else "zoo") / name
        folder.mkdir(parents=True)
        (folder / "model.toml").write_text(f'[[scale]]\nfactor = 4\nsha256 = "{name:0<64}"\nparameters = 200000\n')
    return tmp_path


def test_the_zoo_is_no_model_of_the_default_folder():
    # The service counts a folder as a model if it holds model.toml or an ONNX file (crates/inference/src/registry/load.rs).
    zoo = MODELS / "zoo"
    assert not [p for p in zoo.glob("*") if p.name == "model.toml" or p.suffix == ".onnx"]


def test_texture_is_zero_on_flat_and_grows_with_contrast():
    flat = np.full((64, 64, 3), 90, np.uint8)
    board = (np.indices((64, 64)).sum(0) % 2)[..., None].repeat(3, 2)
    assert texture(flat) == pytest.approx(0, abs=1e-3)
    assert 0 < texture((100 + 20 * board).astype(np.uint8)) < texture((100 + 80 * board).astype(np.uint8))


def test_correlation_and_its_interval_on_known_figures(rng):
    x = np.arange(40.0)
    exact = correlation(x, 3 * x + 1)
    assert exact["pearson"][0] == pytest.approx(1) and exact["spearman"][0] == pytest.approx(1)
    noise = correlation(x, rng.normal(size=40))
    for r, (low, high) in noise.values():
        assert low < 0 < high and low < r < high
    assert correlation(x, x**3)["pearson"][0] < correlation(x, x**3)["spearman"][0]
    assert np.isnan(correlation(x, np.ones(40))["pearson"][0])
    y = rng.normal(size=40)
    assert correlation(x, y)["pearson"][0] == pytest.approx(pearsonr(x, y).statistic)
    assert correlation(x, y)["spearman"][0] == pytest.approx(spearmanr(x, y).statistic)
    assert correlation(x, rng.normal(size=40), seed=1) != correlation(x, rng.normal(size=40), seed=2)


def test_a_correlation_wants_four_pairs():
    assert correlation([1, 2, 3, 4], [2, 1, 4, 3])["pearson"][0] > 0
    with pytest.raises(ValueError, match="3 and 3 figures: at least four pairs"):
        correlation([1, 2, 3], [2, 1, 3])


def test_the_interval_of_a_mean_holds_it(monkeypatch):
    monkeypatch.setattr(image_statistics, "RESAMPLES", 500)
    mean, (low, high) = mean_with_interval([0.1, 0.2, 0.3, 0.2])
    assert mean == pytest.approx(0.2) and 0.1 <= low < mean < high <= 0.3


def test_niqe_sees_blur_and_leaves_small_images_out(rng):
    pytest.importorskip("skvideo.measure")
    image = drawn_image(NIQE_SIDE + 8, rng)
    soft = np.asarray(Image.fromarray(image).resize((74, 74)).resize(image.shape[:2], Image.BICUBIC))
    assert 0 < niqe(image) < niqe(soft)
    assert niqe(image[1:]) is None


def test_models_and_sets_are_found_by_what_they_hold(setup):
    models = models_in([setup / "bad", setup / "zoo"], 4)
    assert [m.name for m in models] == ["bicubic", "broken", "small-none", "small-san", "small-se", "small-soca"]
    assert models_in([setup / "zoo"], 3) == [Model("bicubic", setup / "zoo")]
    assert sets_in(setup / "data") == ["Drawn"]
    with pytest.raises(FileNotFoundError, match="no test set Urban100; each needs a folder HR"):
        sets_in(setup / "data", ["Urban100"])


def test_a_set_is_staged_with_its_degradation(setup):
    folder = stage(setup / "data", "Drawn", 4, "BD", setup / "work")
    original = np.asarray(Image.open(folder / "HR" / "image0.png"))
    made = np.asarray(Image.open(folder / "LR_bicubic" / "X4" / "image0x4.png"))
    assert np.array_equal(made, degrade(original, 4, "BD"))
    assert not np.array_equal(made, degrade(original, 4, "BI"))


def test_figures_are_kept_by_the_digest_of_the_weights(setup):
    service = Service(setup / "program", 4, setup / "work")
    folder = stage(setup / "data", "Drawn", 4, "BI", setup / "work")
    model = models_in([setup / "zoo"], 4)[1]
    assert service.evaluate(model, folder, "BI") == service.evaluate(model, folder, "BI")
    assert (setup / "calls").read_text() == "eval small-none\n"
    service.evaluate(Model(model.name, model.root, 1, "f" * 64), folder, "BI")
    assert (setup / "calls").read_text() == "eval small-none\n" * 2


def test_a_failure_of_the_service_is_passed_on(setup):
    service = Service(setup / "program", 4, setup / "work")
    folder = stage(setup / "data", "Drawn", 4, "BI", setup / "work")
    with pytest.raises(RuntimeError, match="eval with broken: exit status 1: the model is broken: mend it"):
        service.evaluate(models_in([setup / "bad"], 4)[1], folder, "BI")
    with pytest.raises(FileNotFoundError, match="cargo build --release"):
        Service(setup / "absent", 4, setup / "work")


def test_the_report_from_end_to_end(setup, monkeypatch, capsys):
    monkeypatch.setattr(image_statistics, "RESAMPLES", 200)
    monkeypatch.setattr(replicate_report, "niqe", lambda image: texture(image) if min(image.shape[:2]) >= NIQE_SIDE + 8 else None)
    runs = setup / "runs" / "small-soca-5000-seed1"
    runs.mkdir(parents=True)
    row = {"system": "small-soca", "seed": 1, "steps": 5000, "parameters": 210633, "minutes": 9.0, "Set5": [30.1, 0.85]}
    (runs / "result.json").write_text(json.dumps(row))
    arguments = ["--binary", str(setup / "program"), "--models", str(setup / "zoo"), "--data", str(setup / "data"),
                 "--runs", str(setup / "runs"), "--work", str(setup / "work"), "--out", str(setup / "docs" / "page.md")]
    replicate_report.main(arguments)
    page = (setup / "docs" / "page.md").read_text()
    assert "| model | parameters | Drawn BI | Drawn BD | self-ensemble | NIQE |" in page
    assert "| small-soca | 200,000 | 30.00 / 0.7000 | 30.00 / 0.7000 | +0.30 |" in page
    assert "| second order (SOCA) | 210,633 | 5,000 | 1 | 9 | 30.10 / 0.8500 |" in page
    assert page.count("against no") == 3 and "3 images" in page
    assert "Second-order statistics cannot be told from no attention at this budget (+0.000 dB" in page
    assert "What seeds alone make is not known here" in page
    assert all((setup / "docs" / "page" / f"{n}.png").stat().st_size > 0 for n in ("bars", "plane", "texture"))
    # Once more: nothing is measured again.
    before = (setup / "calls").read_text()
    replicate_report.main(arguments)
    assert (setup / "calls").read_text() == before and (setup / "docs" / "page.md").read_text() == page
    with pytest.raises(SystemExit, match="--only other: there are bicubic, small-none"):
        replicate_report.main([*arguments, "--only", "other"])


def test_without_the_zoo_networks_are_compared_with_bicubic():
    assert questions_for(["bicubic", "srcnn"]) == [("srcnn", "bicubic", "srcnn against bicubic")]
    assert questions_for(SYSTEMS) == list(QUESTIONS)
    assert "stays open" in verdict({}, ["Set5"], ["bicubic"], [])


@pytest.mark.parametrize("shift, spread, words", [
    (0.2, 0.1, "gain 0.200 dB over no attention"), (-0.2, 0.1, "lose 0.200 dB against no attention"),
    (0.2, 0.3, "cannot be told from no attention"), (0.2, None, "gain 0.200 dB over no attention")])
def test_the_verdict_follows_the_interval_and_the_seeds(shift, spread, words):
    def psnrs(by):
        return {"images": {str(i): {"psnr": 30 + i + by} for i in range(6)}}

    asked = ("small-soca", "small-none", "small-se")
    found = {(name, "Set5", "BI", False): psnrs(by) for name, by in zip(asked, (shift, 0.0, shift))}
    results = [{"system": name, "Set5": (30 + by, 0.8)} for name in asked for by in (0, spread or 0)]
    said = verdict(found, ["Set5"], asked, results if spread is not None else [])
    assert words in said and "cannot be told from first-order attention" in said
    assert ("not known" in said) == (spread is None) and seeds_range(results, asked, ["Set5"]) == pytest.approx(spread or 0)
    assert seeds_range(results[:1], asked, ["Set5"]) is None


def test_every_published_row_has_a_source_and_a_network_of_ours():
    names = {*SYSTEMS, "bicubic", "srgan", *(p.parent.name for p in MODELS.glob("*/model.toml"))}
    assert all(p.source and {"Set5", "Set14", "BSD100"} <= p.psnr.keys() and p.stand_in in names for p in PUBLISHED)


def test_the_commands_are_there():
    assert all(os.access(TRAINING / name, os.X_OK) for name in ("replicate.sh", "replicate-report.sh"))
