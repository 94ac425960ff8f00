"""A whole image through a network that takes tiles, as the service does it, to measure what tiling costs.

The image is mirrored by one halo at its borders, and tiles of one shape cover what results in even steps, the outer
ones flush with it. Neighbors overlap by at least twice the halo and are cross-faded linearly over `halo` pixels around
the middle of their overlap, so that what a tile says within half a halo of its inner edge is never used. An image
smaller than the tile is mirrored further at the bottom and right.
"""
from math import ceil

import numpy as np


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
    """Wrap `upscale` (B, 3, tile, tile) -> (B, 3, s*tile, s*tile) into one for whole images (1, 3, H, W)."""

    def whole(planes):
        _, _, h, w = planes.shape
        rows, columns = ([start + halo for start in starts(length, tile, halo)] for length in (h, w))
        down, across = (weights_along(v, tile, halo, scale) for v in (rows, columns))
        places = [(i, j) for i in range(len(rows)) for j in range(len(columns))]
        height, width = max(tile, h + 2 * halo), max(tile, w + 2 * halo)
        planes = mirrored(planes, halo, height, width)
        total = np.zeros((3, height * scale, width * scale))
        for first in range(0, len(places), batch):
            some = places[first : first + batch]
            cut = [planes[:, :, rows[i] : rows[i] + tile, columns[j] : columns[j] + tile] for i, j in some]
            for (i, j), sr in zip(some, upscale(np.concatenate(cut))):
                y, x = rows[i] * scale, columns[j] * scale
                total[:, y : y + tile * scale, x : x + tile * scale] += sr * np.outer(down[i], across[j])
        inside = total[:, halo * scale : (halo + h) * scale, halo * scale : (halo + w) * scale]
        return inside[None].astype(np.float32)

    return whole


def least(height, width, sides, halo):
    """The one of `sides` whose tiles compute the fewest pixels of such an image; of equals the largest."""
    return min(sides, key=lambda side: (len(starts(height, side, halo)) * len(starts(width, side, halo)) * side**2, -side))


def served(upscale, scale, sides, halo):
    """As `tiled`, each image in tiles of the side that computes least."""

    def whole(planes):
        return tiled(upscale, scale, least(*planes.shape[2:], sides, halo), halo)(planes)

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
