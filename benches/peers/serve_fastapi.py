"""FastAPI and ONNX Runtime, without more: a `def` endpoint, which FastAPI runs on its pool of threads."""

from fastapi import FastAPI, Response, UploadFile

import network

app = FastAPI()
session = network.session()


@app.get("/health")
def health():
    return {}


@app.post("/upscale")
def upscale(image: UploadFile):
    image, size = network.decode(image.file)
    large = network.run(session, image[None])[0]
    return Response(network.encode(large, size), media_type="image/png")
