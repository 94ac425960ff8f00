//! The walk itself: one task a request that submits tiles and puts them in order, one blocking thread that joins them
//! and hands the rows on. Async code cuts single tiles and computes nothing else.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::alpha::Alpha;
use super::fidelity::Treatment;
use super::finish::Finish;
use super::turn::{Stopped, Turn};
use super::waits::Waits;
use super::{Pipeline, PipelineError, Timings, aside, ensemble};
use crate::codec::encode::EncodeError;
use crate::raster::Raster;
use crate::scheduler::{Finished, Ticket, TileError};
use crate::telemetry::metrics::Stage;
use crate::telemetry::traces::{Fact, Trace};
use crate::tiling::{Blender, Grid, extract};
use crate::units::{Scale, Size};

/// Encoded bytes held back before the first leaves, so that a failure until then is a proper error.
pub const THRESHOLD: usize = 1 << 20;

/// Encoded bytes that leave together.
pub(super) const CHUNK: usize = 128 << 10;

/// Bytes of tiles, before and after, that one request has under way: enough to keep every worker in full batches
/// (40 tiles of 64x64 at x4), and what a poster may cost beside its rows.
const UNDER_WAY: usize = 32 << 20;

/// Tiles in order that wait to be joined.
const HANDOVER: usize = 4;

/// Bytes of one tile and its enlargement.
fn tile_bytes(grid: &Grid, scale: Scale) -> usize {
    3 * grid.spec().shape.pixels() * (1 + (scale.factor() as usize).pow(2)) * size_of::<f32>()
}

/// Size of a tile.
fn square(grid: &Grid) -> Size {
    Size::new(grid.spec().shape.side(), grid.spec().shape.side())
}

/// Places of the grid that may be under way together, each `copies` tiles.
fn window(grid: &Grid, scale: Scale, copies: usize) -> usize {
    (UNDER_WAY / (tile_bytes(grid, scale) * copies)).max(2)
}

/// Bytes of tiles that a request holds at most.
pub(super) fn tiles_held(grid: &Grid, scale: Scale, copies: usize) -> u64 {
    // One more is being joined.
    let places = (window(grid, scale, copies) + HANDOVER + 1).min(grid.len());
    (places * copies * tile_bytes(grid, scale)) as u64
}

/// What the stages took; written by whoever ends one.
#[derive(Debug, Default)]
pub(super) struct Clock(Mutex<Timings>);

impl Clock {
    pub(super) fn timings(&self) -> Timings {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut Timings)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn decoded(&self, took: Duration) {
        self.set(|timings| timings.decode = took);
    }

    pub(super) fn inferred(&self, queue: Duration, infer: Duration) {
        self.set(|timings| (timings.queue, timings.infer) = (queue, infer));
    }

    pub(super) fn encoded(&self, took: Duration) {
        self.set(|timings| timings.encode = took);
    }
}

/// An admitted and decoded request.
pub(super) struct Walk {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) picture: Arc<Raster>,
    pub(super) alpha: Alpha,
    pub(super) model: String,
    pub(super) grid: Grid,
    pub(super) scale: Scale,
    /// What the rows that come out are.
    pub(super) treatment: Treatment,
    /// Orientations in which each tile runs: 1 or 8.
    pub(super) copies: usize,
    pub(super) ticket: Ticket,
    pub(super) clock: Arc<Clock>,
    pub(super) trace: Trace,
}

impl Walk {
    /// Runs every tile and gives the finished rows to `sink`, on a blocking thread. Dropping the future cancels:
    /// queued tiles at once, the thread at its next wait.
    pub(super) async fn run<T, S>(mut self, sink: S) -> Result<T, PipelineError>
    where
        T: Send + 'static,
        S: FnOnce(Rows) -> Result<T, EncodeError> + Send + 'static,
    {
        let (metrics, stop) = (Arc::clone(&self.pipeline.metrics), CancellationToken::new());
        let _stopped_on_drop = stop.clone().drop_guard();
        let (tiles, ordered) = mpsc::channel(HANDOVER);
        let thread = self.thread(ordered, stop.clone(), sink);
        // It may be in the middle of a long computation when nobody waits any more.
        let hold = self.ticket.hold();
        let joined = aside(&metrics, move || {
            let _held = hold;
            thread()
        });
        let feed = async {
            let fed = self.feed(tiles).await;
            if fed.is_err() {
                stop.cancel();
            }
            fed
        };
        let (joined, fed) = tokio::join!(joined, feed);
        let joined = joined.and_then(|joined| joined);
        match fed {
            // The thread says why it wanted no more tiles.
            Err(Unfed::Unwanted) => {
                joined.and_then(|_| Err(PipelineError::Internal("the encoder ended before the picture".into())))
            }
            Err(Unfed::Failed(error)) => Err(error),
            Ok(()) => joined,
        }
    }

    /// What the blocking thread does.
    fn thread<T, S>(
        &self,
        tiles: mpsc::Receiver<Vec<Vec<f32>>>,
        stop: CancellationToken,
        sink: S,
    ) -> impl FnOnce() -> Result<T, PipelineError> + Send + 'static + use<T, S>
    where
        T: Send + 'static,
        S: FnOnce(Rows) -> Result<T, EncodeError> + Send + 'static,
    {
        let finish = Finish::new(Arc::clone(&self.picture), self.alpha, self.scale, self.treatment.clone());
        let (grid, scale, model) = (self.grid, self.scale, self.model.clone());
        let (pipeline, clock, trace) = (Arc::clone(&self.pipeline), Arc::clone(&self.clock), self.trace.clone());
        let runtime = Handle::current();
        move || {
            let turn = Turn::take(Arc::clone(&pipeline.compute), runtime, stop)
                .map_err(|Stopped| PipelineError::Internal("the request ended before its first row".into()))?;
            let blender = Blender::new(&grid, scale);
            let rows = Rows { tiles, blender, tile: square(&grid).scaled(scale), finish, turn: turn.clone() };
            let mut stage = trace.stage("encode");
            let result = sink(rows).map_err(|error| PipelineError::Internal(error.to_string()));
            // Most of its time, rows wait for tiles.
            stage.knows(&[Fact::Seconds("upscaler.computed_seconds", turn.computed())]);
            if result.is_err() {
                stage.failed("encode");
            }
            drop(stage);
            clock.encoded(turn.computed());
            pipeline.observe(Stage::Encode, &model, turn.computed());
            result
        }
    }

    /// Submits tiles as places become free, and sends them on in the order of the grid.
    async fn feed(&mut self, tiles: mpsc::Sender<Vec<Vec<f32>>>) -> Result<(), Unfed> {
        let window = window(&self.grid, self.scale, self.copies);
        let mut order = Order::new(self.copies);
        let mut submitted = 0;
        let mut waits = Waits::new(self.trace.clone());
        while order.delivered < self.grid.len() {
            while submitted < self.grid.len().min(order.delivered + window) {
                self.submit(submitted);
                submitted += 1;
                tokio::task::yield_now().await;
            }
            let finished = match self.ticket.finished().await {
                Ok(finished) => finished,
                // Told by whoever drives the walk: its own timer, for the same instant, knows what was allowed.
                Err(TileError::Expired) => std::future::pending().await,
                Err(error) => return Err(Unfed::Failed(internal(&error))),
            };
            if waits.add(&finished) == self.grid.len() * self.copies {
                let (queue, infer) = waits.end();
                self.clock.inferred(queue, infer);
                self.pipeline.observe(Stage::Queue, &self.model, queue);
                self.pipeline.observe(Stage::Infer, &self.model, infer);
            }
            self.check(&finished)?;
            order.take(finished);
            while let Some(parts) = order.next() {
                tiles.send(parts).await.map_err(|_| Unfed::Unwanted)?;
            }
        }
        Ok(())
    }

    fn submit(&self, place: usize) {
        let mut tile = extract::tile(&self.picture, &self.grid, place);
        self.treatment.way.show(&mut tile, self.picture.channels().colours() == 1);
        for k in 1..self.copies {
            self.ticket.submit(place * self.copies + k, ensemble::turned(&tile, square(&self.grid), k));
        }
        self.ticket.submit(place * self.copies, tile);
    }

    /// An engine that gives a tile of another size would shift the rest of the picture.
    fn check(&self, finished: &Finished) -> Result<(), Unfed> {
        let expected = 3 * self.grid.spec().shape.pixels() * (self.scale.factor() as usize).pow(2);
        if finished.samples.len() == expected {
            return Ok(());
        }
        let actual = finished.samples.len();
        Err(Unfed::Failed(PipelineError::Internal(format!("a tile came back with {actual} values, not {expected}"))))
    }
}

fn internal(error: &impl std::fmt::Display) -> PipelineError {
    PipelineError::Internal(error.to_string())
}

/// Why not every tile was sent on.
enum Unfed {
    /// The thread takes no more.
    Unwanted,
    /// A tile failed.
    Failed(PipelineError),
}

/// Puts tiles that finish in any order into that of the grid.
struct Order {
    copies: usize,
    /// Places that were given out.
    delivered: usize,
    /// The places after those, as far as anything of them came; `None` is a part that did not.
    places: VecDeque<Vec<Option<Vec<f32>>>>,
}

impl Order {
    fn new(copies: usize) -> Self {
        Self { copies, delivered: 0, places: VecDeque::new() }
    }

    fn take(&mut self, finished: Finished) {
        let (place, part) = (finished.index / self.copies - self.delivered, finished.index % self.copies);
        while self.places.len() <= place {
            self.places.push_back(vec![None; self.copies]);
        }
        self.places[place][part] = Some(finished.samples);
    }

    /// The parts of the next place, once all of them came.
    fn next(&mut self) -> Option<Vec<Vec<f32>>> {
        if !self.places.front()?.iter().all(Option::is_some) {
            return None;
        }
        self.delivered += 1;
        self.places.pop_front().map(|parts| parts.into_iter().flatten().collect())
    }
}

/// The finished rows of a picture, as an encoder pulls them; ends early if the request does.
pub(super) struct Rows {
    tiles: mpsc::Receiver<Vec<Vec<f32>>>,
    blender: Blender,
    /// Size of an enlarged tile.
    tile: Size,
    finish: Finish,
    pub(super) turn: Turn,
}

impl Iterator for Rows {
    type Item = Raster;

    fn next(&mut self) -> Option<Raster> {
        self.turn.yield_now().ok()?;
        loop {
            if let Some(band) = self.blender.band() {
                return Some(self.finish.rows(band));
            }
            if self.blender.is_done() {
                return None;
            }
            let parts = match self.tiles.try_recv() {
                Ok(parts) => parts,
                Err(_) => self.turn.wait_for(self.tiles.recv()).ok()??,
            };
            self.blender.push(&ensemble::joined(parts, self.tile));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(index: usize) -> Finished {
        Finished { index, samples: vec![index as f32], queued: Duration::ZERO, ran: Duration::ZERO }
    }

    #[test]
    fn tiles_come_out_in_the_order_of_the_grid() {
        let mut order = Order::new(1);
        order.take(finished(2));
        assert!(order.next().is_none());
        order.take(finished(0));
        assert_eq!(order.next(), Some(vec![vec![0.0]]));
        assert!(order.next().is_none());
        order.take(finished(1));
        assert_eq!(order.next(), Some(vec![vec![1.0]]));
        assert_eq!(order.next(), Some(vec![vec![2.0]]));
        assert!(order.next().is_none() && order.delivered == 3);
    }

    #[test]
    fn a_place_is_out_when_all_its_orientations_are() {
        let mut order = Order::new(2);
        for index in [3, 1] {
            order.take(finished(index));
            assert!(order.next().is_none());
        }
        order.take(finished(0));
        assert_eq!(order.next(), Some(vec![vec![0.0], vec![1.0]]));
        order.take(finished(2));
        assert_eq!(order.next(), Some(vec![vec![2.0], vec![3.0]]));
    }
}
