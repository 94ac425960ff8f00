"""Draws docs/sample/compare.png (the README's image) and docs/sample/sheet.png: what people send, upscaled x4 by this service.

    python3 -m venv .cache/sheet && .cache/sheet/bin/pip install -r docs/sample/requirements.txt
    cargo build --release && .cache/sheet/bin/python docs/sample/sheet.py target/release/san-upscaler

Eight inputs: a portrait, foliage, text in a JPEG, a screenshot, a scanned card, a 1-bit page, a flat drawing, a logo with a
soft shadow. The photographs come with scikit-image and scikit-learn (docs/sample/README.md); the rest is drawn here, in
DejaVu (fonts-dejavu-core). Columns: the input in large pixels, bicubic, san-light, and the answer of `model=auto`.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).resolve().parent
SCALE = 4
SIDE = 80  # LR pixels of a cell
COLUMNS = ("input", "bicubic", "san-light", "auto")
FONT = "DejaVuSans.ttf"


def text(image, at, words, size, ink):
    ImageDraw.Draw(image).text(at, words, ink, ImageFont.truetype(FONT, size))


def photograph(pixels, box, width):
    """A part of a photograph, reduced to `width` LR pixels."""
    part = Image.fromarray(pixels).convert("RGB").crop(box)
    return part.resize((width, round(width * part.height / part.width)), Image.Resampling.LANCZOS)


def page(ground, ink):
    image = Image.new("RGB", (SIDE * SCALE,) * 2, ground)
    for i, (words, size) in enumerate((("Aozora Printing", 34), ("Offset and letterpress", 25), ("since 1957, lot 59-Q7", 25),
                                       ("1-23 Kanda Jimbocho", 28), ("Tokyo 101-0051", 28), ("03-5555-0142", 40))):
        text(image, (12, 8 + 52 * i), words, size, ink)
    return image


def screenshot():
    """Drawn at LR as a screen draws it: hairlines of one pixel, white on navy, gray on white."""
    image = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, SIDE, 17), (0, 0, 96))
    text(image, (4, 3), "Settings", 10, "white")
    for y, words in ((24, "Language"), (42, "Time zone"), (60, "Sign out")):
        text(image, (5, y), words, 9, (40, 40, 40))
        draw.line((0, y + 15, SIDE, y + 15), (205, 205, 205))
        draw.rounded_rectangle((60, y, 75, y + 10), 4, outline=(150, 150, 150))
    return image


def drawing():
    image = Image.new("RGB", (SIDE * SCALE,) * 2, (250, 222, 190))
    draw = ImageDraw.Draw(image)
    draw.ellipse((40, 30, 280, 290), (255, 240, 220), (30, 20, 30), 6)
    for x in (100, 190):
        draw.ellipse((x, 110, x + 40, 170), (60, 110, 200), (30, 20, 30), 5)
        draw.ellipse((x + 22, 118, x + 34, 132), "white")
    draw.arc((110, 170, 210, 240), 20, 160, (30, 20, 30), 5)
    draw.polygon(((40, 140), (90, 10), (150, 60), (210, 5), (285, 140), (230, 70), (160, 100), (95, 60)), (90, 50, 120), (30, 20, 30))
    return image


def logo():
    image, mask = Image.new("RGBA", (SIDE * SCALE,) * 2), Image.new("L", (SIDE * SCALE,) * 2)
    draw = ImageDraw.Draw(mask)
    draw.rounded_rectangle((40, 60, 270, 250), 40, 255)
    shadow = mask.filter(ImageFilter.GaussianBlur(14)).point(lambda v: v * 6 // 10)
    image.paste((0, 0, 0, 255), (10, 14), shadow)
    image.putalpha(shadow.transform(shadow.size, Image.Transform.AFFINE, (1, 0, -10, 0, 1, -14)))
    image.paste(Image.new("RGBA", image.size, (210, 50, 40, 255)), (0, 0), mask)
    text(image, (80, 95), "SAN", 80, (255, 255, 255, 255))
    return image


def small(image):
    return image.resize((image.width // SCALE, image.height // SCALE), Image.Resampling.BICUBIC)


def inputs(folder):
    """Write the eight files; their names in order."""
    import skimage.data
    import sklearn.datasets

    pagoda = sklearn.datasets.load_sample_image("china.jpg")
    scan = np.asarray(small(page((246, 243, 236), (35, 35, 60))).filter(ImageFilter.GaussianBlur(0.6))).astype(float)
    scan = np.clip(scan + np.random.default_rng(1).normal(0, 3, scan.shape), 0, 255).astype(np.uint8)
    photograph(skimage.data.astronaut(), (130, 30, 370, 270), SIDE).save(folder / "1-portrait.jpg", quality=75)
    photograph(pagoda, (0, 250, 177, 427), SIDE).save(folder / "2-foliage.jpg", quality=75)
    small(page("white", "black")).save(folder / "3-text.jpg", quality=75)
    screenshot().save(folder / "4-screenshot.png")
    Image.fromarray(scan).save(folder / "5-card.jpg", quality=75)
    small(page("white", "black")).convert("L").point(lambda v: 255 * (v > 190)).convert("1").save(folder / "6-page.png")
    small(drawing()).save(folder / "7-drawing.jpg", quality=85)
    small(logo()).save(folder / "8-logo.png")
    return sorted(folder.iterdir())


def upscaled(server, files, model, folder):
    """{stem: image} by the command `upscale`."""
    subprocess.run([server, "upscale", *map(str, files), "-o", str(folder), "--scale", str(SCALE), "--model", model,
                    "--log-level", "warn"], check=True)
    return {path.stem: Image.open(path) for path in folder.iterdir()}


def on_white(image):
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def table(rows, titles, gap=6):
    """Rows of equally large images under their titles."""
    width, height = rows[0][0].size
    made = Image.new("RGB", (len(titles) * (width + gap) - gap, 24 + len(rows) * (height + gap) - gap), "white")
    for column, title in enumerate(titles):
        text(made, (column * (width + gap) + 2, 3), title, 15, "black")
        for row, images in enumerate(rows):
            made.paste(on_white(images[column]), (column * (width + gap), 24 + row * (height + gap)))
    return made


def main():
    server = sys.argv[1]
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "in").mkdir()
        files = inputs(root / "in")
        sample = HERE / "astronaut.jpg"
        made = {model: upscaled(server, [*files, sample], model, root / model) for model in COLUMNS[1:]}
        rows = [[Image.open(f).convert("RGBA").resize((SIDE * SCALE,) * 2, Image.Resampling.NEAREST),
                 *(made[model][f.stem] for model in COLUMNS[1:])] for f in files]
        table(rows, ("input, as pixels", "bicubic", "san-light", "answered (model=auto)")).save(HERE / "sheet.png", optimize=True)
        part = (190, 130, 510, 450)
        row = [made[model][sample.stem].crop(part) for model in COLUMNS[1:]]
        table([row], ("bicubic", "san-light", "answered")).save(HERE / "compare.png", optimize=True)


if __name__ == "__main__":
    main()
