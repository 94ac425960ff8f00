//! The walk itself: one task a request that submits tiles and puts them in order, one blocking thread that joins them
//! and hands the rows on. Async code cuts single tiles and computes nothing else.

use std::sync::Arc;

use images::encode::EncodeError;
use images::raster::Raster;
use images::units::{Scale, Size};
use scheduler::{Finished, MemoryReservation, Rejection, Ticket, TileError};
use tiling::blend::band_rows;
use tiling::{Band, Blender, Grid, extract};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::blocking::spawn_blocking_cancellable;
use super::color::ColorTransform;
use super::context::Pipeline;
use super::ensemble;
use super::error::PipelineError;
use super::finisher::RowFinisher;
use super::flat::{self, FlatRegions};
use super::permit::{ComputePermit, Stopped};
use super::queue_timer::QueueTimer;
use super::reorder::Reorder;
use super::stage_timings::StageTimings;
use crate::telemetry::metrics::Stage;
use crate::telemetry::traces::{Fact, Trace};

/// Encoded bytes held back before the first leaves, so that a failure until then is a proper error.
pub const THRESHOLD: usize = 1 << 20;

/// Encoded bytes that leave together.
pub(super) const CHUNK: usize = 128 << 10;

/// Bytes of tiles, before and after, that one request has under way: enough to keep every worker in full batches
/// (12 tiles of 120x108 at x4), and what a large request may cost beside its rows.
const UNDER_WAY: usize = 32 << 20;

/// Tiles in order that wait to be joined.
const HANDOVER: usize = 4;

/// One network on one image.
#[derive(Clone, Copy, Debug)]
pub(super) struct PassSpec {
    pub(super) grid: Grid,
    pub(super) scale: Scale,
    /// Orientations in which each tile runs: 1 or 8.
    pub(super) copies: usize,
}

impl PassSpec {
    /// Size of what comes out.
    pub(super) fn output(&self) -> Size {
        self.grid.image().scaled(self.scale)
    }

    /// Tiles to run.
    pub(super) const fn tiles(&self) -> usize {
        self.grid.len() * self.copies
    }

    /// Bytes of tiles that it holds at most.
    pub(super) fn tiles_held(&self) -> u64 {
        // One more is being joined.
        let places = (self.window() + HANDOVER + 1).min(self.grid.len());
        (places * self.copies * self.tile_bytes()) as u64
    }

    /// Bytes that joining them, and keeping flat what is flat, holds at most.
    pub(super) fn blend_bytes(&self) -> u64 {
        let band = band_rows(self.output().width);
        Blender::held_bytes(&self.grid, self.scale) + flat::held_bytes(self.grid.image().width, self.scale, band)
    }

    /// Places of the grid that may be under way together, each `copies` tiles.
    fn window(&self) -> usize {
        (UNDER_WAY / (self.tile_bytes() * self.copies)).max(2)
    }

    /// Bytes of one tile and its upscaled image.
    fn tile_bytes(&self) -> usize {
        let shape = self.grid.spec().shape;
        (3 * shape.pixels() + shape.samples(self.scale)) * size_of::<f32>()
    }
}

/// Where it is noted how long a pass took.
#[derive(Clone)]
pub(super) struct PassContext {
    pub(super) model: String,
    pub(super) stage_timings: Arc<StageTimings>,
    pub(super) trace: Trace,
    /// Whether what comes out is the answer.
    pub(super) last: bool,
}

/// One pass over an image.
pub(super) struct Pass {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) image: Arc<Raster>,
    /// How its colors are shown to the network.
    pub(super) transform: ColorTransform,
    /// `None` if no network runs: then the rows are those of the image.
    pub(super) spec: Option<PassSpec>,
    pub(super) finisher: RowFinisher,
    pub(super) ticket: Ticket,
    pub(super) context: PassContext,
}

impl Pass {
    /// Runs every tile and gives the finished rows to `sink`, on a blocking thread that keeps `reservation`. Dropping the
    /// future cancels: queued tiles at once, the thread at its next wait.
    pub(super) async fn run<T, S>(self, reservation: MemoryReservation, sink: S) -> Result<T, PipelineError>
    where
        T: Send + 'static,
        S: FnOnce(Rows) -> Result<T, EncodeError> + Send + 'static,
    {
        let (metrics, stop) = (Arc::clone(&self.pipeline.metrics), CancellationToken::new());
        let _stopped_on_drop = stop.clone().drop_guard();
        let (tiles, ordered) = mpsc::channel(HANDOVER);
        let Self { pipeline, image, transform, spec, finisher, ticket, context } = self;
        let thread = Thread {
            tiles: ordered,
            image: Arc::clone(&image),
            transform: transform.clone(),
            spec,
            finisher,
            pipeline: Arc::clone(&pipeline),
            context: context.clone(),
        };
        // It may be in the middle of a long computation when nobody waits any more.
        let (runtime, stopped) = (Handle::current(), stop.clone());
        let joined = spawn_blocking_cancellable(&metrics, move || {
            let _held = reservation;
            thread.run(runtime, stopped, sink)
        });
        let producer = async {
            let Some(spec) = spec else { return Ok(()) };
            let produced = TileProducer { pipeline, image, transform, spec, ticket, context }.run(tiles).await;
            if produced.is_err() {
                stop.cancel();
            }
            produced
        };
        let (joined, produced) = tokio::join!(joined, producer);
        let joined = joined.and_then(|joined| joined);
        match produced {
            // The thread reports why it wanted no more tiles.
            Err(ProduceError::Unwanted) => {
                joined.and_then(|_| Err(PipelineError::Internal("the encoder ended before the image".into())))
            }
            Err(ProduceError::Failed(error)) => Err(error),
            Ok(()) => joined,
        }
    }
}

/// What the blocking thread does.
struct Thread {
    tiles: mpsc::Receiver<Vec<Vec<f32>>>,
    image: Arc<Raster>,
    transform: ColorTransform,
    spec: Option<PassSpec>,
    finisher: RowFinisher,
    pipeline: Arc<Pipeline>,
    context: PassContext,
}

impl Thread {
    fn run<T>(
        self,
        runtime: Handle,
        stop: CancellationToken,
        sink: impl FnOnce(Rows) -> Result<T, EncodeError>,
    ) -> Result<T, PipelineError> {
        let Self { tiles, image, transform, spec, finisher, pipeline, context } = self;
        let permit = ComputePermit::take(Arc::clone(&pipeline.compute), runtime, stop)
            .map_err(|Stopped| PipelineError::Internal("the request ended before its first row".into()))?;
        let source = match spec {
            Some(spec) => {
                let blender = Box::new(Blender::new(&spec.grid, spec.scale));
                RowSource::Tiles(tiles, blender, spec, FlatRegions::new(image, transform, spec.scale))
            }
            None => RowSource::Image(image, transform, 0),
        };
        let rows = Rows { source, finisher, permit: permit.clone() };
        let mut stage = context.trace.stage(if context.last { "encode" } else { "join" });
        let result = sink(rows).map_err(|error| PipelineError::Internal(error.to_string()));
        // Most of its time, rows wait for tiles.
        stage.knows(&[Fact::Seconds("upscaler.computed_seconds", permit.computed())]);
        if result.is_err() {
            stage.failed("encode");
        }
        drop(stage);
        if context.last {
            pipeline.observe(Stage::Encode, &context.model, context.stage_timings.encoded(permit.computed()));
        } else {
            context.stage_timings.joined(permit.computed());
        }
        result
    }
}

/// What the task does: it keeps the workers supplied.
struct TileProducer {
    pipeline: Arc<Pipeline>,
    image: Arc<Raster>,
    transform: ColorTransform,
    spec: PassSpec,
    ticket: Ticket,
    context: PassContext,
}

impl TileProducer {
    /// Submits tiles as places become free, and sends them on in the order of the grid.
    async fn run(mut self, tiles: mpsc::Sender<Vec<Vec<f32>>>) -> Result<(), ProduceError> {
        let (window, places) = (self.spec.window(), self.spec.grid.len());
        let mut reorder = Reorder::new(self.spec.copies);
        let mut submitted = 0;
        let mut timer = QueueTimer::new(self.context.trace.clone());
        while reorder.delivered < places {
            while submitted < places.min(reorder.delivered + window) {
                self.submit(submitted);
                submitted += 1;
                tokio::task::yield_now().await;
            }
            let finished = match self.ticket.finished().await {
                Ok(finished) => finished,
                // The caller that drives the pass ends it: its own timer, for the same instant, knows what was allowed.
                Err(TileError::Expired) => std::future::pending().await,
                // The time for the drain is over.
                Err(TileError::Stopped) => return Err(ProduceError::Failed(Rejection::Draining.into())),
                Err(error) => return Err(ProduceError::Failed(internal(&error))),
            };
            if timer.add(&finished) == self.spec.tiles() {
                let (queue, infer) = timer.end();
                let PassContext { model, stage_timings, last, .. } = &self.context;
                if let Some((queue, infer)) = stage_timings.inferred(queue, infer, *last) {
                    self.pipeline.observe(Stage::Queue, model, queue);
                    self.pipeline.observe(Stage::Infer, model, infer);
                }
            }
            self.check(&finished)?;
            reorder.take(finished);
            while let Some(parts) = reorder.next() {
                tiles.send(parts).await.map_err(|_| ProduceError::Unwanted)?;
            }
        }
        Ok(())
    }

    fn submit(&self, place: usize) {
        let PassSpec { grid, copies, .. } = &self.spec;
        let mut tile = extract::tile(&self.image, grid, place);
        self.transform.to_model(&mut tile, self.image.channels().colors() == 1);
        let size = grid.spec().shape.size();
        for k in 1..*copies {
            let (index, turned) = (place * copies + k, ensemble::turned(&tile, size, k));
            if ensemble::is_transposed(k) {
                self.ticket.submit_transposed(index, turned);
            } else {
                self.ticket.submit(index, turned);
            }
        }
        self.ticket.submit(place * copies, tile);
    }

    /// An engine that gives a tile of another size would shift the rest of the image.
    fn check(&self, finished: &Finished) -> Result<(), ProduceError> {
        let PassSpec { grid, scale, .. } = &self.spec;
        let expected = grid.spec().shape.samples(*scale);
        if finished.samples.len() == expected {
            return Ok(());
        }
        let actual = finished.samples.len();
        Err(ProduceError::Failed(PipelineError::Internal(format!(
            "a tile came back with {actual} values, not {expected}"
        ))))
    }
}

fn internal(error: &impl std::fmt::Display) -> PipelineError {
    PipelineError::Internal(error.to_string())
}

/// Why not every tile was sent on.
enum ProduceError {
    /// The thread takes no more.
    Unwanted,
    /// A tile failed.
    Failed(PipelineError),
}

/// Where bands of levels come from.
enum RowSource {
    /// Tiles that are joined as they come.
    Tiles(mpsc::Receiver<Vec<Vec<f32>>>, Box<Blender>, PassSpec, FlatRegions),
    /// An image, how its colors are shown, and how many of its rows were taken.
    Image(Arc<Raster>, ColorTransform, u32),
}

impl RowSource {
    /// The next band; `None` after the last, or if the request ended.
    fn band(&mut self, permit: &ComputePermit) -> Option<Band> {
        match self {
            Self::Image(image, transform, taken) => {
                let (y, size) = (*taken, image.size());
                let rows = band_rows(size.width).min(size.height - y);
                *taken += rows;
                (rows > 0).then(|| {
                    let mut planes = extract::rows(image, y..y + rows);
                    transform.to_model(&mut planes, image.channels().colors() == 1);
                    Band { y, rows, planes }
                })
            }
            Self::Tiles(tiles, blender, spec, flat) => loop {
                if let Some(mut band) = blender.band() {
                    flat.keep(&mut band);
                    return Some(band);
                }
                if blender.is_done() {
                    return None;
                }
                let parts = match tiles.try_recv() {
                    Ok(parts) => parts,
                    Err(_) => permit.wait_for(tiles.recv()).ok()??,
                };
                blender.push(&ensemble::joined(parts, spec.grid.spec().shape.size().scaled(spec.scale)));
            },
        }
    }
}

/// The finished rows of an image, as an encoder pulls them; ends early if the request does.
pub(super) struct Rows {
    source: RowSource,
    finisher: RowFinisher,
    pub(super) permit: ComputePermit,
}

impl Iterator for Rows {
    type Item = Raster;

    fn next(&mut self) -> Option<Raster> {
        loop {
            self.permit.yield_now().ok()?;
            let band = self.source.band(&self.permit)?;
            if let Some(rows) = self.finisher.rows(band) {
                return Some(rows);
            }
        }
    }
}
