//! PSNR and SSIM of a model on a test set.
