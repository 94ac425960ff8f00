"""Tiling and the self-ensemble, with upscalers whose right answer is known."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import drawn_image

from sr.evaluate import evaluate, to_planes, to_uint8
from sr.tiling import Bounds, ensembled, least, mirrored, padded, served, starts, tiled, weights_along
from sr.upsample import BicubicUpsample


def nearest(planes):
    return planes.repeat(2, 2).repeat(2, 3)


@pytest.mark.parametrize("length", [1, 15, 16, 17, 31, 32, 33, 100, 333])
def test_tiles_cover_and_weights_sum_to_one(length):
    places = starts(length, 32, 8)
    assert places[0] == -8 and places[-1] == max(-8, length + 8 - 32)
    assert all(b - a <= 16 for a, b in zip(places, places[1:]))
    total = np.zeros((max(16, length) + 16) * 3)
    for start, weight in zip(places, weights_along(places, 32, 8, 3)):
        total[(start + 8) * 3 : (start + 8 + 32) * 3] += weight
    assert np.allclose(total, 1)


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (32, 32), (50, 77)])
def test_a_local_upscaler_cannot_tell_tiles(size, rng):
    planes = rng.uniform(0, 255, (1, 3, *size)).astype(np.float32)
    assert np.allclose(tiled(nearest, 2, (32, 48), 4)(planes), nearest(planes), atol=1e-3)
    assert np.array_equal(padded(nearest, 2, 16)(planes), nearest(planes))


def test_a_tile_is_never_asked_for_its_own_border():
    """Zeros at the rim of every tile, as a network pads with: no trace of them inside the image or at its border."""

    def rimmed(x):
        out = np.zeros_like(nearest(x))
        out[:, :, 4:-4, 4:-4] = nearest(x)[:, :, 4:-4, 4:-4]
        return out

    planes = np.full((1, 3, 50, 77), 90, np.float32)
    assert np.array_equal(tiled(rimmed, 2, (48, 32), 4)(planes), nearest(planes))


def test_bicubic_in_tiles_equals_bicubic_inside(rng):
    planes = to_planes(drawn_image(80, rng))
    network = BicubicUpsample(2)

    def upscale(x):
        return network(torch.from_numpy(np.ascontiguousarray(x))).numpy()

    inside = np.s_[:, :, 4:-4, 4:-4]  # at its border the network repeats one pixel, tiles see the mirror image
    assert np.allclose(tiled(upscale, 2, (32, 40), 8)(planes)[inside], upscale(planes)[inside], atol=1e-2)


def test_ensemble_of_an_equivariant_upscaler_changes_nothing(rng):
    planes = rng.uniform(0, 255, (1, 3, 6, 9)).astype(np.float32)
    assert np.allclose(ensembled(nearest)(planes), nearest(planes), atol=1e-4)


def test_ensemble_removes_a_bias_to_one_side():
    planes = np.zeros((1, 3, 4, 4), np.float32)

    def slanted(x):
        return nearest(x) + np.linspace(-1, 1, 8, dtype=np.float32)

    assert np.abs(ensembled(slanted)(planes)).max() < 1e-6


def test_mirroring_reaches_many_times_the_size():
    line = np.arange(2.0).reshape(1, 1, 1, 2)
    assert mirrored(line, 1, 9, 8).shape == (1, 1, 9, 8)
    assert mirrored(line, 1, 3, 8)[0, 0, 0].tolist() == [0, 0, 1, 1, 0, 0, 1, 1]


def test_rounding():
    assert to_uint8(np.array([[[-3.0]], [[0.5]], [[254.5]]])).ravel().tolist() == [0, 1, 255]


def test_bicubic_reaches_its_published_figures(data):
    network = BicubicUpsample(4)
    psnr, ssim = evaluate(lambda p: network(torch.from_numpy(p)).numpy(), "Set5", 4, root=data)
    assert abs(psnr - 28.42) < 0.03 and abs(ssim - 0.8104) < 0.001


def test_an_image_takes_the_tile_that_computes_least():
    # As crates/tiling/src/grid/tests.rs has it, which writes width x height.
    bounds = Bounds(step=12, min_side=48, max_side=180, max_area=12_960, halo=4)
    for width, height, tile in [(1, 1, (48, 48)), (41, 40, (48, 60)), (64, 64, (72, 72)), (100, 112, (120, 108)), (128, 192, (72, 144)),
                                (240, 160, (168, 72)), (172, 40, (48, 180)), (173, 40, (48, 96)), (800, 600, (108, 108)), (2000, 2000, (108, 120))]:
        assert least(height, width, bounds) == tile, (width, height)
    planes = np.random.default_rng(5).uniform(0, 255, (1, 3, 64, 90)).astype(np.float32)
    seen = []

    def nearest(tiles):
        seen.append(tiles.shape[2:])
        return tiles.repeat(2, 2).repeat(2, 3)

    assert np.allclose(served(nearest, 2, bounds)(planes), nearest(planes), atol=1e-3)
    assert seen[:-1] == [(72, 108)]


def test_bounds_have_both_sides():
    bounds = Bounds(step=12, min_side=48, max_side=180, max_area=12_960, halo=4)
    assert bounds.problems() == []
    for change in ({"step": 6}, {"step": 0}, {"min_side": 50}, {"max_side": 36}, {"max_side": 1032}, {"max_area": 2303}, {"halo": 3}, {"halo": 14}):
        assert replace(bounds, **change).problems(), change
    for change in ({"halo": 12}, {"max_area": 2304}, {"max_side": 48}, {"max_side": 1020}):
        assert replace(bounds, **change).problems() == [], change
