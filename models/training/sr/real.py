"""REAL: the random degradation of what people send, drawn anew for each patch. models/README.md argues its shares.

In this order: blur before the reduction (a share), reduction by one of several kernels, blur after it (a share), sensor
noise (a share), then JPEG, JPEG twice or lossy WebP; a share stays as the reduction left it. All of it is drawn from the
generator that the caller passes, so one seed gives one sequence.
"""
import io

import numpy as np
from PIL import Image, ImageFilter

# Reductions and their shares: "x" has an antialiasing kernel as wide as the reduction, "x point" samples at the centers.
REDUCTIONS = {
    "bicubic": (Image.Resampling.BICUBIC, True, 0.62),
    "lanczos": (Image.Resampling.LANCZOS, True, 0.14),
    "area": (Image.Resampling.BOX, True, 0.10),
    "bilinear": (Image.Resampling.BILINEAR, True, 0.06),
    "bicubic point": (Image.Resampling.BICUBIC, False, 0.04),
    "bilinear point": (Image.Resampling.BILINEAR, False, 0.04),
}
CLEAN = 0.10  # neither blurred, nor noisy, nor compressed
BLUR_BEFORE, BLUR_AFTER = 0.06, 0.05
BLUR_SIGMA = (0.2, 0.9)  # in LR pixels; mild ones more often than strong ones, as with noise
NOISE, NOISE_LEVELS = 0.12, 8.0
WEBP, TWICE = 0.12, 0.12
QUALITY = (25, 98)
SUBSAMPLED = 0.7  # share of 4:2:0, the default of most encoders; the rest is 4:4:4
MARGIN = 16  # LR pixels more than the patch, so that the 8x8 (16x16 with 4:2:0) grid lies anywhere in it


def reduce(hr, scale, kind):
    """uint8 image (PIL) with sides that are multiples of `scale` -> its reduction by REDUCTIONS[kind]."""
    resampling, antialias, _ = REDUCTIONS[kind]
    size = (hr.width // scale, hr.height // scale)
    if antialias:
        return hr.resize(size, resampling)
    return hr.transform(size, Image.Transform.AFFINE, (scale, 0, 0, 0, scale, 0), resampling)


def jpeg(image, quality, subsampled):
    """Through a JPEG of `quality`, 4:2:0 if `subsampled`, else 4:4:4."""
    return _through(image, format="JPEG", quality=quality, subsampling=2 if subsampled else 0)


def webp(image, quality):
    """Through a lossy WebP of `quality` (always 4:2:0)."""
    return _through(image, format="WEBP", quality=quality, method=2)


def _through(image, **options):
    file = io.BytesIO()
    image.save(file, **options)
    with Image.open(file) as decoded:
        return decoded.convert("RGB")


def _blur(rng, scale):
    """A Gaussian filter of a random width, for an image `scale` times as large as LR."""
    low, high = BLUR_SIGMA
    return ImageFilter.GaussianBlur(scale * (low + (high - low) * rng.random() ** 2))


def _noise(image, rng):
    """Gaussian, of a random strength, with a random share of it common to the three channels, as luma noise is."""
    pixels = np.asarray(image, dtype=np.float32)
    sigma, common = NOISE_LEVELS * rng.random() ** 2, rng.random()
    gray = rng.standard_normal(pixels.shape[:2], dtype=np.float32)[..., None]
    colors = rng.standard_normal(pixels.shape, dtype=np.float32)
    noise = sigma * (np.sqrt(common) * gray + np.sqrt(1 - common) * colors)
    return Image.fromarray(np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8))


def _compress(image, rng):
    quality = int(rng.integers(QUALITY[0], QUALITY[1] + 1))
    if rng.random() < WEBP:
        return webp(image, quality)
    image = jpeg(image, quality, rng.random() < SUBSAMPLED)
    if rng.random() < TWICE:
        # The second save of an image that was cut or reposted: its grid lies elsewhere.
        y, x = (int(v) for v in rng.integers(0, 8, 2))
        inner = jpeg(image.crop((x, y, image.width, image.height)), int(rng.integers(60, 96)), rng.random() < SUBSAMPLED)
        image.paste(inner, (x, y))
    return image


def degrade_real(hr, scale, rng):
    """uint8 (H, W, 3) with H, W multiples of `scale` -> uint8 (H/scale, W/scale, 3), by the random generator `rng`."""
    names = list(REDUCTIONS)
    kind = names[int(rng.choice(len(names), p=[share for _, _, share in REDUCTIONS.values()]))]
    clean = rng.random() < CLEAN
    image = Image.fromarray(hr)
    if not clean and rng.random() < BLUR_BEFORE:
        image = image.filter(_blur(rng, scale))
    image = reduce(image, scale, kind)
    if clean:
        return np.asarray(image)
    if rng.random() < BLUR_AFTER:
        image = image.filter(_blur(rng, 1))
    if rng.random() < NOISE:
        image = _noise(image, rng)
    return np.asarray(_compress(image, rng))
