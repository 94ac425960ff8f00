"""Business cards, upscaled by this service: characters that tesseract reads, distance to the true card, ink that should
not be there, and borders of tiles; of lossless and JPEG files, sharp and soft.

    compare.py SERVER MODELS RUNTIME [options]

The images stay in .cache/documents: of each card the small one, the true one and every upscaled one, a sheet of details for
each scale, condition and density, and what tesseract misread."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

import card
import measure
import reading
import tiles

DENSITIES = (75, 100, 150)
MODELS = ("bicubic", "san-light", "san-light-real", "auto")
SOFT = 0.6  # sigma of the blur of a soft card, in pixels of the small image
QUALITY = 75  # of the JPEGs, 4:2:0
CONDITIONS = {"lossless": (None, 0), "lossless-soft": (None, SOFT), "jpeg": (QUALITY, 0), "jpeg-soft": (QUALITY, SOFT)}


def draw(folder, scale, condition):
    """The true and the small cards; (side, density) of each by its name."""
    names, (quality, soft) = {}, CONDITIONS[condition]
    (folder / "small").mkdir(parents=True)
    (folder / "true").mkdir()
    for side in card.SIDES:
        master = card.master(side)
        for density in DENSITIES:
            name = f"{side}-{density}"
            true = card.at(master, scale * density)
            true.save(folder / "true" / f"{name}.png")
            small = true.resize((true.width // scale, true.height // scale), Image.Resampling.BICUBIC)
            if soft:
                small = small.filter(ImageFilter.GaussianBlur(soft))
            if quality:
                small.convert("RGB").save(folder / "small" / f"{name}.jpg", quality=quality, subsampling=2)
            else:
                small.save(folder / "small" / f"{name}.png")
            names[name] = (side, density)
    return names


def upscale(args, folder, scale, model):
    command = [args.server, "upscale", folder / "small", "-o", folder / model, "--scale", scale, "--models", args.models,
               "--runtime", args.runtime, "--model", model, "--log-level", "warn", *args.flags]
    subprocess.run([str(word) for word in command], check=True)


def opened(folder, kind, name):
    path = folder / kind / f"{name}.png"
    return Image.open(path if path.exists() else path.with_suffix(".jpg")).convert("RGB")


def sheet(folder, scale, density):
    """Details beside each other: small, each model, true."""
    details = [("front", (0.2, 1.0, 1.7, 1.3)), ("front", (0.2, 1.35, 1.7, 1.65)), ("front", (2.7, 1.3, 3.55, 1.6)),
               ("back", (0.2, 1.5, 1.7, 1.8)), ("front", (0.15, 1.75, 1.65, 2.12))]
    rows = []
    for side, box in details:
        row = []
        for kind in ("small", *MODELS, "true"):
            image = opened(folder, kind, f"{side}-{density}")
            if kind == "small":
                image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
            row.append(image.crop([round(side * density * scale) for side in box]))
        rows.append(row)
    width, height = max(row[0].width for row in rows) + 8, sum(row[0].height + 8 for row in rows)
    page = Image.new("RGB", (width * len(rows[0]), height + 14), "gray")
    for column, kind in enumerate(("small, pixels", *MODELS, "true")):
        ImageDraw.Draw(page).text((column * width + 4, 2), kind, "white")
    y = 14
    for row in rows:
        for column, image in enumerate(row):
            page.paste(image, (column * width, y))
        y += row[0].height + 8
    page.save(folder / f"sheet-{density}.png")


def characters(folder, names, scale):
    """Prints wrong characters of all, by density and script."""
    print("wrong characters     density   " + "".join(f"{kind:>22}" for kind in (*MODELS, "true")))
    wrong, total = defaultdict(int), defaultdict(int)
    lines = [(name, line, kind) for name, (side, _) in names.items() for line in card.SIDES[side]
             for kind in (*MODELS, "true")]
    images = {(kind, name): opened(folder, kind, name) for name in names for kind in (*MODELS, "true")}
    crops = [(images[kind, name].crop(card.box(line, names[name][1] * scale)), line) for name, line, kind in lines]
    misread = []
    for (name, line, kind), (errors, text) in zip(lines, reading.errors(crops)):
        if errors:
            misread.append(f"{name} {kind}, {line.points} points: {line.text} -> {text}\n")
        wrong[names[name][1], line.script, kind] += errors
        total[names[name][1], line.script] += len(reading.plain(line.text))
    (folder / "misread.txt").write_text("".join(misread))
    for density in DENSITIES:
        for script in card.FONTS:
            letters = total[density, script] // (len(MODELS) + 1)
            counts = [wrong[density, script, kind] for kind in (*MODELS, "true")]
            cells = "".join(f"{f'{count} ({count / letters:.1%})':>22}" for count in counts)
            print(f"  {script:14} {density:10} ppi{cells}   of {letters}")
    sums = {kind: sum(count for (_, _, of), count in wrong.items() if of == kind) for kind in (*MODELS, "true")}
    print(f"  {'all':14} {'':14}" + "".join(f"{sums[kind]:>22}" for kind in (*MODELS, "true")))


def likeness(folder, names, scale):
    print("likeness             density   model          PSNR     SSIM   stray ink at text and lines, in the screentone")
    for density in DENSITIES:
        tone = [round(side * density * scale) for side in card.TONE]
        for model in MODELS:
            found = [measure.likeness(opened(folder, model, name), opened(folder, "true", name), scale, tone)
                     for name, (_, dense) in names.items() if dense == density]
            psnr, ssim = (sum(each[i] for each in found) / len(found) for i in (0, 1))
            text, dots = (max(each[i] for each in found) for i in (2, 3))
            print(f"  {'':14} {density:10} ppi   {model:12} {psnr:6.2f} {ssim:8.4f}   {text:24.1%} {dots:19.1%}")


def borders(args, folder, names, scale):
    print("tiled, against whole density      RMS     most   change from pixel to pixel at borders / elsewhere")
    network = tiles.Whole(args.models / "san-light", scale)
    for name, (_, density) in names.items():
        rms, most, ratio = network.compare(opened(folder, "small", name), opened(folder, "san-light", name))
        print(f"  {name:14} {density:10} ppi {rms:6.2f} {most:8.0f}   {ratio:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("runtime", type=Path)
    parser.add_argument("--scales", default="2,3,4")
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--keep", type=Path, default=Path(".cache/documents"), help="where the images stay")
    parser.add_argument("flags", nargs="*", help="more flags for `san-upscaler upscale`, after --")
    args = parser.parse_args()
    args.keep.mkdir(parents=True, exist_ok=True)
    for scale in map(int, args.scales.split(",")):
        for condition in args.conditions:
            compare(args, scale, condition)
    print(f"\nimages: {args.keep}/x*/sheet-*.png, and whole cards beside them")


def compare(args, scale, condition):
    """Print the tables of one scale and condition, and keep the images."""
    with tempfile.TemporaryDirectory(dir=args.keep) as temporary:
        folder = Path(temporary) / f"x{scale}-{condition}"
        folder.mkdir()
        names = draw(folder, scale, condition)
        for model in MODELS:
            upscale(args, folder, scale, model)
        print(f"\nx{scale}, {condition}")
        characters(folder, names, scale)
        likeness(folder, names, scale)
        if condition == "lossless":
            borders(args, folder, names, scale)
        for density in DENSITIES:
            sheet(folder, scale, density)
        sys.stdout.flush()
        kept = args.keep / folder.name
        if kept.exists():
            shutil.rmtree(kept)
        folder.rename(kept)


if __name__ == "__main__":
    main()
