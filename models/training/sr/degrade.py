"""How a low-resolution image is made from a high-resolution one.

BI: MATLAB's antialiased bicubic, rounded to 8 bits. BD: Gaussian blur (7 x 7, sigma 1.6, mirrored border), then every
s-th pixel, the one at the middle of its s x s block (upper left of it for even s); rounded to 8 bits. Both are fixed:
one LR for one HR. REAL is random and made anew for each patch; sr/real.py has its distribution.
"""
import numpy as np
from scipy.ndimage import correlate1d

from .matlab import imresize, round8

BD_SIGMA = 1.6
BD_RADIUS = 3


def bicubic(hr, scale):
    """BI: uint8 (H, W, 3) with H, W multiples of `scale` -> uint8 (H/scale, W/scale, 3)."""
    return imresize(hr, 1 / scale)


def blur_down(hr, scale):
    """BD: uint8 (H, W, 3) with H, W multiples of `scale` -> uint8 (H/scale, W/scale, 3)."""
    kernel = np.exp(-np.arange(-BD_RADIUS, BD_RADIUS + 1) ** 2 / (2 * BD_SIGMA**2))
    kernel /= kernel.sum()
    soft = correlate1d(correlate1d(hr.astype(np.float64), kernel, 0, mode="reflect"), kernel, 1, mode="reflect")
    first = (scale - 1) // 2
    return round8(soft[first::scale, first::scale]).astype(np.uint8)


FIXED = {"BI": bicubic, "BD": blur_down}


def degrade(hr, scale, kind):
    """Apply the fixed degradation `kind` ("BI" or "BD")."""
    if kind not in FIXED:
        raise ValueError(f"degradation {kind!r}: expected one of {', '.join(FIXED)}")
    return FIXED[kind](hr, scale)
