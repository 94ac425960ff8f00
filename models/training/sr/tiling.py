"""A whole image through a network that takes tiles, as the service does it, to measure what tiling costs.

Tiles are those of `crates/tiling/src/grid.rs`: of all rectangles within a model's bounds, the one that computes least for
the image. The image is mirrored by one halo at its borders, and tiles of one shape cover what results in even steps, the outer
ones flush with it. Neighbors overlap by at least twice the halo and are cross-faded linearly over `halo` pixels around
the middle of their overlap, so that what a tile says within half a halo of its inner edge is never used. An image
smaller than the tile is mirrored further at the bottom and right.
"""
import tomllib
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Bounds:
    """`[tile]` of a model.toml: sides in multiples of `step`, and half the least overlap of two tiles."""

    step: int
    min_side: int
    max_side: int
    max_area: int
    halo: int

    def sides(self):
        """Every side that a tile may have."""
        return range(self.min_side, self.max_side + 1, self.step)

    def problems(self):
        """What is wrong with them, as the service says it (crates/tiling/src/bounds.rs)."""
        if self.step < 4 or self.step % 4:
            return [f"step = {self.step} must be a multiple of 4"]
        found = []
        if not 0 < self.min_side <= self.max_side <= 1024 or self.min_side % self.step or self.max_side % self.step:
            found.append(f"min_side = {self.min_side} and max_side = {self.max_side} must be multiples of step, at most 1024")
        if self.max_area < self.min_side**2:
            found.append(f"max_area = {self.max_area} must hold a tile of min_side squared")
        if self.halo < 2 or self.halo % 2 or self.halo > self.min_side // 4:
            found.append(f"halo = {self.halo} must be even, at least 2 and at most a quarter of min_side")
        return found


def bounds_of(folder):
    """The bounds of a model's folder."""
    with open(Path(folder) / "model.toml", "rb") as file:
        return Bounds(**tomllib.load(file)["tile"])


def starts(length, tile, halo):
    """First LR pixel of each tile along an axis, from -halo; neighbors overlap by at least 2*halo."""
    count = ceil(length / (tile - 2 * halo))
    return [i * (length + 2 * halo - tile) // max(1, count - 1) - halo for i in range(count)]


def weights_along(places, tile, halo, scale):
    """One array of tile*scale weights a tile, of which those over the image sum to 1."""
    rise = (np.arange(halo * scale) + 0.5) / (halo * scale)
    made = [np.ones(tile * scale) for _ in places]
    for i in range(len(places) - 1):
        fade = (places[i] + places[i + 1] + tile) // 2 - halo // 2
        left, right = (fade - places[i]) * scale, (fade - places[i + 1]) * scale
        made[i][left : left + len(rise)] *= 1 - rise
        made[i][left + len(rise) :] = 0
        made[i + 1][right : right + len(rise)] *= rise
        made[i + 1][:right] = 0
    return made


def mirrored(planes, border, height, width):
    """(1, C, H, W) mirrored, as often as it takes, to (1, C, height, width) with `border` pixels at the top and left."""
    _, _, h, w = planes.shape
    pad = ((0, 0), (0, 0), (border, height - h - border), (border, width - w - border))
    return np.pad(planes, pad, mode="symmetric")


def tiled(upscale, scale, tile, halo, batch=4):
    """Wrap `upscale` (B, 3, *tile) -> (B, 3, s*height, s*width) into one for whole images (1, 3, H, W); `tile` is (height, width)."""
    tall, wide = tile

    def whole(planes):
        _, _, h, w = planes.shape
        rows, columns = ([start + halo for start in starts(length, side, halo)] for length, side in ((h, tall), (w, wide)))
        down, across = weights_along(rows, tall, halo, scale), weights_along(columns, wide, halo, scale)
        places = [(i, j) for i in range(len(rows)) for j in range(len(columns))]
        height, width = max(tall, h + 2 * halo), max(wide, w + 2 * halo)
        planes = mirrored(planes, halo, height, width)
        total = np.zeros((3, height * scale, width * scale))
        for first in range(0, len(places), batch):
            some = places[first : first + batch]
            cut = [planes[:, :, rows[i] : rows[i] + tall, columns[j] : columns[j] + wide] for i, j in some]
            for (i, j), sr in zip(some, upscale(np.concatenate(cut))):
                y, x = rows[i] * scale, columns[j] * scale
                total[:, y : y + tall * scale, x : x + wide * scale] += sr * np.outer(down[i], across[j])
        inside = total[:, halo * scale : (halo + h) * scale, halo * scale : (halo + w) * scale]
        return inside[None].astype(np.float32)

    return whole


def least(height, width, bounds):
    """(height, width) of the tile within `bounds` that computes the fewest pixels of such an image; of such the one of fewest
    tiles, then the one nearest to a square, then the widest."""

    def rank(tile):
        count = ceil(height / (tile[0] - 2 * bounds.halo)) * ceil(width / (tile[1] - 2 * bounds.halo))
        return count * tile[0] * tile[1], count, abs(tile[0] - tile[1]), -tile[1]

    tiles = ((tall, wide) for tall in bounds.sides() for wide in bounds.sides())
    return min((tile for tile in tiles if tile[0] * tile[1] <= bounds.max_area), key=rank)


def served(upscale, scale, bounds):
    """As `tiled`, each image in the tiles that the service cuts."""

    def whole(planes):
        return tiled(upscale, scale, least(*planes.shape[2:], bounds), bounds.halo)(planes)

    return whole


def padded(upscale, scale, multiple):
    """Wrap `upscale` so that any size is mirrored up to a multiple and cut back."""

    def whole(planes):
        _, _, h, w = planes.shape
        full = mirrored(planes, 0, ceil(h / multiple) * multiple, ceil(w / multiple) * multiple)
        return upscale(full)[:, :, : h * scale, : w * scale]

    return whole


def ensembled(upscale):
    """x8 self-ensemble: the mean, in float, over the flips and turns (Timofte et al., CVPR 2016)."""

    def mean(planes):
        total = 0.0
        for turn in range(4):
            for flip in (False, True):
                x = np.rot90(planes, turn, (2, 3))
                x = np.ascontiguousarray(x[..., ::-1] if flip else x)
                y = upscale(x)
                y = y[..., ::-1] if flip else y
                total = total + np.rot90(y, -turn, (2, 3))
        return total / 8

    return mean
