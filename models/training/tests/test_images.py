"""Degradations, metrics, patches."""
import numpy as np
import pytest
import torch
from conftest import drawn_image
from PIL import Image

from sr.data import Crops, crop_to_multiple, data_root, images, read_rgb, test_pairs as pairs
from sr.degrade import bicubic, blur_down, degrade
from sr.matlab import imresize, resize_matrix
from sr.metrics import luma, psnr, psnr_ssim_y
from sr.upsample import BicubicUpsample, phase_weights


def test_imresize_by_hand():
    # Halving: the kernel stretched to 8 taps at distances 1/4, 3/4, 5/4, 7/4 each side; -3, -9, 29, 111 of 256.
    weights = resize_matrix(12, 6, 0.5)
    assert np.allclose(weights[2, 1:9] * 256, [-3, -9, 29, 111, 111, 29, -9, -3])
    assert np.allclose(weights.sum(1), 1)
    flat = np.full((12, 8, 3), 77, np.uint8)
    assert (imresize(flat, 1 / 4) == 77).all() and imresize(flat, 1 / 4).shape == (3, 2, 3)


def test_imresize_reproduces_the_published_files(data):
    for name in ("Set5", "Set14", "BSD100"):
        for scale in (2, 3, 4):
            folder = data / "test" / name / "LR_bicubic" / f"X{scale}"
            if not folder.is_dir():
                continue
            for path in images(data / "test" / name / "HR")[:14]:
                made = bicubic(crop_to_multiple(read_rgb(path), scale), scale)
                assert np.array_equal(made, read_rgb(folder / f"{path.stem}x{scale}.png")), f"{name} {path.name} x{scale}"


def test_metrics_reproduce_the_published_figures_of_rcan(data):
    published = {2: (38.27, 0.9614), 3: (34.74, 0.9299), 4: (32.63, 0.9002)}
    for scale, wanted in published.items():
        folder = data / "golden" / "rcan-set5"
        outputs = [p for p in images(folder) if f"x{scale}" in str(p.relative_to(folder)).lower()]
        assert len(outputs) == 5
        figures = [psnr_ssim_y(hr, read_rgb(sr), scale)
                   for (_, _, hr), sr in zip(pairs("Set5", scale, root=data), outputs)]
        mean = np.mean(figures, axis=0)
        assert abs(mean[0] - wanted[0]) < 0.0051 and abs(mean[1] - wanted[1]) < 0.000051


def test_luma_and_psnr():
    assert np.allclose(luma(np.array([[[255, 255, 255], [0, 0, 0]]], np.uint8)), [[235, 16]])
    assert psnr(np.zeros((2, 2)), np.zeros((2, 2))) == np.inf
    assert np.isclose(psnr(np.zeros((2, 2)), np.full((2, 2), 255.0)), 0)


def test_blur_down_is_softer_than_bicubic_and_keeps_flat_color(rng):
    hr = drawn_image(96, rng)
    bd, bi = blur_down(hr, 3), bicubic(hr, 3)
    assert bd.shape == bi.shape == (32, 32, 3)
    assert np.abs(np.diff(bd.astype(int), axis=0)).mean() < np.abs(np.diff(bi.astype(int), axis=0)).mean()
    assert (blur_down(np.full((9, 9, 3), 200, np.uint8), 3) == 200).all()
    with pytest.raises(ValueError, match="BX"):
        degrade(hr, 3, "BX")


def test_bicubic_in_the_graph_equals_the_resampling_matrix(rng):
    import torch

    img = rng.uniform(0, 255, (1, 3, 9, 8)).astype(np.float32)
    for scale in (2, 3, 4):
        assert np.allclose(phase_weights(scale).sum(1), 1)
        got = BicubicUpsample(scale)(torch.from_numpy(img)).numpy()
        rows, cols = (resize_matrix(n, n * scale, float(scale)) for n in (9, 8))
        wanted = rows @ img.astype(np.float64) @ cols.T
        inner = np.s_[:, :, 2 * scale : -2 * scale, 2 * scale : -2 * scale]  # the borders differ: edge, not mirror
        assert np.allclose(got[inner], wanted[inner], atol=1e-3)


@pytest.fixture
def crops(tmp_path, rng):
    for i in range(3):
        Image.fromarray(drawn_image(98, rng)).save(tmp_path / f"{i}.png")
    return Crops(tmp_path, 4, cache=tmp_path / "cache")


def test_patches_match_their_low_resolution(crops, rng):
    low, high = crops.batch(rng, 6, 16, 2)
    assert low.shape == (6, 3, 16, 16) and high.shape == (6, 3, 64, 64)
    for lr, hr in zip(low.numpy(), high.numpy()):
        hr = hr.transpose(1, 2, 0).astype(np.uint8)
        # Equal but for the border; a turn swaps the order of the passes, between which MATLAB rounds and clips.
        again = bicubic(hr, 4), bicubic(hr.transpose(1, 0, 2), 4).transpose(1, 0, 2)
        assert min(np.abs(a - lr.transpose(1, 2, 0))[3:-3, 3:-3].max() for a in again) == 0


def test_a_share_of_the_patches_is_of_one_color_in_both(crops, rng):
    def flat(share):
        low, high = crops.batch(rng, 100, 16, 1, share)
        one = low.flatten(2).std(2).amax(1) == 0
        assert torch.equal(high[one], low[one][:, :, :1, :1].expand_as(high[one]))
        return int(one.sum())

    assert flat(0.0) < 10 < flat(0.3) < 60
    assert flat(1.0) == 100


def test_the_cache_gives_the_same_images(crops, tmp_path):
    again = Crops(tmp_path, 4, cache=tmp_path / "cache")
    assert all(np.array_equal(a, b) for a, b in zip(crops.lr, again.lr))
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_patches_prefer_detail(tmp_path):
    img = np.zeros((256, 256, 3), np.uint8)
    img[:, 128:] = np.random.default_rng(1).integers(0, 255, (256, 128, 3))
    Image.fromarray(img).save(tmp_path / "half.png")
    half = Crops(tmp_path, 4)

    def busy(candidates):
        low, _ = half.batch(np.random.default_rng(2), 200, 16, candidates)
        return float((low.flatten(1).std(1) > 20).float().mean())

    assert busy(4) > busy(1) + 0.1


def test_a_missing_folder_names_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="SAN_DATA"):
        Crops(tmp_path, 4)


def test_the_data_folder_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("SAN_DATA", str(tmp_path))
    assert data_root() == tmp_path
