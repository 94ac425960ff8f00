//! One batch on one engine: run it, and see to it that a bad tile fails its own request and no other.
//!
//! Tiles of the self-ensemble that lie on their side share the batch with the others, since they cost the same, and go
//! through the engine apart.
//!
//! An engine fails a batch as a whole. If tiles of several requests were in it, each request's tiles run apart once
//! more, so that neighbors of a bad tile get their result; a request that fails alone is failed, without another
//! try, since an engine gives the same answer to the same tiles (what can be cured, such as a NaN at reduced
//! precision, it cures itself). A panic is not tried again: it is a bug, and what it left behind is not known well
//! enough to run the same tiles through it at once.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use images::units::TileShape;
use inference::engine::{EngineError, TileEngine};

use super::queue::FlowId;
use super::tile::TileError;

/// A tile on its way through the engine.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) flow: FlowId,
    /// As given to `Ticket::submit`.
    pub(super) index: usize,
    pub(super) samples: Vec<f32>,
    /// It lies on the side of the batch's shape.
    pub(super) transposed: bool,
    /// How long it waited.
    pub(super) queued: Duration,
}

/// What became of a [`Job`].
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) flow: FlowId,
    pub(super) index: usize,
    pub(super) queued: Duration,
    /// Of the call that gave this result.
    pub(super) ran: Duration,
    pub(super) result: Result<Vec<f32>, TileError>,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// One for each job.
    pub(super) outcomes: Vec<Outcome>,
    /// Tiles and time of each call of the engine that succeeded.
    pub(super) measured: Vec<(usize, Duration)>,
    /// Calls of the engine, failed ones included: their tiles.
    pub(super) calls: Vec<usize>,
    /// Calls that ended in a non-finite value or another image, after what the engine did about it.
    pub(super) nonfinite: u64,
    /// Tiles that the engine cured of it by running them again in fp32, or tried to.
    pub(super) fp32_retries: u64,
    /// The engine panicked.
    pub(super) panicked: bool,
}

/// Runs the jobs of one batch. `wanted` answers, before a second try, whether anybody still waits for a request.
pub(super) fn run(
    engine: Option<&mut (dyn TileEngine + 'static)>,
    shape: TileShape,
    jobs: Vec<Job>,
    wanted: impl Fn(FlowId) -> bool,
) -> Report {
    let mut report = Report::default();
    let Some(engine) = engine else {
        let error = TileError::Engine(Arc::new(EngineError::Runtime("this worker has no such network".to_owned())));
        report.fail(jobs, &error, Duration::ZERO);
        return report;
    };
    let is_other = |job: &Job| job.transposed && shape != shape.transposed();
    let (transposed, jobs): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(is_other);
    for (shape, jobs) in [(shape, jobs), (shape.transposed(), transposed)] {
        if !jobs.is_empty() {
            report.run(engine, shape, jobs, &wanted);
        }
    }
    report
}

impl Report {
    /// Runs jobs of one shape.
    fn run(
        &mut self,
        engine: &mut (dyn TileEngine + 'static),
        shape: TileShape,
        jobs: Vec<Job>,
        wanted: impl Fn(FlowId) -> bool,
    ) {
        let Err((jobs, error, ran)) = self.attempt(engine, shape, jobs) else { return };
        let groups = by_flow(jobs);
        if groups.len() == 1 || matches!(error, TileError::Panicked) {
            for jobs in groups {
                self.conclude(jobs, &error, ran);
            }
            return;
        }
        tracing::warn!(%error, requests = groups.len(), "a batch failed; running its requests apart");
        for jobs in groups {
            if jobs.first().is_some_and(|job| wanted(job.flow)) {
                if let Err((jobs, error, ran)) = self.attempt(engine, shape, jobs) {
                    self.conclude(jobs, &error, ran);
                }
            } else {
                self.fail(jobs, &error, ran);
            }
        }
    }

    /// One call of the engine. Its tiles come back if it fails.
    fn attempt(
        &mut self,
        engine: &mut (dyn TileEngine + 'static),
        shape: TileShape,
        mut jobs: Vec<Job>,
    ) -> Result<(), (Vec<Job>, TileError, Duration)> {
        let tiles: Vec<Vec<f32>> = jobs.iter_mut().map(|job| std::mem::take(&mut job.samples)).collect();
        self.calls.push(tiles.len());
        let begun = Instant::now();
        // An engine keeps no state from one call to the next but its session, which a panic in Rust code between calls
        // of the runtime does not reach.
        let result = catch_unwind(AssertUnwindSafe(|| engine.upscale(shape, &tiles)));
        let ran = begun.elapsed();
        self.fp32_retries += engine.take_fp32_retries();
        let error = match result {
            Ok(Ok(results)) if results.len() == jobs.len() => {
                self.measured.push((jobs.len(), ran));
                self.outcomes.extend(jobs.into_iter().zip(results).map(|(job, samples)| job.ended(ran, Ok(samples))));
                return Ok(());
            }
            Ok(Ok(results)) => {
                TileError::Engine(Arc::new(EngineError::Shape { expected: jobs.len(), actual: results.len() }))
            }
            Ok(Err(error)) => TileError::Engine(Arc::new(error)),
            Err(panic) => {
                tracing::error!(panic = panic_text(&*panic), "the engine panicked on a batch");
                self.panicked = true;
                TileError::Panicked
            }
        };
        for (job, samples) in jobs.iter_mut().zip(tiles) {
            job.samples = samples;
        }
        Err((jobs, error, ran))
    }

    /// The last word on jobs that the engine failed on.
    fn conclude(&mut self, jobs: Vec<Job>, error: &TileError, ran: Duration) {
        if let TileError::Engine(engine) = error {
            let unusable = matches!(**engine, EngineError::NonFinite { .. } | EngineError::Strays { .. });
            self.nonfinite += u64::from(unusable);
        }
        self.fail(jobs, error, ran);
    }

    fn fail(&mut self, jobs: Vec<Job>, error: &TileError, ran: Duration) {
        self.outcomes.extend(jobs.into_iter().map(|job| job.ended(ran, Err(error.clone()))));
    }
}

impl Job {
    fn ended(self, ran: Duration, result: Result<Vec<f32>, TileError>) -> Outcome {
        Outcome { flow: self.flow, index: self.index, queued: self.queued, ran, result }
    }
}

/// The jobs of each request, requests in the order of their first job.
fn by_flow(jobs: Vec<Job>) -> Vec<Vec<Job>> {
    let mut groups: Vec<Vec<Job>> = Vec::new();
    for job in jobs {
        match groups.iter_mut().find(|group| group[0].flow == job.flow) {
            Some(group) => group.push(job),
            None => groups.push(vec![job]),
        }
    }
    groups
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::resume_unwind;

    use inference::engine::Execution;

    use super::*;

    /// Fails on tiles below zero, panics on NaN, loses results above 1000, runs a tile of 500 again; else gives tiles
    /// back as they came.
    struct Touchy {
        calls: Vec<Vec<f32>>,
        shapes: Vec<TileShape>,
        fp32_retries: u64,
    }

    impl TileEngine for Touchy {
        fn upscale(&mut self, shape: TileShape, tiles: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
            self.shapes.push(shape);
            let first: Vec<f32> = tiles.iter().map(|tile| tile[0]).collect();
            self.calls.push(first.clone());
            self.fp32_retries += first.iter().filter(|v| **v == 500.0).count() as u64;
            if first.iter().any(|v| v.is_nan()) {
                // As a panic, but nothing is printed.
                resume_unwind(Box::new("touchy"));
            }
            match first.iter().position(|v| *v < 0.0) {
                Some(tile) => Err(EngineError::NonFinite { tile }),
                None => Ok(tiles.iter().filter(|tile| tile[0] <= 1000.0).cloned().collect()),
            }
        }

        fn execution(&self) -> Execution {
            Execution { provider: "test".to_owned(), precision: "fp32".to_owned() }
        }

        fn take_fp32_retries(&mut self) -> u64 {
            std::mem::take(&mut self.fp32_retries)
        }
    }

    /// Runs tiles given as (request, value) and returns, in order of request and index, what came of each.
    fn outcomes(tiles: &[(u64, f32)], wanted: impl Fn(FlowId) -> bool) -> (Vec<Outcome>, Report, Vec<Vec<f32>>) {
        let mut engine = Touchy { calls: Vec::new(), shapes: Vec::new(), fp32_retries: 0 };
        let jobs = tiles.iter().enumerate().map(|(index, (flow, value))| Job {
            flow: FlowId(*flow),
            index,
            samples: vec![*value],
            transposed: false,
            queued: Duration::ZERO,
        });
        let mut report = run(Some(&mut engine), TileShape::square(1), jobs.collect(), wanted);
        let mut outcomes = std::mem::take(&mut report.outcomes);
        outcomes.sort_by_key(|outcome| outcome.index);
        (outcomes, report, engine.calls)
    }

    fn good(outcomes: &[Outcome]) -> Vec<bool> {
        outcomes.iter().map(|outcome| outcome.result.is_ok()).collect()
    }

    #[test]
    fn results_keep_their_places() {
        let (outcomes, report, calls) = outcomes(&[(1, 5.0), (2, 6.0), (1, 7.0)], |_| true);
        let values: Vec<f32> = outcomes.iter().filter_map(|o| o.result.as_ref().ok()).map(|s| s[0]).collect();
        assert_eq!(values, [5.0, 6.0, 7.0]);
        assert_eq!(calls.len(), 1);
        assert_eq!(report.measured.iter().map(|(tiles, _)| *tiles).collect::<Vec<_>>(), [3]);
        assert_eq!(report.calls, [3]);
    }

    #[test]
    fn a_bad_tile_fails_its_request_and_no_neighbor() {
        let (outcomes, report, calls) = outcomes(&[(1, 5.0), (2, -1.0), (1, 7.0), (2, 8.0), (3, 9.0)], |_| true);
        assert_eq!(good(&outcomes), [true, false, true, false, true]);
        assert_eq!(calls[1..], [vec![5.0, 7.0], vec![-1.0, 8.0], vec![9.0]]);
        assert_eq!(report.nonfinite, 1, "counted once, not once more for the batch");
        assert_eq!(report.calls, [5, 2, 2, 1]);
    }

    #[test]
    fn tiles_that_ran_again_in_fp32_are_counted_in_every_call() {
        let (outcomes, report, calls) = outcomes(&[(1, 500.0), (2, -1.0), (1, 500.0)], |_| true);
        assert_eq!(good(&outcomes), [true, false, true]);
        assert_eq!((calls.len(), report.fp32_retries, report.nonfinite), (3, 4, 1), "two in the batch, two apart");
    }

    #[test]
    fn a_request_alone_is_not_tried_again() {
        let (outcomes, report, calls) = outcomes(&[(1, 5.0), (1, -1.0)], |_| true);
        assert_eq!(good(&outcomes), [false, false]);
        assert_eq!((calls.len(), report.nonfinite), (1, 1));
    }

    #[test]
    fn nothing_is_tried_again_for_a_client_that_left() {
        let asked = Cell::new(0);
        let (outcomes, _, calls) = outcomes(&[(1, -5.0), (2, 6.0)], |flow| {
            asked.set(asked.get() + 1);
            flow == FlowId(2)
        });
        assert_eq!(good(&outcomes), [false, true]);
        assert_eq!((calls.len(), asked.get()), (2, 2));
    }

    #[test]
    fn a_panic_fails_the_batch_and_is_not_tried_again() {
        let (outcomes, report, calls) = outcomes(&[(1, 5.0), (2, f32::NAN)], |_| true);
        assert!(report.panicked);
        assert!(outcomes.iter().all(|outcome| matches!(outcome.result, Err(TileError::Panicked))));
        assert_eq!((outcomes.len(), calls.len(), report.measured.len()), (2, 1, 0));
    }

    #[test]
    fn tiles_on_their_side_run_apart_unless_they_are_squares() {
        let ran = |shape| {
            let mut engine = Touchy { calls: Vec::new(), shapes: Vec::new(), fp32_retries: 0 };
            let jobs = [(0, false), (1, true), (2, true), (3, false)].map(|(index, transposed)| Job {
                flow: FlowId(1),
                index,
                samples: vec![index as f32],
                transposed,
                queued: Duration::ZERO,
            });
            let report = run(Some(&mut engine), shape, jobs.into(), |_| true);
            assert!(
                report.outcomes.iter().all(|o| o.result.as_ref().is_ok_and(|samples| samples[0] == o.index as f32))
            );
            assert_eq!((report.outcomes.len(), report.calls.len()), (4, report.measured.len()));
            (engine.shapes, engine.calls)
        };
        let (wide, tall) = (TileShape::new(3, 2), TileShape::new(2, 3));
        assert_eq!(ran(wide), (vec![wide, tall], vec![vec![0.0, 3.0], vec![1.0, 2.0]]));
        let square = TileShape::square(2);
        assert_eq!(ran(square), (vec![square], vec![vec![0.0, 1.0, 2.0, 3.0]]));
    }

    #[test]
    fn a_lost_result_is_an_error() {
        let (outcomes, ..) = outcomes(&[(1, 5.0), (1, 2000.0)], |_| true);
        let error = outcomes[0].result.as_ref().err().map(ToString::to_string);
        assert_eq!(error.as_deref(), Some("the network gave 1 values for a batch that needs 2"));
    }

    #[test]
    fn a_network_that_the_worker_lacks_is_an_error() {
        let job = Job { flow: FlowId(1), index: 0, samples: vec![0.0], transposed: false, queued: Duration::ZERO };
        let report = run(None, TileShape::square(1), vec![job], |_| true);
        assert!(matches!(report.outcomes[0].result, Err(TileError::Engine(_))));
    }

    #[test]
    fn panic_texts_are_reported() {
        assert_eq!(panic_text(&"plain"), "plain");
        assert_eq!(panic_text(&"built".to_owned()), "built");
        assert_eq!(panic_text(&7), "no text");
    }
}
