"""The learning curve of a run as an image: loss and PSNR-Y over steps."""
import json
from pathlib import Path


def read_log(folder):
    """The objects of log.jsonl, in order."""
    with open(Path(folder) / "log.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def draw_curve(folder, out=None):
    """Write curve.png into the run's folder (or to `out`)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = read_log(folder)
    figure, left = pyplot.subplots(figsize=(7, 4), dpi=110)
    left.plot([r["step"] for r in rows], [r["loss"] for r in rows], color="tab:gray", label="training L1 (0..255)")
    left.set_xlabel("step")
    left.set_ylabel("training L1 (0..255)")
    scored = [r for r in rows if "psnr_y" in r]
    if scored:
        right = left.twinx()
        right.plot([r["step"] for r in scored], [r["psnr_y"] for r in scored], color="tab:blue", marker=".")
        right.set_ylabel(f"{scored[-1]['set']} PSNR-Y [dB]", color="tab:blue")
    figure.tight_layout()
    figure.savefig(out or Path(folder) / "curve.png")
    pyplot.close(figure)
