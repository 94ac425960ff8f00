//! Tiles that are no squares, as far as the engine.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::*;

const BOUNDS: TileBounds = TileBounds { step: 8, min_side: 16, max_side: 64, max_area: 1024, halo: 4 };

/// Bicubic that keeps the shapes of its batches.
struct Watched(Arc<Mutex<BTreeSet<TileShape>>>);

impl TileEngine for Watched {
    fn upscale(&mut self, shape: TileShape, tiles: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
        self.0.lock().expect("nobody panicked").insert(shape);
        Bicubic::new(scale()).upscale(shape, tiles)
    }

    fn execution(&self) -> Execution {
        Bicubic::new(scale()).execution()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ensemble_turns_tiles_of_any_shape() {
    for (size, tile, places) in
        [(Size::new(50, 20), (32, 32), 3), (Size::new(100, 10), (40, 24), 4), (Size::new(9, 40), (24, 32), 2)]
    {
        let (seen, image) = (Arc::default(), noise(size, Channels::Rgb));
        let pipeline = pipeline_in(BOUNDS, &[2], |_| Box::new(Watched(Arc::clone(&seen))));
        let shape = TileShape::new(tile.0, tile.1);
        let mut answers = Vec::new();
        for (ensemble, copies, shapes) in
            [(false, 1, BTreeSet::from([shape])), (true, 8, BTreeSet::from([shape, shape.transposed()]))]
        {
            let options = Options { ensemble, ..options(OutputFormat::Png) };
            let plan = pipeline.plan(png(&image), &options).await.expect("a good image");
            assert_eq!((plan.passes[0].tile.shape, plan.tiles), (shape, copies * places), "{size}");
            seen.lock().expect("nobody panicked").clear();
            answers.push(pipeline.upscale_raster(image.clone(), options).await.expect("good pixels"));
            assert_eq!(*seen.lock().expect("nobody panicked"), shapes, "{size}");
        }
        // Bicubic is the same in every orientation, but for the order of its sums.
        let (once, often) = (&answers[0], &answers[1]);
        for y in 0..once.size().height {
            for x in 0..once.size().width {
                assert!((once.level(x, y, 1) - often.level(x, y, 1)).abs() <= 1.0, "{size} at {x}, {y}");
            }
        }
        idle(&pipeline).await;
    }
}
