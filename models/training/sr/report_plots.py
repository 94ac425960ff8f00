"""The plots of docs/replication.md."""
import numpy as np

DPI = 110


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def bars(rows, sets, path):
    """PSNR of every system as it is measured here beside its paper's figure, one panel a set.

    `rows`: (label, {set: dB measured here or absent}, {set: dB published or absent}).
    """
    pyplot = _pyplot()
    figure, panels = pyplot.subplots(1, len(sets), figsize=(4.2 * len(sets), 0.5 * len(rows) + 1.4), dpi=DPI, squeeze=False)
    at = np.arange(len(rows))
    for i, (panel, name) in enumerate(zip(panels[0], sets)):
        for offset, column, color, label in ((-0.2, 1, "tab:blue", "measured here"), (0.2, 2, "tab:gray", "as published")):
            values = [row[column].get(name, np.nan) for row in rows]
            drawn = panel.barh(at + offset, values, 0.38, color=color, label=label)
            panel.bar_label(drawn, [f"{v:.2f}" if np.isfinite(v) else "" for v in values], fontsize=7, padding=2)
        known = [v for row in rows for column in (1, 2) for n, v in row[column].items() if n == name]
        panel.set_xlim(min(known) - 1, max(known) + 0.8)
        panel.set_yticks(at, [row[0] for row in rows] if i == 0 else [""] * len(rows), fontsize=8)
        panel.invert_yaxis()
        panel.set_title(name, fontsize=10)
        panel.set_xlabel("PSNR-Y [dB]", fontsize=8)
    panels[0][-1].legend(fontsize=7, loc="upper right")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def plane(points, originals, path):
    """The perception-distortion plane (Blau and Michaeli, CVPR 2018): `points` are (label, RMSE, NIQE); lower left is better."""
    pyplot = _pyplot()
    figure, panel = pyplot.subplots(figsize=(8, 4.6), dpi=DPI)
    for i, (label, rmse, niqe) in enumerate(points):
        panel.scatter(rmse, niqe, s=42, color=pyplot.cm.tab20(i % 20), marker="os^Dv*PX"[i % 8], label=label, zorder=2)
    panel.axhline(originals, color="tab:gray", linestyle=":", label="the originals (no distortion)")
    panel.set_xlabel("distortion: RMSE on luma, levels of 255")
    panel.set_ylabel("perception: NIQE, lower is more natural")
    panel.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def scatter(series, path):
    """Gain against texture, one panel a comparison; `series`: (title, textures, gains in dB)."""
    pyplot = _pyplot()
    figure, panels = pyplot.subplots(1, len(series), figsize=(4 * len(series), 3.6), dpi=DPI, squeeze=False)
    for panel, (title, textures, gains) in zip(panels[0], series):
        panel.axhline(0, color="tab:gray", linewidth=0.8)
        panel.scatter(textures, gains, s=10)
        slope, start = np.polyfit(textures, gains, 1)
        ends = np.array([min(textures), max(textures)])
        panel.plot(ends, start + slope * ends, color="tab:orange")
        panel.set_title(title, fontsize=9)
        panel.set_xlabel("texture: mean local deviation of luma", fontsize=8)
        panel.set_ylabel("PSNR gain [dB]", fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
