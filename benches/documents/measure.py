"""How near an upscaled card is to the true one, in luma, a border of `scale` pixels left out."""

import numpy as np
from PIL import Image, ImageFilter

# Part of full ink from which a pixel of the true card counts as drawn.
DRAWN = 0.02


def luma(image, shave=0):
    values = np.asarray(image.convert("L"), np.float64)
    return values[shave:values.shape[0] - shave, shave:values.shape[1] - shave]


def likeness(image, true, scale, tone):
    """PSNR in dB, SSIM, and stray ink: the most, as part of full ink, that lies more than a pixel of the small image away
    from every true stroke, outside of the screentone (the rectangle `tone`) and between its dots."""
    x, y = luma(image, scale), luma(true, scale)
    psnr = 10 * np.log10(255**2 / np.mean((x - y) ** 2))
    full = 255 - y.min()
    drawn = Image.fromarray((luma(true) < 255 - DRAWN * full).astype(np.uint8) * 255)
    beside = np.asarray(drawn.filter(ImageFilter.MaxFilter(2 * scale + 1))) == 0
    stray = np.where(beside, (255 - luma(image)) / full, 0)
    left, top, right, bottom = tone
    dots = stray[top:bottom, left:right].max()
    stray[top:bottom, left:right] = 0
    return psnr, ssim(x, y), stray.max(), dots


def ssim(x, y):
    """Wang et al. 2004: a Gaussian window of 11 pixels, sigma 1.5, where it lies inside the image."""
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()

    def smooth(values):
        for axis in (0, 1):
            length = values.shape[axis] - 10
            values = sum(tap * np.take(values, range(at, at + length), axis) for at, tap in enumerate(taps))
        return values

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = smooth(x), smooth(y)
    vx, vy, vxy = smooth(x * x) - mx * mx, smooth(y * y) - my * my, smooth(x * y) - mx * my
    return np.mean((2 * mx * my + c1) * (2 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2)))
