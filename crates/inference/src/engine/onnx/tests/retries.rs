//! Tiles that are not usable and run again in fp32 on the CPU.

use super::*;

/// Infinite for levels above 68 where `exact` is not.
fn loud(exact: &str) -> Option<OnnxEngine> {
    let mut engine = engine("broken/loud/x2.onnx", 2, 255.0)?;
    engine.exact = Some(self::engine(exact, 2, 255.0)?.session);
    Some(engine)
}

#[test]
fn a_tile_that_overflows_runs_again_in_fp32_and_is_counted() {
    let Some(mut engine) = loud("models/nearest/x2.onnx") else { return };
    let dark: Vec<f32> = (0..PLANES * SIDE * SIDE).map(|i| (i % 64) as f32).collect();
    let tiles = [dark.clone(), tile(0, SIDE), dark.clone(), tile(1, SIDE)];
    let upscaled = engine.upscale(TileShape::square(SIDE as u32), &tiles).expect("the other session bears it");
    for (small, large) in tiles.iter().zip(&upscaled) {
        assert!(furthest(large, &repeated(small, SIDE, SIDE, 2)) < 0.1);
    }
    assert_eq!([engine.take_fp32_retries(), engine.take_fp32_retries()], [2, 0]);
    engine.upscale(TileShape::square(SIDE as u32), &[dark]).expect("nothing is infinite");
    assert_eq!(engine.take_fp32_retries(), 0);
    let image = tile(2, SIDE);
    assert!(engine.upscale_any(SIDE, SIDE, &image).is_ok(), "whole images as well");
    assert_eq!(engine.take_fp32_retries(), 1);
}

#[test]
fn a_tile_that_fp32_does_not_bear_fails() {
    let Some(mut engine) = loud("broken/loud/x2.onnx") else { return };
    let tiles = [10.0, 200.0].map(|level| vec![level; PLANES * SIDE * SIDE]);
    let error = engine.upscale(TileShape::square(SIDE as u32), &tiles).expect_err("the second is infinite in both");
    assert!(matches!(error, EngineError::NonFinite { tile: 1 }), "{error}");
    assert_eq!(engine.take_fp32_retries(), 1, "it was tried");
}

/// What a network and the CPU's own session beside it make of two tiles, of which the network answers the first rightly.
fn lying(exact: Option<&str>) -> Option<Result<Vec<Vec<f32>>, EngineError>> {
    let mut engine = engine("broken/black/x2.onnx", 2, 255.0)?;
    if let Some(exact) = exact {
        engine.exact = Some(self::engine(exact, 2, 255.0)?.session);
    }
    let tiles = [20.0, 200.0].map(|level| vec![level; PLANES * SIDE * SIDE]);
    let upscaled = engine.upscale(TileShape::square(SIDE as u32), &tiles);
    assert_eq!(engine.take_fp32_retries(), u64::from(exact.is_some()));
    Some(upscaled)
}

#[test]
fn a_tile_that_comes_back_black_runs_again_on_the_cpu_and_is_counted() {
    let Some(upscaled) = lying(Some("models/nearest/x2.onnx")) else { return };
    let upscaled = upscaled.expect("the other session makes an image of it");
    assert_eq!(upscaled[0], vec![0.0; PLANES * 4 * SIDE * SIDE], "within the bound nothing is asked");
    assert_eq!(upscaled[1], vec![200.0; PLANES * 4 * SIDE * SIDE]);
}

#[test]
fn a_tile_that_stays_black_fails() {
    for exact in [None, Some("broken/black/x2.onnx")] {
        let Some(upscaled) = lying(exact) else { return };
        let error = upscaled.expect_err("it is not the image");
        assert!(matches!(error, EngineError::Strays { tile: 1, levels: 200.0, .. }), "{error}");
    }
}
