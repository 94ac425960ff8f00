"""Training, measuring and exporting of the super-resolution networks that the service runs.

One subject a module: networks (`attention`, `nonlocal_regions`, `upsample`, `san`, `san_light`, `srcnn`), pictures
(`matlab`, `degrade`, `metrics`, `data`), the run (`config`, `optim`, `train`, `curve`), and what leaves it
(`weights`, `export`, `tiling`, `evaluate`).

Shapes are written (batch, channels, height, width). Pictures at a network's border are float32 RGB in 0..255.
"""
import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before ONNX Runtime is loaded, which would report to its maker
