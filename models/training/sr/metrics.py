"""PSNR and SSIM on the Y channel, the way the papers count them.

Y is BT.601 studio luma of the rounded 8-bit image, not rounded itself, in [16, 235]; `border` pixels (the scale)
are shaved off each side. SSIM: Gaussian window 11x11, sigma 1.5, valid part only, L = 255.
"""
import numpy as np
from scipy.ndimage import correlate1d

_window = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
_window /= _window.sum()


def luma(img):
    """uint8 RGB (H, W, 3) -> float64 (H, W)."""
    return 16 + img.astype(np.float64) @ (np.array([65.481, 128.553, 24.966]) / 255)


def psnr(a, b):
    """dB between two float planes in 0..255; infinite for equal ones."""
    error = np.mean((a - b) ** 2)
    return np.inf if error == 0 else 10 * np.log10(255**2 / error)


def _blur(x):
    return correlate1d(correlate1d(x, _window, 0), _window, 1)[5:-5, 5:-5]


def ssim(a, b):
    """Mean structural similarity of two float planes in 0..255."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ma, mb = _blur(a), _blur(b)
    va, vb, vab = _blur(a * a) - ma * ma, _blur(b * b) - mb * mb, _blur(a * b) - ma * mb
    return float(np.mean(((2 * ma * mb + c1) * (2 * vab + c2)) / ((ma * ma + mb * mb + c1) * (va + vb + c2))))


def psnr_ssim_y(hr, sr, border):
    """(PSNR in dB, SSIM) of two uint8 RGB images of equal shape."""
    a, b = (luma(v)[border:-border, border:-border] for v in (hr, sr))
    return float(psnr(a, b)), ssim(a, b)
