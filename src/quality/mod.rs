//! How good an upscaled image is: [`metrics`] (PSNR and SSIM on Y) and [`resize`] (MATLAB's bicubic, for LR images).

pub mod metrics;
pub mod resize;

#[cfg(test)]
pub(crate) mod testing {
    //! Test images that lie beside the project and not in it.

    use std::path::{Path, PathBuf};

    use images::raster::{Channels, Raster, Samples};
    use images::units::Size;

    /// A folder of the borrowed data, or `None` with a line on the terminal where it is not there.
    pub(crate) fn data(folder: &str) -> Option<PathBuf> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(folder);
        if path.is_dir() {
            return Some(path);
        }
        println!("skipped: {} is not there", path.display());
        None
    }

    /// An 8-bit RGB image, decoded by none of our code.
    pub(crate) fn open(path: &Path) -> Raster {
        let image = image::open(path).expect("a readable image").into_rgb8();
        let size = Size::new(image.width(), image.height());
        Raster::new(size, Channels::Rgb, Samples::U8(image.into_raw()))
    }
}
