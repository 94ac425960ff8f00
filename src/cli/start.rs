//! What serve, upscale and eval share: registry, engines, warm-up, scheduler, pipeline.
