"""Where the tests find the package and the borrowed data; a test that needs data is skipped where there is none."""
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

TRAINING = Path(__file__).resolve().parents[1]
MODELS = TRAINING.parent
sys.path.insert(0, str(TRAINING))

from sr.data import data_root  # noqa: E402


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(7)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def data():
    """Folder with train/ and test/."""
    root = data_root()
    if not (root / "test" / "Set5").is_dir():
        pytest.skip(f"no data: {root.name}/test/Set5 not found; set SAN_DATA")
    return root


def stir(network):
    """Move every parameter off its initial value, zeros included, so that no path of the graph is idle."""
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn_like(p) * 0.02)
    return network.eval()


def drawn_image(size, rng):
    """uint8 (size, size, 3): gradients, a hairline grid, discs and a little noise, drawn here."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float64)
    img = np.stack([255 * x / size, 255 * y / size, 128 + 100 * np.sin(x / 5) * np.cos(y / 7)], 2)
    img[(y % 17 < 1) | (x % 23 < 1)] = 20
    for _ in range(12):
        cy, cx, r = rng.uniform(0, size, 3) * (1, 1, 0.15)
        img[(y - cy) ** 2 + (x - cx) ** 2 < r * r] = rng.uniform(0, 255, 3)
    return np.clip(img + rng.normal(0, 3, img.shape), 0, 255).astype(np.uint8)
