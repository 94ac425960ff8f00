"""model.toml: read and checked as the service does it, and brought up to date after an export.

    python -m sr.manifest ../san-light            # say what is wrong; exit status 1 if anything is
    python -m sr.manifest ../san-light --stamp    # write the files' sha256 and parameter counts into it
"""
import argparse
import re
import tomllib
from pathlib import Path

import numpy as np
import onnx

from .export import CONSTANTS, sha256

TEXTS = ("name", "title", "description", "license", "paper", "trained_on", "training")
SCALE_KEYS = {"factor", "file", "sha256", "fp16", "parameters", "steps", "psnr_y"}


def stored_parameters(path):
    """Learned numbers in an exported graph: the sizes of what `tidy` left under "network.", constants aside."""
    return int(sum(np.prod(t.dims) for t in onnx.load(path).graph.initializer
                   if t.name.startswith("network.") and t.name not in CONSTANTS))


def gives_detail(path):
    """Whether the service is to add the bicubic image to what an exported graph gives."""
    return onnx.load(path).graph.output[0].name == "detail"


def problems(folder):
    """Everything that is wrong with a model's folder, as texts."""
    folder = Path(folder)
    with open(folder / "model.toml", "rb") as file:
        model = tomllib.load(file)
    found = [f"{key} is missing or empty" for key in TEXTS if not model.get(key)]
    unknown = set(model) - {*TEXTS, "range", "mean_inside", "skip", "suits", "tile", "scale"}
    found += [f"unknown key {key}" for key in sorted(unknown)]
    if model.get("name") != folder.resolve().name:
        found.append(f"name {model.get('name')!r} is not the folder's")
    if model.get("range") != 255.0 or model.get("mean_inside") is not True:
        found.append("range must be 255.0 and mean_inside true: that is what is exported here")
    for tile in model.get("tile", []):
        sides = (tile["width"], tile["height"])
        if set(tile) != {"width", "height", "halo"} or any(v % 4 for v in sides) or tile["halo"] > min(sides) // 4:
            found.append(f"tile {tile}: sides in multiples of 4, halo at most a quarter of them")
    for scale in model.get("scale", []):
        path = folder / scale["file"]
        if set(scale) - SCALE_KEYS:
            found.append(f"x{scale['factor']}: unknown key {', '.join(set(scale) - SCALE_KEYS)}")
        if not path.is_file():
            found.append(f"{scale['file']} is missing")
        elif sha256(path) != scale["sha256"]:
            found.append(f"{scale['file']}: sha256 is {sha256(path)}")
        else:
            if stored_parameters(path) != scale["parameters"]:
                found.append(f"{scale['file']}: {stored_parameters(path)} parameters")
            if gives_detail(path) != (model.get("skip") == "bicubic"):
                found.append(f"{scale['file']}: its output does not fit skip = {model.get('skip')!r}")
        half = scale.get("fp16")
        if half and sha256(folder / half["file"]) != half["sha256"]:
            found.append(f"{half['file']}: sha256 is {sha256(folder / half['file'])}")
    return found


def stamp(folder):
    """Rewrite sha256, fp16 and parameters of every [[scale]] from its files, leaving the rest of the text alone."""
    path = Path(folder) / "model.toml"
    head, *scales = re.split(r"(?m)^(?=\[\[scale\]\])", path.read_text(encoding="utf-8"))
    done = [head]
    for text in scales:
        file = path.parent / re.search(r'(?m)^file = "([^"]+)"', text)[1]
        half, entry = file.with_suffix(".fp16.onnx"), f'sha256 = "{sha256(file)}"'
        if half.exists():
            entry += f'\nfp16 = {{ file = "{half.name}", sha256 = "{sha256(half)}" }}'
        text = re.sub(r'(?m)^sha256 = ".*"(\nfp16 = .*)?', entry, text)
        done.append(re.sub(r"(?m)^parameters = \d+", f"parameters = {stored_parameters(file)}", text))
    path.write_text("".join(done), encoding="utf-8")


def main(argv=None):
    parser = argparse.ArgumentParser(prog="sr.manifest", description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stamp", action="store_true")
    args = parser.parse_args(argv)
    if args.stamp:
        stamp(args.folder)
    found = problems(args.folder)
    print("\n".join(f"{args.folder.name}: {text}" for text in found) or f"{args.folder.name}: sound")
    raise SystemExit(bool(found))


if __name__ == "__main__":
    main()
