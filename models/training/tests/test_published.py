"""The networks as published: parameter counts with their sources, layouts of official weights, the equations."""
import pytest
import torch
import torch.nn.functional as F
from conftest import stir

from sr import edsr, nlrn, official, rcan
from sr.networks import build, count_parameters
from sr.srresnet import Discriminator
from sr.upsample import BicubicUpsample


def shapes_of(network):
    return {k: tuple(v.shape) for k, v in network.state_dict().items()}


def conv(shapes, name, out, inp, k):
    shapes[name + ".weight"], shapes[name + ".bias"] = (out, inp, k, k), (out,)


def ends(scale, channels):
    """{name: shape} that EDSR and RCAN share, by EDSR-PyTorch's src/model/common.py: mean shifts, head, tail."""
    shapes = {}
    for name in ("sub_mean", "add_mean"):
        conv(shapes, name, 3, 3, 1)
    conv(shapes, "head.0", channels, 3, 3)
    for i, s in enumerate({2: (2,), 3: (3,), 4: (2, 2)}[scale]):
        conv(shapes, f"tail.0.{2 * i}", s * s * channels, channels, 3)
    conv(shapes, "tail.1", 3, channels, 3)
    return shapes


def rcan_shapes(scale, channels=64, groups=10, blocks=20, reduction=16):
    """By the authors' repository, yulunzhang/RCAN, RCAN_TestCode/code/model/rcan.py."""
    shapes = ends(scale, channels)
    for g in range(groups):
        for b in range(blocks):
            block = f"body.{g}.body.{b}.body."
            conv(shapes, block + "0", channels, channels, 3)
            conv(shapes, block + "2", channels, channels, 3)
            conv(shapes, block + "3.conv_du.0", channels // reduction, channels, 1)
            conv(shapes, block + "3.conv_du.2", channels, channels // reduction, 1)
        conv(shapes, f"body.{g}.body.{blocks}", channels, channels, 3)
    conv(shapes, f"body.{groups}", channels, channels, 3)
    return shapes


def edsr_shapes(scale, channels=64, blocks=16):
    """By the authors' repository, sanghyun-son/EDSR-PyTorch, src/model/edsr.py."""
    shapes = ends(scale, channels)
    for b in range(blocks):
        conv(shapes, f"body.{b}.body.0", channels, channels, 3)
        conv(shapes, f"body.{b}.body.2", channels, channels, 3)
    conv(shapes, f"body.{blocks}", channels, channels, 3)
    return shapes


def synthetic(shapes):
    return {k: torch.randn(s) * 0.05 for k, s in shapes.items()}


# Zhang et al. 2018 and Dai et al. 2019, where they compare sizes, write 16 M; the exact sums follow from the authors' code.
@pytest.mark.parametrize("scale, count", [(2, 15_444_667), (3, 15_629_307), (4, 15_592_379)])
def test_rcan_has_the_published_size(scale, count):
    network = build({"kind": "rcan"}, scale)
    assert count_parameters(network) == count and round(count / 1e6) in (15, 16)
    assert shapes_of(network) == rcan_shapes(scale)


# EDSR-PyTorch's README: EDSR_baseline_x2 1.37 M, x3 1.55 M, x4 1.52 M; its mean shifts are not trained.
@pytest.mark.parametrize("scale, count, stated", [(2, 1_369_859, 1.37), (3, 1_554_499, 1.55), (4, 1_517_571, 1.52)])
def test_edsr_baseline_has_the_published_size(scale, count, stated):
    network = build({"kind": "edsr"}, scale)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == count
    assert round(count / 1e6, 2) == stated
    assert shapes_of(network) == edsr_shapes(scale)


def test_edsr_variants_add_what_their_modules_have():
    plain = count_parameters(build({"kind": "edsr"}, 4))
    # Hu et al. 2018, section 3, reduction 16: two layers a block, 64 -> 4 -> 64, with biases as in RCAN's SELayer.
    assert count_parameters(build({"kind": "edsr", "attention": "first"}, 4)) - plain == 16 * (64 * 4 + 4 + 4 * 64 + 64)
    # Wang et al. 2018, section 3.3: three 1x1 convolutions to half the channels and one back.
    assert count_parameters(build({"kind": "edsr", "non_local": True}, 4)) - plain == 3 * (64 * 32 + 32) + 32 * 64 + 64


def test_srresnet_has_the_published_size():
    # Ahn et al. (CARN), ECCV 2018, table 1, count SRResNet's convolutions at x4: 1,543 K. The paper itself states none.
    network = build({"kind": "srresnet"}, 4)
    assert sum(p.numel() for p in network.parameters() if p.ndim == 4) == 1_542_528
    # Beside them: biases of the convolutions without batch normalization, 33 normalizations, 19 PReLUs of 64 slopes.
    assert count_parameters(network) - 1_542_528 == 64 + 2 * 256 + 3 + 33 * 128 + 19 * 64


def test_the_discriminator_is_that_of_figure_4():
    # Ledig et al. 2017, figure 4: k3 n64 s1, n64 s2, n128 s1, n128 s2, n256 s1, n256 s2, n512 s1, n512 s2, 1024, 1.
    network = Discriminator()
    convs = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(m.out_channels, m.stride[0]) for m in convs] == [
        (64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2)]
    assert [m.out_features for m in network.modules() if isinstance(m, torch.nn.Linear)] == [1024, 1]
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules()) == 7
    assert network.eval()(torch.rand(2, 3, 96, 96) * 255).shape == (2, 1)


def test_nlrn_has_the_published_size():
    # Liu et al. 2018 write 330 K where they compare sizes; that leaves the batch normalizations out (3 for each of 12 unrollings).
    network = build({"kind": "nlrn"}, 4)
    norms = sum(p.numel() for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d) for p in m.parameters())
    assert norms == 2 + 12 * 3 * 256 + 256 and count_parameters(network) - norms == 330_625


def test_nlrn_regions_come_back():
    x = torch.randn(2, 3, 8, 12)
    regions = nlrn.to_regions(x, 4)
    assert regions.shape == (2 * 2 * 3, 16, 3)
    assert torch.equal(regions[1, :, 0], x[0, 0, :4, 4:8].flatten())
    assert torch.equal(nlrn.from_regions(regions, x, 4), x)


def test_nlrn_passes_the_correlation_on():
    # Correlation propagation: that of the state before is added before the softmax.
    module = stir(nlrn.Correlated(6, 3, 4))
    x = torch.randn(1, 6, 4, 4)
    theta, phi, g = (p(x).flatten(2).transpose(1, 2) for p in (module.theta, module.phi, module.g))
    before = torch.randn(1, 16, 16)
    y, correlation = module(x, before)
    expected = theta @ phi.transpose(1, 2) + before
    assert torch.allclose(correlation, expected, atol=1e-5)
    assert torch.allclose(y, x + (expected.softmax(-1) @ g).transpose(1, 2).reshape(x.shape), atol=1e-5)


def test_nlrn_changes_luma_alone_and_any_size_passes():
    network = stir(build({"kind": "nlrn", "channels": 8, "inner": 4, "unrollings": 2, "region": 12}, 4))
    x = torch.rand(1, 3, 7, 5) * 255
    with torch.inference_mode():
        change = network(x) - BicubicUpsample(4)(F.pad(x, (0, 1, 0, 2), mode="replicate"))[..., :28, :20]
    assert change.shape == (1, 3, 28, 20) and change.abs().max() > 1e-3
    assert torch.allclose(change, change[:, :1].expand_as(change), atol=1e-3)


def test_nlrn_refuses_a_region_that_no_tile_has():
    with pytest.raises(ValueError, match="region 20: expected a multiple of the scale 3"):
        build({"kind": "nlrn", "region": 20}, 3)


@pytest.mark.parametrize("importer, shapes", [
    (rcan.import_checkpoint, rcan_shapes(4, 16, 2, 3, 4)), (edsr.import_checkpoint, edsr_shapes(4, 16, 3)),
    (official.import_checkpoint, rcan_shapes(3, 16, 1, 1, 4)), (official.import_checkpoint, edsr_shapes(2, 16, 2))])
def test_official_weights_are_taken_whole(importer, shapes):
    state = synthetic(shapes)
    scale = {256: 4, 64: 2, 144: 3}[shapes["tail.0.0.weight"][0]] if "tail.0.2.weight" not in shapes else 4
    network = importer({"module." + k: v for k, v in state.items()}, scale)
    own = network.state_dict()
    assert own.keys() == state.keys() and all(torch.equal(own[k], v) for k, v in state.items())
    assert not network.training and network(torch.rand(1, 3, 9, 7) * 255).shape == (1, 3, 9 * scale, 7 * scale)


def test_official_weights_of_the_published_sizes_are_taken():
    assert count_parameters(official.import_checkpoint(synthetic(rcan_shapes(4)), 4)) == 15_592_379
    assert count_parameters(official.import_checkpoint(synthetic(edsr_shapes(4)), 4)) == 1_517_571 + 24


def test_what_is_not_official_is_refused():
    for importer, name in ((rcan.import_checkpoint, "RCAN"), (edsr.import_checkpoint, "EDSR"), (official.import_checkpoint, "SAN, RCAN, EDSR")):
        with pytest.raises(ValueError, match=f"not an? (RCAN |EDSR )?state dict( of {name})?"):
            importer({"conv.weight": torch.zeros(1)}, 4)
    state = synthetic(rcan_shapes(4, 16, 1, 2, 4))
    del state["body.0.body.1.body.2.bias"]
    with pytest.raises(RuntimeError, match="body.0.body.1.body.2.bias"):
        rcan.import_checkpoint(state, 4)
    with pytest.raises(ValueError, match="256 channels scales its residuals"):
        edsr.import_checkpoint({**synthetic(edsr_shapes(4, 16, 1)), "head.0.weight": torch.zeros(256, 3, 3, 3)}, 4)
