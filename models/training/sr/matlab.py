"""MATLAB's `imresize` (bicubic, antialiased, 8 bits in and out), as the field's low-resolution images are made.

Each axis is one matrix: (out, in) with the kernel's weights, symmetric at the border. Rows go first and the result
between the two passes is rounded to 8 bits, as MATLAB does for uint8; a test holds it equal to the published files.
"""
from functools import lru_cache
from math import ceil

import numpy as np


def cubic(x):
    """Keys' cubic kernel with a = -1/2; x in pixels, any shape."""
    a = np.abs(x)
    near = (1.5 * a - 2.5) * a * a + 1
    far = ((-0.5 * a + 2.5) * a - 4) * a + 2
    return np.where(a <= 1, near, np.where(a <= 2, far, 0.0))


@lru_cache(maxsize=64)
def resize_matrix(size_in, size_out, scale):
    """The (size_out, size_in) float64 matrix that resamples one axis by `scale` (output/input)."""
    shrink = min(scale, 1.0)
    reach = 2.0 / shrink
    center = (np.arange(size_out) + 0.5) / scale - 0.5
    first = np.floor(center - reach).astype(int)
    taps = first[:, None] + np.arange(ceil(2 * reach) + 2)
    weight = cubic((center[:, None] - taps) * shrink)
    weight /= weight.sum(1, keepdims=True)
    folded = np.mod(taps, 2 * size_in)
    folded = np.where(folded < size_in, folded, 2 * size_in - 1 - folded)
    matrix = np.zeros((size_out, size_in))
    np.add.at(matrix, (np.arange(size_out)[:, None], folded), weight)
    return matrix


def round8(x):
    """Round half up and clip to 0..255, as a cast to uint8 does in MATLAB."""
    # The nudge undoes float error of sums that are exactly one half in rational arithmetic.
    return np.clip(np.floor(x + 0.5 + 1e-9), 0, 255)


def imresize(img, scale):
    """uint8 (H, W, C) -> uint8 (ceil(H*scale), ceil(W*scale), C)."""
    h, w, c = img.shape
    rows = resize_matrix(h, ceil(h * scale), scale)
    cols = resize_matrix(w, ceil(w * scale), scale)
    between = round8(rows @ img.reshape(h, w * c).astype(np.float64)).reshape(-1, w, c)
    return round8(np.einsum("ow,hwc->hoc", cols, between, optimize=True)).astype(np.uint8)


def crop_to_multiple(img, factor):
    """(H, W, C) cut at the bottom and right to a multiple of `factor`."""
    return img[: img.shape[0] // factor * factor, : img.shape[1] // factor * factor]
