//! POST /v1/upscale: an image in, a larger one out.
