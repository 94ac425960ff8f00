"""The plain body of san-light: where it starts, and its size as configured."""
from pathlib import Path

import numpy as np
import torch

from sr import config as configuration
from sr.networks import build, count_parameters
from sr.san_plain import SLOPE, IdentityConv, PlainGroup
from sr.upsample import BicubicUpsample


def test_a_convolution_starts_near_the_identity(rng):
    torch.manual_seed(1)
    x = torch.tensor(rng.normal(size=(2, 32, 12, 12)), dtype=torch.float32)
    conv = IdentityConv(32)
    y = conv(x)
    assert not conv.bias.any()
    # The random part is U(-1/sqrt(9 C), ..) halved: of a unit input it makes a standard deviation of 0.5 / sqrt(3).
    off = (y - x)[:, :, 1:-1, 1:-1]
    assert abs(float(off.std().detach()) - 0.5 / np.sqrt(3)) < 0.05


def test_a_group_is_its_input_plus_the_gated_stack(rng):
    torch.manual_seed(1)
    group = PlainGroup(16, 2, "none", 4)
    x = torch.tensor(rng.normal(size=(1, 16, 8, 8)), dtype=torch.float32)
    first, second = group.convs
    h = first(x)
    assert torch.allclose(group(x), x + second(torch.where(h > 0, h, SLOPE * h)), atol=1e-6)


def test_it_starts_as_bicubic_and_has_a_third_of_a_million_parameters(rng):
    torch.manual_seed(1)
    network = build(configuration.load(Path(__file__).parents[1] / "configs" / "san-plain.toml").network, 4).eval()
    assert 250_000 < count_parameters(network) < 400_000
    lr = torch.tensor(rng.uniform(0, 255, (1, 3, 30, 41)), dtype=torch.float32)
    with torch.inference_mode():
        assert (network(lr) - BicubicUpsample(4)(lr)).abs().mean() < 3


def test_attention_sees_the_whole_input(rng):
    """The gate of a channel comes from all pixels: a change far outside of the reach of the convolutions is seen."""
    torch.manual_seed(1)
    network = build({"kind": "san-plain", "channels": 16, "groups": 1, "convs": 1, "non_local": False}, 2).eval()
    torch.nn.init.normal_(network.tail.weight, std=0.1)
    lr = torch.tensor(rng.uniform(0, 255, (1, 3, 48, 48)), dtype=torch.float32)
    other = lr.clone()
    other[..., 40:] = 0
    with torch.inference_mode():
        assert (network(lr) - network(other))[..., :40].abs().max() > 1e-4
