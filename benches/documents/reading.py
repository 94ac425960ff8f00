"""Lines of text read by tesseract, and how many characters it had wrong."""

import io
import os
import subprocess
import unicodedata
from concurrent.futures import ThreadPoolExecutor

LANGUAGES = {"latin": "eng", "japanese": "jpn"}


def plain(text):
    """Without spaces, and full and half width made the same: neither is what a reader would call an error."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def read(image, script):
    file = io.BytesIO()
    image.convert("L").save(file, "PNG")
    # Page segmentation 7: the image is one line.
    command = ["tesseract", "-", "-", "-l", LANGUAGES[script], "--psm", "7"]
    done = subprocess.run(command, input=file.getvalue(), capture_output=True, env={**os.environ, "OMP_THREAD_LIMIT": "1"})
    if done.returncode:
        raise SystemExit(f"documents: {' '.join(command)} failed: {done.stderr.decode(errors='replace')}")
    return plain(done.stdout.decode())


def distance(a, b):
    """Characters to insert, delete or replace (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def errors(crops):
    """Wrong characters of each (image of a line, line), and what was read."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        texts = pool.map(lambda crop: read(crop[0], crop[1].script), crops)
        return [(distance(text, plain(line.text)), text) for text, (_, line) in zip(texts, crops)]
