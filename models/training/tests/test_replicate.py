"""The replication: equal sizes, one table, nothing made twice, no test image chooses, folders that the service can load."""
import json

import numpy as np
import pytest
import torch
from conftest import TRAINING, drawn_image, stir
from PIL import Image

from sr import config as configuration
from sr import replicate, srgan, train, zoo
from sr.data import Crops
from sr.manifest import problems
from sr.networks import build, count_parameters
from sr.optim import MovingAverage
from sr.srresnet import Discriminator
from sr.systems import SYSTEMS

CONFIG = """
[network]
kind = "small"
body = "attention"
channels = 8
groups = 1
blocks = 1
[data]
patch = 32
batch = 2
piece = 2
[train]
steps = 4
optimizer = "muon"
rate = 1.5e-3
warmup_steps = 2
eval_every = 2
threads = 1
"""
TINY = {"attention": {"channels": 8, "groups": 1, "blocks": 1}, "rcan": {"channels": 8, "groups": 1, "blocks": 1},
        "srresnet": {"channels": 8, "blocks": 1}, "nlrn": {"channels": 8, "inner": 4, "unrollings": 2}}


@pytest.fixture
def setup(tmp_path, monkeypatch, rng):
    """A configuration of four steps, a folder of two drawn images, and every system shrunk to a tiny one."""
    (tmp_path / "tiny.toml").write_text(CONFIG)
    (tmp_path / "images").mkdir()
    for i in range(2):
        Image.fromarray(drawn_image(192, rng)).save(tmp_path / "images" / f"{i}.png")
    monkeypatch.setattr(train, "RUNS", tmp_path / "runs")
    for name, system in SYSTEMS.items():
        small = type(system)(name, system.label, system.paper, system.network | TINY[system.network["body"]], system.seeds)
        monkeypatch.setitem(SYSTEMS, name, small)
    return tmp_path


@pytest.fixture
def crops(setup):
    return Crops(setup / "images", 4)


def adversarial_config(**train_settings):
    config = configuration.load(TRAINING / "configs" / "srgan.toml")
    config.network |= TINY["srresnet"]
    config.data.batch, config.adversarial.channels = 4, 4
    for key, value in train_settings.items():
        setattr(config.train, key, value)
    return config


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_every_system_is_within_the_budget(system):
    network = build(system.network, 4)
    assert 200_000 <= count_parameters(network) <= 400_000
    assert zoo.TILE.step % network.multiple == 0 and zoo.TILE.min_side % network.multiple == 0


def test_the_attention_question_has_equal_bodies_and_three_seeds():
    asked = [s for s in SYSTEMS.values() if s.network["body"] == "attention"]
    counts = {s.name: count_parameters(build(s.network, 4)) for s in asked}
    assert len(asked) == 5 and all(s.seeds == (1, 2, 3) for s in asked)
    assert max(counts.values()) < 1.02 * min(counts.values())
    assert counts["small-se"] == counts["small-soca"]  # first and second order: to the number
    config = configuration.load(TRAINING / "configs" / "replicate.toml")
    assert config.train.steps >= 5000 and config.data.batch == 8
    assert config.network == SYSTEMS["small-none"].network


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_every_system_starts_as_bicubic_and_takes_any_size(system):
    network = build(system.network, 4).eval()
    torch.nn.init.zeros_(network.tail.weight)
    x = torch.full((1, 3, 19, 33), 77.0)
    with torch.inference_mode():
        assert torch.allclose(network(x), torch.full((1, 3, 76, 132), 77.0), atol=1e-3)
        assert torch.isfinite(stir(network)(torch.rand(1, 3, 3, 40) * 255)).all()


def test_an_unknown_body_is_refused():
    with pytest.raises(ValueError, match="network.body 'other': expected one of attention, rcan"):
        build({"kind": "small", "body": "other", "channels": 8}, 4)


def test_seeds_take_turns():
    order = [(s.name, seed) for s, seed in replicate.plan(["small-none", "small-soca", "small-rcan"], None)]
    assert order == [("small-none", 1), ("small-soca", 1), ("small-rcan", 1), ("small-none", 2), ("small-soca", 2),
                     ("small-none", 3), ("small-soca", 3)]


def test_a_finished_run_is_read_not_trained(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"seed": 9}))
    assert replicate.run_system(None, None, tmp_path) == {"seed": 9}


def test_table():
    row = {"system": "small-soca", "parameters": 12345, "steps": 10, "minutes": 1.0,
           "Set5": (30.0, 0.8), "Set14": (27.0, 0.7), "BSD100": (26.0, 0.6)}
    text = replicate.table([row | {"seed": 1}, row | {"seed": 2, "Set5": (30.5, 0.82)}])
    assert "| second order (SOCA) | 12,345 | 10 | 1, 2 | 2 | 30.25 (0.50) / 0.8100 | 27.00 (0.00) / 0.7000 |" in text


def test_the_command_trains_resumes_and_writes_folders(setup, capsys):
    def go(*extra):
        replicate.main(["--config", str(setup / "tiny.toml"), "--train-dir", str(setup / "images"), "--out", str(setup / "out"),
                        "--zoo", str(setup / "zoo"), "--only", "small-san", "small-nlrn", "--sets", *extra])

    go()
    folders = sorted(p.name for p in (setup / "out").iterdir() if p.is_dir())
    assert folders == ["small-nlrn-4-seed1", "small-san-4-seed1", "small-san-4-seed2", "small-san-4-seed3"]
    for name in ("small-san", "small-nlrn"):
        assert problems(setup / "zoo" / name) == []
        assert (setup / "zoo" / name / "x4.onnx").stat().st_size < zoo.LARGEST
    results = [json.loads((setup / "out" / f / "result.json").read_text()) for f in folders[1:]]
    best = max(results, key=lambda r: r["train_psnr"])
    assert f"seed {best['seed']}" in (setup / "zoo" / "small-san" / "model.toml").read_text()
    assert "SOCA and region-level non-local (SAN)" in (setup / "out" / "replicate.md").read_text()
    # A run that was cut before its end goes on; the finished ones are not made again.
    before = (setup / "out" / folders[1] / "last.pt").stat().st_mtime_ns
    (setup / "out" / folders[0] / "result.json").unlink()
    go()
    assert (setup / "out" / folders[1] / "last.pt").stat().st_mtime_ns == before
    assert (setup / "out" / folders[0] / "result.json").exists()


def test_a_run_that_was_cut_goes_on_to_the_same_weights(setup, crops):
    def go(folder, steps):
        config = replicate.configured(setup / "tiny.toml", SYSTEMS["small-rcan"], 1, 4)
        run = train.Run(config, 4, setup / folder, "cpu")
        for _ in range(steps):
            run.train_step(crops)
        run.save()
        return replicate.run_system(config, crops, setup / folder, ())

    assert go("whole", 0) | {"minutes": 0} == go("halves", 2) | {"minutes": 0}


def test_normalization_settles_on_training_patches(crops):
    torch.manual_seed(1)
    network = build({"kind": "small", "body": "srresnet"} | TINY["srresnet"], 4)
    norm = next(m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    norm.running_mean.fill_(1000.0)
    settled = zoo.settled(network, crops, 12)
    assert settled is network and not network.training and norm.running_mean.abs().max() < 100
    first = norm.running_mean.clone()
    assert torch.equal(zoo.settled(network, crops, 12) and norm.running_mean, first), "the same patches every time"
    plain = build(SYSTEMS["small-none"].network, 4)
    before = {k: v.clone() for k, v in plain.state_dict().items()}
    after = zoo.settled(plain, crops, 12).state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_too_large_a_model_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "LARGEST", 1000)
    network = build({"kind": "small", "body": "srresnet"} | TINY["srresnet"], 4).eval()
    with pytest.raises(ValueError, match=r"x4.onnx of net: [\d,]+ bytes; below 1,000 are allowed"):
        zoo.write_model(tmp_path / "net", network, "t", "d", "p", "t", 1, ())


def test_the_relativistic_loss_falls_where_originals_are_ahead():
    # Jolicoeur-Martineau 2019: at equal logits each side is a coin toss, log 2.
    same = srgan.relativistic(torch.ones(4, 1), torch.ones(4, 1))
    assert float(same) == pytest.approx(np.log(2), abs=1e-6)
    assert srgan.relativistic(torch.full((4, 1), 3.0), torch.zeros(4, 1)) < same < srgan.relativistic(torch.zeros(4, 1), torch.full((4, 1), 3.0))


def test_adversarial_losses_are_finite_and_both_networks_learn(tmp_path, crops):
    config = adversarial_config(steps=30, rate=1e-3, warmup_steps=1)
    config.adversarial.rate = 1e-3
    run = srgan.AdversarialRun(config, 4, tmp_path / "run", "cpu")
    first = {k: v.clone() for k, v in run.network.state_dict().items()}
    seen = []
    for _ in range(30):
        run.train_step(crops)
        seen.append(run.losses)
        assert all(np.isfinite(v) for v in run.losses.values())
    assert np.mean([s["discriminator"] for s in seen[-5:]]) < np.mean([s["discriminator"] for s in seen[:5]])
    moved = [k for k, v in run.network.named_parameters() if not torch.equal(first[k], v)]
    assert len(moved) == len(list(run.network.parameters()))
    assert all(p.grad is not None for p in run.discriminator.parameters())


def test_the_network_closes_in_on_what_it_is_asked_for(tmp_path, crops):
    config = adversarial_config(steps=30, rate=2e-3, warmup_steps=1)
    config.adversarial.feature = config.adversarial.adversarial = 0.0
    run = srgan.AdversarialRun(config, 4, tmp_path / "run", "cpu")
    seen = [float(run.train_step(crops)) for _ in range(30)]
    assert np.mean(seen[-5:]) < np.mean(seen[:5])


def test_adversarial_training_resumes_to_the_same_weights(tmp_path, crops):
    def go(folder, steps):
        run = srgan.AdversarialRun(adversarial_config(steps=6, eval_every=3), 4, tmp_path / folder, "cpu")
        run.resume()
        for _ in range(steps):
            run.train_step(crops)
        run.save()
        return run

    torch.set_num_threads(1)
    whole = go("whole", 6)
    go("halves", 3)
    halves = go("halves", 3)
    assert halves.step == 6
    for a, b in ((whole.network, halves.network), (whole.discriminator, halves.discriminator)):
        for (name, x), y in zip(a.state_dict().items(), b.state_dict().values()):
            assert torch.equal(x, y), name
    assert all(torch.equal(v, halves.average.shadow[k]) for k, v in whole.average.shadow.items())


def test_srgan_starts_from_the_network_and_leaves_a_folder(tmp_path, crops):
    config = adversarial_config(steps=2, eval_every=1)
    start = train.Run(config, 4, tmp_path / "start", "cpu")
    stir(start.network)
    start.average = MovingAverage(start.network, 0.9)
    start.save()
    run = srgan.tune(tmp_path / "start" / "last.pt", crops, tmp_path / "run", tmp_path / "srgan", (), config)
    assert run.step == 2 and problems(tmp_path / "srgan") == []
    assert "invents detail" in (tmp_path / "srgan" / "model.toml").read_text()
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {"discriminator", "pixel", "feature", "adversarial"} <= set(log[-1])
    for a, b in zip(start.network.parameters(), run.network.parameters()):
        assert (a - b).abs().max() < 0.01  # two small steps away


def test_the_discriminator_takes_the_patches_of_the_configuration():
    config = configuration.load(TRAINING / "configs" / "srgan.toml")
    size = 4 * config.data.patch
    assert Discriminator(size, config.adversarial.channels)(torch.rand(2, 3, size, size) * 255).shape == (2, 1)
