"""Training, measuring and exporting of the super-resolution networks that the service runs.

One subject a module: networks (`attention`, `nonlocal_regions`, `upsample`; as published `san`, `rcan`, `edsr`, `nlrn`,
`srresnet`, `srcnn`, with `official` for their authors' weights; `san_light`), images (`matlab`, `degrade`, `metrics`,
`data`), the run (`config`, `optim`, `train`, `srgan`, `curve`), what leaves it (`weights`, `export`, `tiling`,
`evaluate`), and the replication (`small`, `systems`, `replicate`, `zoo`; `replicate_report` with `service`,
`image_statistics`, `published`, `report_plots`).

Shapes are written (batch, channels, height, width). Images at a network's border are float32 RGB in 0..255.
"""
import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before ONNX Runtime is loaded, which would report to its maker
