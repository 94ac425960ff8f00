"""What leaves the trainer: ONNX against PyTorch, free sizes, a tile alone against a tile in a batch."""
import numpy as np
import onnx
import pytest
import torch
from conftest import drawn_image, stir

from sr import export
from sr.evaluate import to_planes
from sr.export import CONTROL_FLOW, PARITY, in_fp16, parity, run, session, sha256, to_onnx
from sr.networks import build
from sr.weights import load_matching

SMALL = {"kind": "san-light", "channels": 16, "groups": 2, "blocks": 1}
NETWORKS = {
    "san-light x4": (SMALL, 4), "san-light x3": (SMALL, 3), "san-light x2": (SMALL, 2), "srcnn x4": ({"kind": "srcnn"}, 4),
    "san-plain x4": ({"kind": "san-plain", "channels": 16, "convs": 3}, 4), "san-plain x3": ({"kind": "san-plain", "channels": 16, "convs": 2}, 3),
    "san x4": ({"kind": "san", "channels": 16, "groups": 2, "blocks": 2, "reduction": 4}, 4),
    "san x3": ({"kind": "san", "channels": 16, "groups": 1, "blocks": 1, "reduction": 4}, 3),
    "rcan x4": ({"kind": "rcan", "channels": 16, "groups": 2, "blocks": 1, "reduction": 4}, 4),
    "edsr-se x3": ({"kind": "edsr", "channels": 16, "blocks": 2, "attention": "first", "reduction": 4}, 3),
    "edsr-nonlocal x2": ({"kind": "edsr", "channels": 16, "blocks": 2, "non_local": True}, 2),
    "srresnet x4": ({"kind": "srresnet", "channels": 16, "blocks": 2}, 4),
    "nlrn x4": ({"kind": "nlrn", "channels": 8, "inner": 4, "unrollings": 3, "region": 12}, 4),
}


@pytest.fixture(scope="module", params=NETWORKS, ids=str)
def exported(request, tmp_path_factory):
    """(network, ONNX Runtime session, path)"""
    torch.manual_seed(3)
    arguments, scale = NETWORKS[request.param]
    network = stir(build(arguments, scale))
    path = tmp_path_factory.mktemp("onnx") / "m.onnx"
    to_onnx(network, path)
    return network, session(path, 2), path


def test_parity_on_random_and_drawn_tiles_batch_1_and_8(exported, rng):
    network, made, _ = exported
    drawn = to_planes(drawn_image(72, rng))
    for planes in (rng.uniform(0, 255, (1, 3, 72, 72)), rng.uniform(0, 255, (8, 3, 24, 24)), drawn,
                   np.repeat(drawn, 8, 0), rng.uniform(0, 255, (2, 3, 24, 84))):
        assert parity(network, made, planes.astype(np.float32)) < PARITY


def test_a_tile_alone_equals_the_tile_in_a_batch(exported, rng):
    _, made, _ = exported
    tiles = rng.uniform(0, 255, (5, 3, 24, 24)).astype(np.float32)
    together = run(made, tiles)
    for i in range(5):
        assert np.abs(run(made, tiles[i : i + 1]) - together[i]).max() / 255 < 1e-5


def test_flat_tiles_are_finite(exported):
    _, made, _ = exported
    for value in (0, 128, 255):
        assert np.isfinite(run(made, np.full((1, 3, 24, 24), value, np.float32))).all()


def test_the_graph_is_plain_and_free_in_its_sizes(exported):
    network, _, path = exported
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert not {n.op_type for n in model.graph.node} & CONTROL_FLOW
    dims = [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert dims == ["batch", 3, "height", "width"]
    s = network.scale
    dims = [d.dim_param or d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim]
    assert dims == ["batch", 3, f"{s}*height", f"{s}*width"]
    assert {n.domain for n in model.graph.node} <= {""} and "/" not in model.doc_string
    text = path.read_bytes()
    assert b".py" not in text and b"site-packages" not in text


def test_weights_come_back_out_of_the_graph(exported):
    network, _, path = exported
    if any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules()):
        pytest.skip("batch normalization is folded into the convolutions of the graph")
    kind = next(k for k in NETWORKS.values() if build(*k).state_dict().keys() == network.state_dict().keys() and k[1] == network.scale)
    again = build(*kind)
    _, left = load_matching(again, path)
    idle = network.unused_parameters() if hasattr(network, "unused_parameters") else []
    assert left == len(idle)


def test_half_precision_storage_computes_in_float32(tmp_path, rng):
    network = stir(build(SMALL, 2))
    to_onnx(network, tmp_path / "full.onnx")
    to_onnx(network, tmp_path / "half.onnx", fp16_storage=True)
    planes = rng.uniform(0, 255, (1, 3, 24, 24)).astype(np.float32)
    full, half = (run(session(tmp_path / f"{n}.onnx"), planes) for n in ("full", "half"))
    assert half.dtype == np.float32 and np.abs(full - half).max() / 255 < 2e-2
    assert (tmp_path / "half.onnx").stat().st_size < 0.8 * (tmp_path / "full.onnx").stat().st_size
    again = build(SMALL, 2)
    assert load_matching(again, tmp_path / "half.onnx")[1] == 0


def test_in_fp16_the_convolutions_are_float16_and_the_rest_float32(tmp_path, rng):
    network = stir(build(SMALL, 2))
    full = to_onnx(network, tmp_path / "full.onnx")
    half = in_fp16(full)
    onnx.save(half, tmp_path / "half.onnx")
    stored = {t.name: t.data_type for t in half.graph.initializer}
    weights = [node.input[1] for node in half.graph.node if node.op_type == "Conv"]
    assert weights and {stored[name] for name in weights} == {onnx.TensorProto.FLOAT16}
    assert "Softmax" in {node.op_type for node in half.graph.node}, "and it has no casts around it"
    planes = rng.uniform(0, 255, (1, 3, 24, 24)).astype(np.float32)
    one, other = (run(session(tmp_path / f"{n}.onnx"), planes) for n in ("full", "half"))
    assert other.dtype == np.float32 and 0 < np.abs(one - other).max() / 255 < 2e-2
    assert {t.name for t in full.graph.initializer} & set(weights) == set(), "the model itself is left alone"


def test_what_a_residual_network_exports_is_its_detail(tmp_path, rng):
    network = stir(build(SMALL, 2))
    to_onnx(network, tmp_path / "m.onnx")
    made = session(tmp_path / "m.onnx")
    planes = rng.uniform(0, 255, (1, 3, 24, 24)).astype(np.float32)
    (detail,) = made.run(["detail"], {"lr": planes})
    with torch.inference_mode():
        expected = (network.core(torch.from_numpy(planes)) - network.skip(torch.from_numpy(planes))).numpy()
    assert np.abs(detail - expected).max() / 255 < PARITY and np.abs(detail).mean() < np.abs(run(made, planes)).mean()


def test_the_command_exports_an_official_checkpoint(tmp_path, capsys):
    network = stir(build({"kind": "san", "channels": 16, "groups": 1, "blocks": 1, "reduction": 4}, 2))
    torch.save(network.state_dict(), tmp_path / "authors.pt")
    export.main(["--official", str(tmp_path / "authors.pt"), "--scale", "2", "--out", str(tmp_path / "san" / "x2.onnx")])
    planes = np.full((1, 3, 24, 24), 99, np.float32)
    assert parity(network, session(tmp_path / "san" / "x2.onnx"), planes) < PARITY
    assert sha256(tmp_path / "san" / "x2.onnx") in capsys.readouterr().out
