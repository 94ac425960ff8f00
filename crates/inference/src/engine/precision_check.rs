//! One tile in two arithmetics: whether a provider gives the network's image, and in the precision that was asked for.
//!
//! A precision is a wish: OpenVINO computes in fp32 without a word where it finds that the CPU has no bf16, and what it
//! took cannot be asked for through ONNX Runtime. But rounding to bf16 shows. Against the CPU provider's fp32, in levels
//! RMS on this tile, at sides of 16 to 64: OpenVINO's fp32 is off by 0 to 0.00005, its bf16 by 0.16 to 0.40 (each scale
//! of san-light, srcnn, and the fixtures, which only copy).

use images::units::TileShape;

use crate::engine::backend::Backend;

/// Levels RMS up to which an image is fp32's: in the middle between the two, by their ratio.
const ROUNDING: f64 = 0.003;

/// Levels RMS from which it is another image: forty times what bf16 does.
const BROKEN: f64 = 16.0;

/// Levels with edges and slopes. None is a whole one: bf16 has those, and of a network that only copies would change
/// nothing.
pub(super) fn tile(shape: TileShape) -> Vec<f32> {
    (0..3 * shape.pixels()).map(|i| (i * 37 % 255) as f32 + 0.37).collect()
}

/// What runs where `hoped` was to, by two images of the tile in levels: fp32's on the CPU, and the one that was found.
/// An error if the two are not the same image, or if less than fp32 computed what was to be in fp32.
pub(super) fn detect_precision(hoped: Backend, exact: &[f32], found: &[f32]) -> Result<Backend, String> {
    let squares: f64 = exact.iter().zip(found).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    let off = (squares / exact.len().max(1) as f64).sqrt();
    match hoped {
        _ if off >= BROKEN => Err(format!("its image is {off:.0} of 255 levels (RMS) off the CPU's in fp32")),
        Backend::OpenVinoBf16 if off <= ROUNDING => Ok(Backend::OpenVinoFp32),
        Backend::OpenVinoFp32 if off > ROUNDING => {
            Err(format!("it computes in less than fp32: its image is {off:.3} levels (RMS) off the CPU's"))
        }
        // A card runs the arithmetic that the network's own types give.
        _ => Ok(hoped),
    }
}

#[cfg(test)]
mod tests {
    use images::units::Scale;

    use super::*;
    use crate::engine::bicubic::Bicubic;
    use crate::engine::{EngineError, Execution, TileEngine};

    const EVERY: [Backend; 4] = [Backend::OpenVinoFp32, Backend::OpenVinoBf16, Backend::CudaFp32, Backend::CudaFp16];

    /// An engine that reports bf16 and computes with numbers of so many bits.
    struct Fake {
        bits: u32,
        bicubic: Bicubic,
    }

    impl Fake {
        fn round(&self, value: f32) -> f32 {
            let dropped = 32 - self.bits;
            if dropped == 0 {
                value
            } else {
                f32::from_bits((value.to_bits() + (1 << (dropped - 1))) >> dropped << dropped)
            }
        }
    }

    impl TileEngine for Fake {
        fn upscale(&mut self, shape: TileShape, tiles: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
            let rounded = |tile: &Vec<f32>| tile.iter().map(|level| self.round(*level)).collect();
            let tiles: Vec<Vec<f32>> = tiles.iter().map(rounded).collect();
            let upscaled = self.bicubic.upscale(shape, &tiles)?;
            Ok(upscaled.iter().map(|tile| tile.iter().map(|level| self.round(*level)).collect()).collect())
        }

        fn execution(&self) -> Execution {
            Execution { provider: "openvino".into(), precision: "bf16".into() }
        }
    }

    /// The image that an engine with numbers of so many bits gives.
    fn image(bits: u32) -> Vec<f32> {
        let mut engine = Fake { bits, bicubic: Bicubic::new(Scale::new(2).expect("2 is a scale")) };
        let shape = TileShape::square(32);
        engine.upscale(shape, &[tile(shape)]).expect("bicubic runs").remove(0)
    }

    #[test]
    fn what_says_bf16_and_computes_in_fp32_is_reported_as_fp32() {
        let exact = image(32);
        for (bits, runs) in [(32, Backend::OpenVinoFp32), (30, Backend::OpenVinoFp32), (16, Backend::OpenVinoBf16)] {
            assert_eq!(detect_precision(Backend::OpenVinoBf16, &exact, &image(bits)), Ok(runs), "{bits} bits");
        }
    }

    #[test]
    fn what_says_fp32_and_rounds_is_refused() {
        let exact = image(32);
        assert_eq!(detect_precision(Backend::OpenVinoFp32, &exact, &image(30)), Ok(Backend::OpenVinoFp32));
        let error = detect_precision(Backend::OpenVinoFp32, &exact, &image(16)).expect_err("bf16");
        assert!(error.contains("less than fp32"), "{error}");
    }

    #[test]
    fn another_image_is_refused_of_everyone() {
        let exact = image(32);
        let off = |levels: f32| exact.iter().map(|level| level + levels).collect::<Vec<_>>();
        for hoped in EVERY {
            for broken in [vec![0.0; exact.len()], off(BROKEN as f32 + 0.1)] {
                let error = detect_precision(hoped, &exact, &broken).expect_err("not the image");
                assert!(error.contains("off the CPU's in fp32"), "{hoped}: {error}");
            }
        }
        assert!(detect_precision(Backend::CudaFp16, &exact, &off(BROKEN as f32 - 0.1)).is_ok());
    }

    #[test]
    fn a_card_runs_what_the_network_says() {
        let exact = image(32);
        for hoped in [Backend::CudaFp32, Backend::CudaFp16] {
            assert_eq!([32, 19].map(|bits| detect_precision(hoped, &exact, &image(bits))), [Ok(hoped), Ok(hoped)]);
        }
    }

    #[test]
    fn both_sides_of_the_limit() {
        let (exact, off) = ([100.0; 12], |levels: f64| [100.0 + levels as f32; 12]);
        assert_eq!(detect_precision(Backend::OpenVinoBf16, &exact, &off(ROUNDING * 0.9)), Ok(Backend::OpenVinoFp32));
        assert_eq!(detect_precision(Backend::OpenVinoBf16, &exact, &off(ROUNDING * 1.1)), Ok(Backend::OpenVinoBf16));
    }

    #[test]
    fn a_copy_in_bf16_is_seen() {
        let exact = tile(TileShape::square(16));
        let fake = Fake { bits: 16, bicubic: Bicubic::new(Scale::new(1).expect("1 is a scale")) };
        let copy: Vec<f32> = exact.iter().map(|level| fake.round(*level)).collect();
        assert_eq!(detect_precision(Backend::OpenVinoBf16, &exact, &copy), Ok(Backend::OpenVinoBf16));
    }
}
