"""The photographs that are sent, the same every time, as JPEG files."""

import io
from pathlib import Path

from PIL import Image, ImageOps

ROOT = Path(__file__).parents[2]
TESTS = ROOT.parent / "shared/data/test"
# Like those of benches/load, none larger than a photograph of BSD100, so that a peer's memory is not what is measured.
MIXED = [(320, 240), (96, 96), (481, 321), (200, 150), (400, 300), (128, 192), (240, 160), (257, 301)]
EQUAL = [(240, 160)] * 8
LARGE = [(1024, 768)]


def sources():
    """Photographs of the test sets where they are, else the sample of this repository, and what they are."""
    found = sorted((TESTS / "BSD100/HR").glob("*.png"))
    if found:
        return found, "photographs of BSD100"
    return [ROOT / "docs/sample/astronaut.jpg"], "the sample photograph"


def photos(sizes):
    """(size, file) of each, cropped and resized from a photograph of its own where there are enough."""
    paths, _ = sources()
    made = []
    for number, size in enumerate(sizes):
        photo = Image.open(paths[number % len(paths)]).convert("RGB")
        file = io.BytesIO()
        ImageOps.fit(photo, size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=93, subsampling=0)
        made.append((size, file.getvalue()))
    return made
