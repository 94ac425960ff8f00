"""The trainer: ten steps, resuming, seeds, configuration, optimizers, weights taken over."""
import json
import os
import signal
import threading

import numpy as np
import pytest
import torch
from conftest import TRAINING, drawn_image
from PIL import Image

from sr import config as configuration
from sr import train
from sr.networks import build
from sr.optim import MovingAverage, orthogonalise, rate_factor
from sr.weights import load_matching, read_tensors
from sr.workers import LOSSES, pixel_loss

CONFIG = """
name = "tiny"
[network]
kind = "san-light"
channels = 16
groups = 2
blocks = 1
inner = 2
region = 8
[data]
patch = 16
batch = 4
piece = 2
[train]
steps = 10
optimizer = "muon"
warmup_steps = 2
threads = 2
eval_every = 5
"""


@pytest.fixture
def setup(tmp_path, monkeypatch, rng):
    """A configuration, a folder of two drawn images, and runs/ kept out of the checkout."""
    (tmp_path / "tiny.toml").write_text(CONFIG)
    (tmp_path / "images").mkdir()
    for i in range(2):
        Image.fromarray(drawn_image(160, rng)).save(tmp_path / "images" / f"{i}.png")
    monkeypatch.setattr(train, "RUNS", tmp_path / "runs")

    def go(*extra, out="run"):
        return train.main([str(tmp_path / "tiny.toml"), "--scale", "4", "--train-dir", str(tmp_path / "images"),
                           "--no-eval", "--device", "cpu", "--out", str(tmp_path / out), *extra])

    return tmp_path, go


def test_ten_steps_leave_log_curve_and_checkpoint(setup):
    folder, go = setup
    run = go()
    assert run.step == 10
    rows = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows] == [5, 10] and all(np.isfinite(r["loss"]) for r in rows)
    assert Image.open(folder / "run" / "curve.png").size[0] > 300
    assert sorted(p.name for p in (folder / "run").iterdir()) == ["curve.png", "last.pt", "log.jsonl", "trunk.npz"]


def test_resuming_goes_on_where_it_stopped(setup):
    _, go = setup
    run = go()
    again = go("--steps", "14")
    assert again.step == 14 and again.average.steps == 14
    assert again.rng.bit_generator.state != run.rng.bit_generator.state


def test_a_signal_ends_the_run_with_a_checkpoint(setup):
    folder, go = setup
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    run = go("--steps", "100000", "--eval-every", "1000000", out="long")
    assert 0 < run.step < 100000 and (folder / "long" / "last.pt").exists()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_equal_seeds_draw_equal_patches_and_weights(setup):
    _, go = setup
    a, b, c = go(out="a"), go(out="b"), go("--seed", "2", out="c")
    # The workers add their gradients in the order they finish: equal to rounding, not to the bit.
    gap = [max(float((p - q).detach().abs().max()) for p, q in zip(a.network.parameters(), o.network.parameters())) for o in (b, c)]
    assert gap[0] < 2e-3 < gap[1]
    assert a.rng.bit_generator.state == b.rng.bit_generator.state


def test_losses():
    sr, hr = torch.tensor([0.0, 100.0]), torch.tensor([51.0, 100.0])
    assert pixel_loss("l1", sr, hr) == 25.5 and pixel_loss("l2", sr, hr) == 51 * 51 / 2 / 255
    with pytest.raises(ValueError, match="l3.*expected one of l1, l2"):
        pixel_loss("l3", sr, hr)


@pytest.mark.parametrize("loss", LOSSES)
def test_workers_give_the_gradient_of_the_whole_batch(setup, loss):
    folder, _ = setup
    config = configuration.load(folder / "tiny.toml")
    config.train.loss = loss
    run = train.Run(config, 4, folder / "w", "cpu")
    lr, hr = torch.rand(5, 3, 16, 16) * 255, torch.rand(5, 3, 64, 64) * 255
    run.backward(lr, hr)
    pieces = [p.grad.clone() for p in run.network.parameters()]
    run.network.zero_grad(set_to_none=True)
    workers, run.workers = run.workers, None
    run.backward(lr, hr)
    for a, p in zip(pieces, run.network.parameters()):
        assert (a - p.grad).norm() <= 0.03 * p.grad.norm() + 1e-6  # bf16
    assert workers.count == 2


def test_a_network_starts_another_scale(setup):
    folder, go = setup
    go()
    other = build(configuration.load(folder / "tiny.toml").network, 3)
    loaded, left = load_matching(other, folder / "run" / "last.pt")
    assert left == 2 and loaded > 20  # the tail's weight and bias


def test_weights_that_do_not_fit_are_refused(tmp_path):
    np.savez(tmp_path / "w.npz", other=np.zeros(3))
    with pytest.raises(ValueError, match="no tensor fits"):
        load_matching(build({"kind": "srcnn"}, 4), tmp_path / "w.npz")


def test_every_configuration_of_the_project_loads():
    for path in (TRAINING / "configs").rglob("*.toml"):
        build(configuration.load(path).network | ({"groups": 1, "blocks": 1} if path.stem == "san" else {}), 4)


@pytest.mark.parametrize("text, message", [
    ("[network]\nkind='srcnn'\n[train]\nsteeps=3", "train.steeps"),
    ("[network]\nkind='srcnn'\n[train]\nsteps='3'", "expected int"),
    ("[network]\nkind='srcnn'\n[more]\na=1", "unknown section more"),
    ("name='x'", "network.kind"),
])
def test_configuration_errors_name_the_key(tmp_path, text, message):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        configuration.load(tmp_path / "c.toml")


def test_orthogonalise():
    m = torch.randn(2, 6, 30, dtype=torch.float64)
    plain = m / m.norm(dim=(1, 2), keepdim=True)
    for _ in range(5):
        s = plain @ plain.transpose(1, 2)
        plain = 3.4445 * plain + (-4.7750 * s + 2.0315 * s @ s) @ plain
    assert torch.allclose(orthogonalise(m), plain, atol=1e-6)
    for shape in ((3, 8, 20), (3, 20, 8)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape), 8))
        assert (values > 0.6).all() and (values < 1.3).all()


def test_rate_warms_up_stays_and_falls_to_the_floor():
    assert rate_factor(0.0, 0, 10, 0.01, 0.2) == pytest.approx(0.1)
    assert rate_factor(0.0, 10, 10, 0.01, 0.2) == pytest.approx(1.0)
    assert rate_factor(0.8, 99, 10, 0.0, 0.2) == pytest.approx(1.0)
    assert rate_factor(0.85, 99, 10, 0.0, 0.2) == pytest.approx(0.5)
    assert rate_factor(1.0, 99, 10, 0.01, 0.2) == pytest.approx(0.01)


def test_the_trunk_is_written_before_the_rate_falls_and_starts_another_run(setup):
    folder, go = setup
    run = go("--steps", "20")
    trunk = read_tensors(folder / "run" / "trunk.npz")
    assert set(trunk) == set(run.network.state_dict()) and (folder / "run" / "trunk.npz").stat().st_size < 200_000
    moved = max(float((p.detach() - trunk[k]).abs().max()) for k, p in run.network.named_parameters())
    assert moved > 1e-4, "the last steps changed the weights"
    again = go("--init-from", str(folder / "run" / "trunk.npz"), "--steps", "1", out="on")
    assert again.step == 1


def test_moving_average_follows():
    network = torch.nn.Conv2d(3, 3, 1)
    average = MovingAverage(network, 0.9)
    torch.nn.init.constant_(network.weight, 2.0)
    for _ in range(200):
        average.update(network)
    assert torch.allclose(average.shadow["weight"], network.weight, atol=1e-4)
