"""Figures of one image without a reference, and how two lists of figures go together.

NIQE (Mittal et al., IEEE Signal Processing Letters 2013) is that of scikit-video's maintained fork, BSD-licensed and
made of NumPy and SciPy alone, with its own model of pristine images: values are for comparing within one table, lower is
more natural, and are not those of MATLAB's model. It describes an image by its patches of 96 x 96; an image with fewer
than three to a side is skipped, since the statistics of four patches are noise (of Set5, all but one image).
"""
import numpy as np
from scipy.ndimage import uniform_filter
from scipy.stats import rankdata

from .metrics import luma

WINDOW = 7
NIQE_SIDE = 3 * 96
RESAMPLES = 5000


def niqe(image, border=4):
    """NIQE of a uint8 RGB image without its border, or None where it is too small."""
    plane = luma(image)[border:-border, border:-border]
    if min(plane.shape) < NIQE_SIDE:
        return None
    from skvideo.measure import niqe as measured

    return float(measured(plane)[0])


def texture(image):
    """Mean over the image of luma's standard deviation in 7x7 windows, in levels: 0 for a flat image."""
    plane = luma(image)
    mean = uniform_filter(plane, WINDOW)
    return float(np.sqrt(np.maximum(uniform_filter(plane * plane, WINDOW) - mean * mean, 0)).mean())


def _resamples(count, seed):
    """(RESAMPLES, count) indices, with replacement."""
    return np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))


def _interval(figures):
    """The middle 95 % of the resamples' figures; those without one are left out."""
    found = figures[np.isfinite(figures)]
    return tuple(float(v) for v in np.percentile(found, (2.5, 97.5))) if len(found) else (np.nan, np.nan)


def _pearson(x, y):
    """Along the last axis; not a number where a row is constant."""
    x, y = (v - v.mean(-1, keepdims=True) for v in (x, y))
    spread = np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    return np.where(spread > 1e-12, (x * y).sum(-1) / np.maximum(spread, 1e-12), np.nan)


def mean_with_interval(values, seed=0):
    """(mean, (low, high)) of paired differences, one for each image; the interval is the bootstrap's, 95 %."""
    values = np.asarray(values, float)
    return float(values.mean()), _interval(values[_resamples(len(values), seed)].mean(1))


def correlation(x, y, seed=0):
    """{"pearson": (r, (low, high)), "spearman": (rho, (low, high))} over paired figures, at least four of them, with the
    bootstrap's 95 % interval; not a number where either list is constant."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(x) < 4 or len(x) != len(y):
        raise ValueError(f"{len(x)} and {len(y)} figures: at least four pairs are needed")
    at = _resamples(len(x), seed)
    a, b = x[at], y[at]
    return {"pearson": (float(_pearson(x, y)), _interval(_pearson(a, b))),
            "spearman": (float(_pearson(rankdata(x), rankdata(y))), _interval(_pearson(rankdata(a, axis=1), rankdata(b, axis=1))))}
