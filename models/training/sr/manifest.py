"""model.toml: read and checked as the service does it, and brought up to date after an export.

    python -m sr.manifest ../san-light            # say what is wrong; exit status 1 if anything is
    python -m sr.manifest ../san-light --stamp    # write the files' sha256 and parameter counts into it
"""
import argparse
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnx

from .export import CONSTANTS, sha256
from .tiling import Bounds

TEXTS = ("name", "title", "description", "license", "paper", "trained_on", "training")
SCALE_KEYS = {"factor", "file", "sha256", "parameters", "steps", "psnr_y"}


def stored_parameters(path):
    """Learned numbers in an exported graph: the sizes of what `tidy` left under "network.", constants aside."""
    return int(sum(np.prod(t.dims) for t in onnx.load(path).graph.initializer
                   if t.name.startswith("network.") and t.name not in CONSTANTS))


def problems(folder):
    """Everything that is wrong with a model's folder, as texts."""
    folder = Path(folder)
    with open(folder / "model.toml", "rb") as file:
        model = tomllib.load(file)
    found = [f"{key} is missing or empty" for key in TEXTS if not model.get(key)]
    unknown = set(model) - {*TEXTS, "range", "mean_inside", "suits", "tile", "scale"}
    found += [f"unknown key {key}" for key in sorted(unknown)]
    if model.get("name") != folder.resolve().name:
        found.append(f"name {model.get('name')!r} is not the folder's")
    if model.get("range") != 255.0 or model.get("mean_inside") is not True:
        found.append("range must be 255.0 and mean_inside true: that is what is exported here")
    tile = model.get("tile")
    keys = [field.name for field in fields(Bounds)]
    if not isinstance(tile, dict) or sorted(tile) != sorted(keys):
        found.append(f"[tile] must have {', '.join(keys)}")
    else:
        found += [f"[tile] {text}" for text in Bounds(**tile).problems()]
    for scale in model.get("scale", []):
        path = folder / scale["file"]
        if set(scale) - SCALE_KEYS:
            found.append(f"x{scale['factor']}: unknown key {', '.join(set(scale) - SCALE_KEYS)}")
        if not path.is_file():
            found.append(f"{scale['file']} is missing")
        elif sha256(path) != scale["sha256"]:
            found.append(f"{scale['file']}: sha256 is {sha256(path)}")
        elif stored_parameters(path) != scale["parameters"]:
            found.append(f"{scale['file']}: {stored_parameters(path)} parameters")
    return found


def stamp(folder):
    """Rewrite sha256 and parameters of every [[scale]] from its file, leaving the rest of the text alone."""
    path = Path(folder) / "model.toml"
    head, *scales = re.split(r"(?m)^(?=\[\[scale\]\])", path.read_text(encoding="utf-8"))
    done = [head]
    for text in scales:
        file = path.parent / re.search(r'(?m)^file = "([^"]+)"', text)[1]
        text = re.sub(r'(?m)^sha256 = ".*"', f'sha256 = "{sha256(file)}"', text)
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
