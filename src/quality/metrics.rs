//! PSNR [dB] and SSIM on the luma of BT.601, as the super-resolution papers compute them.
