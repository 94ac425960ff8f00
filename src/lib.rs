//! Upscales images with SAN, the Second-order Attention Network for single-image super-resolution (Dai et al.,
//! CVPR 2019), on ONNX Runtime: as an HTTP service and on the command line. ARCHITECTURE.md shows the way round.

pub mod cli;
pub mod config;
pub mod http;
pub mod pipeline;
pub mod quality;
pub mod telemetry;
