"""What the peers share: the model as ONNX Runtime's documentation opens it, and images to arrays and back.

A peer runs an image whole, as its documentation would. The network wants sides that are multiples of 12, so an image is
padded to them by repeating its border, and its answer is cut."""

import io
import os
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

MODEL = Path(__file__).parents[2] / "models/san-light/x4.onnx"
SCALE = 4
MULTIPLE = 12

# From compare.py.
THREADS = int(os.environ.get("PEER_THREADS", "1"))
BATCH = int(os.environ.get("PEER_BATCH", "4"))
# What becomes of images that wait together: "stack" makes a batch and takes equal sizes only, "pad" pads all of a
# batch to its largest, "single" runs one after the other.
MODE = os.environ.get("PEER_MODE", "single")
# Time for a request, in seconds; the servers' own defaults (30 and 60) end work that a CPU needs longer for.
TIMEOUT = 300


def session():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    return onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])


def run(session, batch):
    """(n, 3, h, w) to (n, 3, 4h, 4w), both float32 in 0..255."""
    return session.run(None, {"lr": batch})[0]


def decode(file):
    """An image as (3, h, w), padded, and its height and width."""
    image = np.asarray(Image.open(file).convert("RGB"), np.float32).transpose(2, 0, 1)
    height, width = image.shape[1:]
    return pad(image, -height % MULTIPLE, -width % MULTIPLE), (height, width)


def pad(image, rows, columns):
    return np.pad(image, ((0, 0), (0, rows), (0, columns)), mode="edge")


def pad_to_largest(images):
    rows, columns = (max(image.shape[axis] for image in images) for axis in (1, 2))
    return np.stack([pad(image, rows - image.shape[1], columns - image.shape[2]) for image in images])


def encode(image, size):
    """The PNG of (3, 4h, 4w), padding cut off. Fast rather than small, so that it is not zlib that is compared."""
    height, width = (SCALE * side for side in size)
    pixels = image[:, :height, :width].round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
