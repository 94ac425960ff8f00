"""BentoML with its adaptive batching, as a service for images that calls a service for the network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import ContentType

import network

TRAFFIC = {"timeout": network.TIMEOUT}
BATCHES = {"batchable": True, "max_batch_size": network.BATCH, "max_latency_ms": network.TIMEOUT * 1000}


@bentoml.service(traffic=TRAFFIC, workers=1)
class Network:
    def __init__(self):
        self.session = network.session()

    @bentoml.api(**BATCHES)
    def stack(self, batch: np.ndarray) -> np.ndarray:
        # BentoML has joined the arrays.
        return network.run(self.session, batch)

    @bentoml.api(**BATCHES)
    def pad(self, images: list[np.ndarray]) -> list[np.ndarray]:
        return list(network.run(self.session, network.pad_to_largest(images)))

    @bentoml.api
    def single(self, image: np.ndarray) -> np.ndarray:
        return network.run(self.session, image)


@bentoml.service(traffic=TRAFFIC, workers=1)
class Upscaler:
    network = bentoml.depends(Network)

    @bentoml.api
    async def upscale(self, image: Path) -> Annotated[bytes, ContentType("image/png")]:
        image, size = network.decode(image)
        if network.MODE == "pad":
            large = (await self.network.to_async.pad([image]))[0]
        else:
            large = (await getattr(self.network.to_async, network.MODE)(image[None]))[0]
        return network.encode(large, size)
