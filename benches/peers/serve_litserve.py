"""LitServe with its dynamic batching: requests that wait become a batch of up to PEER_BATCH."""

import sys

import litserve
from fastapi import Response

import network


class Upscaler(litserve.LitAPI):
    """LitServe's own `batch` stacks the arrays."""

    def setup(self, device):
        self.session = network.session()

    def decode_request(self, request, context):
        image, context["size"] = network.decode(request["image"].file)
        return image

    def predict(self, batch):
        return network.run(self.session, batch)

    def encode_response(self, output, context):
        return Response(network.encode(output, context["size"]), media_type="image/png")


class Padded(Upscaler):
    def batch(self, inputs):
        return network.pad_to_largest(inputs)

    def unbatch(self, output):
        return list(output)


class Single(Upscaler):
    def predict(self, image):
        return network.run(self.session, image[None])[0]


if __name__ == "__main__":
    if network.MODE == "single":
        api = Single(api_path="/upscale")
    else:
        kind = Padded if network.MODE == "pad" else Upscaler
        api = kind(max_batch_size=network.BATCH, batch_timeout=0.05, api_path="/upscale")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=network.TIMEOUT)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
