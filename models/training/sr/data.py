"""The images: training crops with patches drawn from them, and the test sets.

All training crops are held in memory as uint8 together with their low-resolution versions, made once and kept as an
.npz beside the run. A patch is drawn with a preference for detail: of a few candidates the one whose low-resolution
gradient is largest, for smooth sky teaches nothing. Then one of the eight flips and turns. With the degradation REAL the
low-resolution patch is made from the high-resolution one as it is drawn.
"""
import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .degrade import degrade
from .drawing import Drawings
from .matlab import crop_to_multiple
from .real import MARGIN, degrade_real

REPOSITORY = Path(__file__).resolve().parents[3]
EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def data_root():
    """Folder with train/ and test/: $SAN_DATA, else ../shared/data beside the repository."""
    return Path(os.environ.get("SAN_DATA") or REPOSITORY.parent / "shared" / "data")


def read_rgb(path):
    """uint8 (H, W, 3)"""
    with Image.open(path) as img:
        return np.asarray(img.convert("RGB"))


def images(folder):
    """Sorted paths of the images under `folder`, at any depth."""
    return sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in EXTENSIONS)


def test_pairs(name, scale, kind="BI", root=None):
    """Yield (file name, LR, HR), uint8, of a test set; HR cropped to a multiple of `scale`.

    The published LR is used where the set brings one, else LR is made (equal to the bit for BI).
    """
    folder = Path(root or data_root()) / "test" / name
    for path in images(folder / "HR"):
        hr = crop_to_multiple(read_rgb(path), scale)
        published = folder / "LR_bicubic" / f"X{scale}" / f"{path.stem}x{scale}{path.suffix}"
        lr = read_rgb(published) if kind == "BI" and published.exists() else degrade(hr, scale, kind)
        yield path.name, lr, hr


def detail_map(lr):
    """Mean absolute gradient per pixel of the luma-like mean, float32 (H, W)."""
    y = lr.astype(np.float32).mean(2)
    return np.abs(np.diff(y, axis=0, append=y[-1:])) + np.abs(np.diff(y, axis=1, append=y[:, -1:]))


class Crops:
    """Training images of one scale and degradation, in memory."""

    def __init__(self, folder, scale, kind="BI", cache=None, limit=None):
        self.scale, self.real = scale, kind == "REAL"
        paths = images(folder)[:limit]
        if not paths:
            raise FileNotFoundError(f"no images under {folder}: set SAN_DATA to the folder that has train/")
        self.hr = [crop_to_multiple(read_rgb(p), scale) for p in paths]
        self.lr = self._low(paths, "BI" if self.real else kind, cache)
        self.drawings = Drawings()
        self.sums = [np.pad(detail_map(lr), ((1, 0), (1, 0))).cumsum(0).cumsum(1) for lr in self.lr]

    def _low(self, paths, kind, cache):
        names = "\n".join(f"{p.name} {p.stat().st_size}" for p in paths)
        tag = hashlib.sha256(names.encode()).hexdigest()[:12]
        file = Path(cache) / f"lr-{kind}-x{self.scale}-{tag}.npz" if cache else None
        if file and file.exists():
            with np.load(file) as stored:
                return [stored[f"a{i}"] for i in range(len(paths))]
        low = [degrade(hr, self.scale, kind) for hr in self.hr]
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(".part.npz")
            np.savez(part, **{f"a{i}": lr for i, lr in enumerate(low)})
            part.replace(file)
        return low

    def _detail(self, i, y, x, size):
        s = self.sums[i]
        return s[y + size, x + size] - s[y, x + size] - s[y + size, x] + s[y, x]

    @staticmethod
    def _patch(image, y, x, size, scale):
        """The square of `size` at (y, x), both in LR pixels, of an image `scale` times as large as LR."""
        return image[y * scale : (y + size) * scale, x * scale : (x + size) * scale]

    def _photograph(self, rng, size, candidates):
        """The (LR, HR) uint8 patch of a training crop."""
        best = None
        for _ in range(candidates):
            i = int(rng.integers(len(self.lr)))
            h, w = self.lr[i].shape[:2]
            y, x = int(rng.integers(h - size + 1)), int(rng.integers(w - size + 1))
            detail = self._detail(i, y, x, size)
            if best is None or detail > best[0]:
                best = (detail, i, y, x)
        _, i, y, x = best
        if self.real:
            return self._real(rng, self.hr[i], y, x, size)
        return self._patch(self.lr[i], y, x, size, 1), self._patch(self.hr[i], y, x, size, self.scale)

    def _real(self, rng, hr, y, x, size):
        """The patch at (y, x) in LR pixels, degraded together with up to MARGIN pixels around it."""
        s, (h, w) = self.scale, (n // self.scale for n in hr.shape[:2])
        top, left = (max(0, p - int(rng.integers(MARGIN + 1))) for p in (y, x))
        bottom, right = (min(n, p + size + int(rng.integers(MARGIN + 1))) for p, n in ((y, h), (x, w)))
        lr = degrade_real(hr[top * s : bottom * s, left * s : right * s], s, rng)
        return self._patch(lr, y - top, x - left, size, 1), self._patch(hr, y, x, size, s)

    def _drawing(self, rng, size):
        """The (LR, HR) uint8 patch of an image drawn by code (sr/drawing.py)."""
        s, side = self.scale, size + (MARGIN if self.real else 8)
        hr, bilevel = self.drawings.draw(rng, side * s, s)
        y, x = (int(v) for v in rng.integers(0, side - size + 1, 2))
        if self.real and not bilevel:
            return self._real(rng, hr, y, x, size)
        lr = degrade(hr, s, "BI")
        if bilevel:
            lr = np.where(lr.mean(2, keepdims=True) < rng.integers(96, 161), 0, 255).astype(np.uint8).repeat(3, 2)
        return self._patch(lr, y, x, size, 1), self._patch(hr, y, x, size, s)

    def batch(self, rng, count, size, candidates, flat=0.0, drawn=0.0):
        """(LR, HR) float32 tensors (count, 3, size, size) and (count, 3, s*size, s*size) in 0..255. A share `flat` of
        the patches holds one color, any of the cube, in both; a share `drawn` is drawn by code."""
        low, high = [], []
        for _ in range(count):
            kind = rng.random()
            if kind < flat:
                color = rng.integers(256, size=3).astype(np.uint8)
                lr, hr = (np.broadcast_to(color, (n, n, 3)) for n in (size, self.scale * size))
            elif kind < flat + drawn:
                lr, hr = self._drawing(rng, size)
            else:
                lr, hr = self._photograph(rng, size, candidates)
            turn = int(rng.integers(8))
            for img, out in ((lr, low), (hr, high)):
                img = np.rot90(img, turn % 4)
                out.append(img[:, ::-1] if turn >= 4 else img)
        return tuple(torch.from_numpy(np.stack(v)).permute(0, 3, 1, 2).float() for v in (low, high))
