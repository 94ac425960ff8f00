"""The service's own commands on test sets: `san-upscaler eval --json` and `san-upscaler upscale`, kept between runs.

A figure is kept under the digest of the model's file, the set, the degradation and the ensemble, so that a report that
was stopped goes on, and one after new weights measures only those.
"""
import json
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from .data import REPOSITORY, images, read_rgb
from .degrade import degrade
from .matlab import crop_to_multiple

KINDS = ("BI", "BD")
BUILT_IN = "bicubic"


@dataclass(frozen=True)
class Model:
    """A model that the service can load: `root` is what --models names."""

    name: str
    root: Path
    parameters: int = 0
    digest: str = "built-in"


def models_in(roots, scale):
    """Bicubic and every model with `scale` in the folders `roots`, by name within each."""
    found = [Model(BUILT_IN, Path(roots[0]))]
    for root in roots:
        for path in sorted(Path(root).glob("*/model.toml")):
            entries = tomllib.loads(path.read_text(encoding="utf-8"))["scale"]
            for entry in (e for e in entries if e["factor"] == scale):
                found.append(Model(path.parent.name, Path(root), entry["parameters"], entry["sha256"]))
    return found


def sets_in(folder, names=None):
    """Names of the test sets in `folder`, those with HR; `names` in that order instead, each of which must be there."""
    there = sorted(p.parent.name for p in Path(folder).glob("*/HR"))
    missing = set(names or ()) - set(there)
    if missing or not there:
        raise FileNotFoundError(f"{folder}: no test set {', '.join(sorted(missing)) or 'at all'}; each needs a folder HR")
    return list(names or there)


def stage(data, name, scale, kind, work):
    """A set as `eval` reads it, whose low-resolution images are of degradation `kind`; made once. Returns its folder."""
    folder = Path(work) / f"{kind}-x{scale}" / name
    low = folder / "LR_bicubic" / f"X{scale}"
    done = folder / "complete"
    if not done.exists():
        low.mkdir(parents=True, exist_ok=True)
        originals = Path(data) / name / "HR"
        link = folder / "HR"
        if not link.exists():
            link.symlink_to(originals.resolve())
        for path in images(originals):
            made = degrade(crop_to_multiple(read_rgb(path), scale), scale, kind)
            Image.fromarray(made).save(low / f"{path.stem}x{scale}.png")
        done.touch()
    return folder


class Service:
    """The program `binary`; figures are kept in `work`."""

    def __init__(self, binary, scale, work):
        self.binary, self.scale, self.work = Path(binary), scale, Path(work)
        if not self.binary.is_file():
            raise FileNotFoundError(f"{binary}: no such program; build it with `cargo build --release`, or name it with --binary")

    def _run(self, command, model, *arguments):
        line = [str(self.binary.resolve()), command, "--scale", str(self.scale), "--models", str(model.root.resolve()),
                "--only", model.name, "--model", model.name, "--log-level", "error", *map(str, arguments)]
        done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{command} with {model.name}: exit status {done.returncode}: {done.stderr.strip()[-400:]}")
        return done.stdout

    def evaluate(self, model, folder, kind, ensemble=False):
        """{"execution", "images": {name: {"psnr", "ssim"}}, "mean"} of one staged set, tiled."""
        name = f"{model.name}-{model.digest[:12]}-{folder.name}-{kind}-x{self.scale}{'-ensemble' if ensemble else ''}.json"
        kept = self.work / "figures" / name
        if not kept.exists():
            report = json.loads(self._run("eval", model, "--data", folder.resolve(), "--json", *(["--ensemble"] * ensemble)))
            (found,) = report["sets"]
            made = {"execution": report["execution"], "mean": found["mean"],
                    "images": {i["name"]: {"psnr": i["psnr"], "ssim": i["ssim"]} for i in found["images"]}}
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(made))
        return json.loads(kept.read_text())

    def measured(self, model, folder, measure):
        """{image: measure(uint8 RGB)} of the upscaled images of a staged set; the images are kept."""
        out = self.work / "images" / f"{model.name}-{model.digest[:12]}" / folder.name
        done = out / "complete"
        if not done.exists():
            self._run("upscale", model, folder.resolve() / "LR_bicubic" / f"X{self.scale}", "--output", out.resolve())
            done.touch()
        return {p.stem.removesuffix(f"x{self.scale}"): measure(read_rgb(p)) for p in images(out)}
