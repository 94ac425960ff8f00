"""The published network: counts, layout of the official weights, behavior on odd inputs."""
import pytest
import torch
from conftest import stir

from sr.networks import build, count_parameters
from sr.san import San, import_checkpoint


def official_shapes(scale, channels=64, groups=20, blocks=10, reduction=16):
    """{name: shape} of the official layout, spelled out here independently of the module."""
    shapes = {"gamma": (1,)}

    def conv(name, out, inp, k):
        shapes[name + ".weight"], shapes[name + ".bias"] = (out, inp, k, k), (out,)

    def soca(name, r):
        conv(name + ".conv_du.0", channels // r, channels, 1)
        conv(name + ".conv_du.2", channels, channels // r, 1)

    for name in ("sub_mean", "add_mean"):
        conv(name, 3, 3, 1)
    conv("head.0", channels, 3, 3)
    for g in range(groups):
        for b in range(blocks):
            for layer in (0, 2):
                conv(f"RG.{g}.rcab.{b}.conv_first.{layer}", channels, channels, 3)
        soca(f"RG.{g}.soca", reduction)
        conv(f"RG.{g}.conv_last", channels, channels, 3)
        shapes[f"RG.{g}.gamma"] = (1,)
    conv("conv_last", channels, channels, 3)
    soca("non_local.soca", 8)
    for name in ("g", "theta", "phi"):
        conv("non_local.non_local." + name, channels // 8, channels, 1)
    conv("non_local.non_local.W", channels, channels // 8, 1)
    for i, s in enumerate({2: (2,), 3: (3,), 4: (2, 2)}[scale]):
        conv(f"tail.0.{2 * i}", s * s * channels, channels, 3)
    conv("tail.1", 3, channels, 3)
    return shapes


def synthetic(scale, **size):
    return {k: torch.randn(s) * 0.05 for k, s in official_shapes(scale, **size).items()}


@pytest.mark.parametrize("scale, count", [(2, 15_712_800), (3, 15_897_440), (4, 15_860_512)])
def test_published_parameter_counts(scale, count):
    network = build({"kind": "san"}, scale)
    assert count_parameters(network) == count
    assert sum(p.numel() for p in network.unused_parameters()) == 38_044


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_layout_is_the_official_one(scale):
    assert {k: tuple(v.shape) for k, v in San(scale).state_dict().items()} == official_shapes(scale)


def test_import_checkpoint_takes_every_tensor():
    state = synthetic(4, channels=16, groups=2, blocks=3, reduction=4)
    network = import_checkpoint({"module." + k: v for k, v in state.items()}, 4)
    own = network.state_dict()
    assert own.keys() == state.keys() and all(torch.equal(own[k], v) for k, v in state.items())
    assert network(torch.rand(1, 3, 9, 7) * 255).shape == (1, 3, 36, 28)


def test_import_checkpoint_takes_the_published_size():
    assert count_parameters(import_checkpoint(synthetic(4), 4)) == 15_860_512


def test_import_checkpoint_refuses_what_is_not_san():
    with pytest.raises(ValueError, match="not a SAN"):
        import_checkpoint({"conv.weight": torch.zeros(1)}, 4)
    state = synthetic(4, channels=16, groups=2, blocks=3, reduction=4)
    del state["RG.1.gamma"]
    with pytest.raises(RuntimeError, match="RG.1.gamma"):
        import_checkpoint(state, 4)


def test_unused_parameters_get_no_gradient():
    network = stir(San(2, channels=16, groups=2, blocks=1, reduction=4)).train()
    network(torch.rand(1, 3, 8, 8) * 255).mean().backward()
    idle = {id(p) for p in network.unused_parameters()}
    for name, p in network.named_parameters():
        assert (p.grad is None) == (id(p) in idle), name


@pytest.mark.parametrize("size", [(1, 1), (1, 13), (2, 2), (7, 5)])
def test_small_and_odd_sizes(size):
    network = San(3, channels=16, groups=1, blocks=1, reduction=4).eval()
    with torch.inference_mode():
        y = network(torch.full((1, 3, *size), 128.0))
    assert y.shape == (1, 3, 3 * size[0], 3 * size[1]) and torch.isfinite(y).all()


def test_small_san_learns_to_reproduce_color():
    # The mean shifts undo each other: with a silent tail the answer is the mean color.
    network = San(2, channels=16, groups=1, blocks=1, reduction=4)
    torch.nn.init.zeros_(network.tail[1].weight)
    torch.nn.init.zeros_(network.tail[1].bias)
    y = network(torch.rand(1, 3, 8, 8) * 255)
    assert torch.allclose(y.mean((0, 2, 3)), 255 * torch.tensor([0.4488, 0.4371, 0.4040]), atol=1e-2)
