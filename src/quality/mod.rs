//! How good an enlargement is: [`metrics`] (PSNR and SSIM on Y) and [`resize`] (MATLAB's bicubic, for LR images).

pub mod metrics;
pub mod resize;
