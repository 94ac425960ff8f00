"""A tiled upscaled image against that of the whole image by the same network, in ONNX Runtime's Python."""

import tomllib

import numpy as np
import onnxruntime
from PIL import Image

from measure import luma

# Every region of a network divides it.
MULTIPLE = 48


class Whole:
    def __init__(self, folder, scale):
        self.scale = scale
        model = tomllib.loads((folder / "model.toml").read_text())
        self.tile = model["tile"]
        self.session = onnxruntime.InferenceSession(folder / f"x{scale}.onnx", providers=["CPUExecutionProvider"])

    def upscale(self, small):
        """Padded to what the network takes by mirroring."""
        pixels = np.asarray(small, np.float32).transpose(2, 0, 1)
        padded = np.pad(pixels, ((0, 0), *((0, -side % MULTIPLE) for side in pixels.shape[1:])), mode="reflect")
        large = self.session.run(None, {"lr": padded[None]})[0][0]
        large = large[:, :small.height * self.scale, :small.width * self.scale]
        return Image.fromarray(large.round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0))

    def compare(self, small, tiled):
        """Root mean square and most of the difference, in levels, and how much more it changes from one pixel to the next
        where tiles meet than elsewhere: about 1 where the borders cannot be told, more where they show."""
        difference = luma(tiled) - luma(self.upscale(small))
        at, elsewhere = [], []
        for axis, length in ((1, small.width), (0, small.height)):
            change = np.abs(np.diff(difference, axis=axis)).mean(axis=1 - axis)
            border = np.zeros(length * self.scale, bool)
            for fade in self.fades(small.size)[axis == 0]:
                border[fade.start * self.scale:fade.stop * self.scale] = True
            at.append(change[border[1:]])
            elsewhere.append(change[~border[1:]])
        ratio = np.concatenate(at).mean() / max(np.concatenate(elsewhere).mean(), 1e-9)
        return np.sqrt(np.mean(difference**2)), np.abs(difference).max(), ratio

    def fades(self, size):
        """Pixels of the small image over which a tile gives way to the next, along its width and along its height;
        ARCHITECTURE.md, crates/tiling/src/grid.rs."""
        halo = self.tile["halo"]
        sides = range(self.tile["min_side"], self.tile["max_side"] + 1, self.tile["step"])

        def rank(tile):
            counts = [-(-length // (side - 2 * halo)) for length, side in zip(size, tile)]
            count = counts[0] * counts[1]
            return count * tile[0] * tile[1], count, abs(tile[0] - tile[1]), -tile[0]

        chosen = min(((wide, tall) for wide in sides for tall in sides if wide * tall <= self.tile["max_area"]), key=rank)
        return [self.along(length, side, halo) for length, side in zip(size, chosen)]

    @staticmethod
    def along(length, side, halo):
        """Of one side of the image."""
        last = -(-length // (side - 2 * halo)) - 1
        starts = [i * (length + 2 * halo - side) // max(1, last) - halo for i in range(last + 1)]
        cuts = [(a + b + side) // 2 for a, b in zip(starts, starts[1:])]
        return [range(cut - halo // 2, cut + halo // 2) for cut in cuts]
