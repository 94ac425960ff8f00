//! What its compression has cost an image, as far as the header declares. `model=auto` chooses by it.

/// Whether, and how much, a file lost when it was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: PNG, BMP, GIF, lossless WebP, TIFF without JPEG, JPEG XL of the modular kind in the image's own colors.
    Lossless,
    /// Something, in a format that does not declare how much: lossy WebP, other JPEG XL.
    Lossy,
    /// JPEG, on its own or inside a TIFF.
    Jpeg {
        /// 1 to 100 on libjpeg's scale, estimated from the luma quantization table; absent where the file has none
        /// before its pixels.
        quality: Option<u8>,
    },
}
