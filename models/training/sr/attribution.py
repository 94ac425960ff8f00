"""ATTRIBUTION.md out of the training images' list: whom the committed weights learned from, and on what terms.

    python -m sr.attribution > ../ATTRIBUTION.md
"""
import csv
from collections import defaultdict

from .data import data_root

HEAD = """# Attribution of the training images

The weights in this folder were trained on {crops} crops from {photographs} photographs, on images that
`training/sr/drawing.py` draws, and on no others. The photographs are not part of this repository. They come from the
public repositories below; the terms are those that each repository states. Made from the data's own list by
`python -m sr.attribution` in `training/`.

## Fonts of the drawn text

As packaged by Debian; each package's `/usr/share/doc/PACKAGE/copyright` has the text. No font is part of this repository.

| package | fonts | license |
|---|---|---|
| `fonts-dejavu` | DejaVu Sans, Serif | Bitstream Vera license; changes public domain |
| `fonts-liberation` | Liberation Sans, Serif, Mono, Sans Narrow | SIL OFL 1.1 (Narrow: GPL-2 with font exception) |
| `fonts-noto-core` | Noto Sans, Noto Serif, Noto Sans Display | SIL OFL 1.1 |
| `fonts-ipafont` | IPA Gothic, IPA Mincho | IPA Font License 1.0 |
"""


def compose(rows):
    """Markdown from rows with source_repository, source_path and licence: one section a repository."""
    sources = defaultdict(set)
    for row in rows:
        sources[row["source_repository"], row["licence"]].add(row["source_path"])
    text = [HEAD.format(crops=len(rows), photographs=sum(map(len, sources.values())))]
    for (repository, licence), paths in sorted(sources.items(), key=lambda s: s[0][0].lower()):
        text.append(f"## {repository}\n\nTerms: {licence}. {len(paths)} photograph{'s' * (len(paths) > 1)}.\n")
        folders = defaultdict(list)
        for path in sorted(paths):
            folder, _, name = path.rpartition("/")
            folders[folder].append(name)
        text += [f"- {f'`{folder}/`: ' if folder else ''}{', '.join(names)}" for folder, names in folders.items()]
        text.append("")
    return "\n".join(text)


def main():
    with open(data_root() / "train" / "sources.csv", newline="", encoding="utf-8") as file:
        print(compose(list(csv.DictReader(file))), end="")


if __name__ == "__main__":
    main()
