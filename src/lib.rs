//! Enlarges images with SAN, the Second-order Attention Network for single-image super-resolution (Dai et al.,
//! CVPR 2019), on ONNX Runtime: as an HTTP service and on the command line. ARCHITECTURE.md shows the way round.

pub mod cli;
pub mod codec;
pub mod config;
pub mod engine;
pub mod geometry;
pub mod http;
pub mod pipeline;
pub mod quality;
pub mod raster;
pub mod registry;
pub mod resample;
pub mod scheduler;
pub mod telemetry;
pub mod tiling;
pub mod units;
