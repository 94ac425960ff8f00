"""REAL, the random degradation, and the images that are drawn by code."""
import numpy as np
import pytest
from conftest import drawn_image
from PIL import Image

from sr import real
from sr.data import Crops
from sr.drawing import Drawings
from sr.matlab import imresize


def differences(a, b):
    return np.abs(np.asarray(a).astype(int) - np.asarray(b).astype(int))


@pytest.mark.parametrize("scale", (2, 3, 4))
def test_equal_seeds_give_equal_degradations(rng, scale):
    hr = drawn_image(48, rng)
    made = [[real.degrade_real(hr, scale, np.random.default_rng(seed)) for seed in range(20)] for _ in range(2)]
    assert all(lr.shape == (48 // scale, 48 // scale, 3) and lr.dtype == np.uint8 for lr in made[0])
    assert all(np.array_equal(a, b) for a, b in zip(*made))
    assert len({lr.tobytes() for lr in made[0]}) > 15


def test_the_shares_of_the_reductions_are_whole():
    assert sum(share for _, _, share in real.REDUCTIONS.values()) == pytest.approx(1)


def test_every_reduction_keeps_its_place(rng):
    # A ramp across: each kernel's result is that of bicubic, so no reduction moves the image.
    ramp = np.broadcast_to(np.arange(96, dtype=np.uint8)[None, :, None] * 2, (96, 96, 3)).copy()
    wanted = imresize(ramp, 1 / 4)
    for kind in real.REDUCTIONS:
        got = np.asarray(real.reduce(Image.fromarray(ramp), 4, kind))
        assert differences(got, wanted)[3:-3, 3:-3].max() <= 1, kind
    # On detail the kernels differ.
    image = Image.fromarray(drawn_image(96, rng))
    assert len({real.reduce(image, 4, kind).tobytes() for kind in real.REDUCTIONS}) == len(real.REDUCTIONS)


def test_compression_loses_more_at_lower_quality(rng):
    image = Image.fromarray(drawn_image(64, rng))
    for through in (lambda q: real.jpeg(image, q, True), lambda q: real.webp(image, q)):
        low, high = (differences(through(q), image).mean() for q in (25, 95))
        assert low > high > 0
    assert differences(real.jpeg(image, 95, True), image).mean() > differences(real.jpeg(image, 95, False), image).mean()


def test_a_share_is_left_clean(monkeypatch, rng):
    hr = drawn_image(48, rng)
    monkeypatch.setattr(real, "CLEAN", 1.0)
    kinds = {np.asarray(real.reduce(Image.fromarray(hr), 4, kind)).tobytes() for kind in real.REDUCTIONS}
    assert all(real.degrade_real(hr, 4, rng).tobytes() in kinds for _ in range(20))


def test_real_patches_lie_over_their_high_resolution(tmp_path, rng):
    for i in range(2):
        Image.fromarray(drawn_image(160, rng)).save(tmp_path / f"{i}.png")
    crops = Crops(tmp_path, 4, "REAL")
    low, high = crops.batch(rng, 40, 16, 1)
    assert low.shape == (40, 3, 16, 16) and high.shape == (40, 3, 64, 64)
    errors, shifted = [], []
    for lr, hr in zip(low.numpy(), high.numpy()):
        area = hr.reshape(3, 16, 4, 16, 4).mean((2, 4))
        errors.append(np.abs(lr - area).mean())
        shifted.append(np.abs(lr[:, :, 1:] - area[:, :, :-1]).mean())
    assert np.mean(errors) < 0.75 * np.mean(shifted)


def test_drawings_of_every_kind_fill_their_size(rng):
    drawings = Drawings()
    for kind, _ in drawings.kinds:
        drawings.kinds = ((kind, 1.0),)
        made = [drawings.draw(rng, 96, 4)[0] for _ in range(6)]
        assert all(hr.shape == (96, 96, 3) and hr.dtype == np.uint8 for hr in made)
        assert max(hr.std() for hr in made) > 5, kind.__name__


def test_a_share_of_documents_is_black_and_white_alone(tmp_path, rng):
    Image.fromarray(drawn_image(160, rng)).save(tmp_path / "a.png")
    crops = Crops(tmp_path, 4)
    low, high = crops.batch(rng, 100, 16, 1, drawn=1.0)
    bilevel = [i for i, lr in enumerate(low.numpy()) if set(np.unique(lr)) == {0.0, 255.0}]
    assert 3 <= len(bilevel) <= 60
    assert any(len(np.unique(high[i].numpy())) > 10 for i in bilevel), "the target keeps its smooth edges"


def test_flat_and_drawn_are_shares_of_one_batch(tmp_path, rng):
    Image.fromarray(drawn_image(160, rng)).save(tmp_path / "a.png")
    low, _ = Crops(tmp_path, 4).batch(rng, 60, 16, 1, flat=0.5, drawn=0.5)
    assert 15 < int((low.flatten(2).std(2).amax(1) == 0).sum()) < 50
