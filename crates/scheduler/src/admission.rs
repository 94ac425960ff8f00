//! Whether a request may come in: all of it or nothing, by tiles, bytes and deadline. Pure arithmetic.
//!
//! A request is late if fair sharing with those already in would finish it after its deadline ([`Share`]). That alone
//! is not enough: each new request also slows those admitted before, and under lasting overload of equal requests
//! everybody would be admitted in time, finish late, and the server would compute for nobody. So a new request is also
//! refused if it would make an admitted request late that was in time without it. Only requests that need at most
//! half of the server for the time they have are so protected; otherwise one large request that barely meets its deadline
//! would shut out every thumbnail until then. Such a large request is admitted while it fits, and takes its chance.
//!
//! Work is what competes: a request whose client does not read holds its budgets but asks nothing of the workers, so it
//! neither makes others late nor is it protected, until it reads on.

use std::time::Duration;

use images::units::Amount;
use tokio::time::Instant;

use super::queue::BatchClass;
use super::rate::Rates;
use super::share::Share;

/// The part of the server that admitted requests may claim for the time they have, each.
const PROTECTED_PART: f64 = 0.5;

/// The longest time to suggest to a client before it tries again.
const RETRY_MAX: f64 = 3600.0;

/// Bounds of the scheduler; checked by `config`.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of a network's largest tiles in one batch at most, at least 1; of smaller ones as `BatchSizer` gives.
    pub batch_max: usize,
    /// How long a worker that found work waits for a fuller batch.
    pub batch_delay: Duration,
    /// Tiles of all admitted requests together at most.
    pub queue_tiles: usize,
    /// Bytes of all admitted requests together at most.
    pub queue_bytes: u64,
}

/// What a request asks to be admitted with; one that runs through several networks, for each of these passes.
#[derive(Clone, Debug)]
pub struct AdmissionRequest {
    /// Network and shape of its tiles.
    pub class: BatchClass,
    /// How many tiles it will submit (x8 with self-ensemble); none if no network runs.
    pub tiles: usize,
    /// Memory it will hold at most while it runs.
    pub bytes: u64,
    /// When its answer is worthless.
    pub deadline: Instant,
}

/// Why a request is not admitted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// The queue holds too many tiles of others.
    #[error("the queue is full: {queued} of {limit} tiles are taken and this request needs {needed}; try again in {} s", retry_after.as_secs())]
    QueueFull {
        /// Tiles admitted now.
        queued: usize,
        /// `Limits::queue_tiles`.
        limit: usize,
        /// Tiles of this request.
        needed: usize,
        /// When there should be room, by the measured rate; whole seconds, at least one.
        retry_after: Duration,
    },
    /// The requests under way hold too much memory.
    #[error("the memory budget is taken: {held} of {limit} bytes are held and this request needs {needed}; try again in {} s", retry_after.as_secs())]
    MemoryFull {
        /// Bytes admitted now.
        held: u64,
        /// `Limits::queue_bytes`.
        limit: u64,
        /// Bytes of this request.
        needed: u64,
        /// When there should be room; whole seconds, at least one.
        retry_after: Duration,
    },
    /// It would be in time on an idle server, but not behind what waits here.
    #[error("the server is too busy for this request: it would take about {} s and has {} s; try again in {} s", Amount::from(*estimate), Amount::from(*available), retry_after.as_secs())]
    Late {
        /// By the measured rate and fair sharing with those admitted before.
        estimate: Duration,
        /// Until the deadline.
        available: Duration,
        /// When the queue should have shrunk enough; whole seconds, at least one.
        retry_after: Duration,
    },
    /// It would be in time itself, but make a request late that was admitted before it.
    #[error("the server is too busy for this request: it would make others late that were admitted before it; try again in {} s", retry_after.as_secs())]
    WouldDelay {
        /// When those should be near enough to their end; whole seconds, at least one.
        retry_after: Duration,
    },
    /// Not even an idle server would be in time, or room could never be made.
    #[error("{reason}")]
    TooLarge {
        /// Which of the budgets, in words, with the numbers and the remedy.
        reason: String,
        /// The budget exceeded: `deadline_seconds`, `queue_tiles` or `memory_bytes`.
        limit_name: &'static str,
        /// Its value.
        limit: Amount,
        /// What the request needs.
        actual: Amount,
    },
    /// The server is draining.
    #[error("the server is shutting down; send the request to another instance")]
    Draining,
}

/// An admitted request, as far as a new request is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct ActiveRequest {
    pub(super) class: BatchClass,
    /// Seconds of one worker for what is left of it and competes; 0 if its batch class is not measured.
    pub(super) work: f64,
    /// The same for all that is left of it: when its budgets come back.
    pub(super) owed: f64,
    /// Seconds until its deadline.
    pub(super) left: f64,
    /// Whether a new request must not make it late.
    pub(super) protected: bool,
    /// Memory it gives back when it is done.
    pub(super) bytes: u64,
}

/// Everything that is admitted.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) active_requests: Vec<ActiveRequest>,
    /// Tiles not yet finished or dropped.
    pub(super) tiles: usize,
    pub(super) bytes: u64,
}

/// The answer to a demand.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Until it would be done; zero if its batch class is not measured.
    pub(super) estimate: Duration,
    /// See [`ActiveRequest::protected`].
    pub(super) protected: bool,
    pub(super) rejection: Option<Rejection>,
}

/// Seconds from now to `deadline`, zero if it has passed.
pub(super) fn seconds_left(deadline: Instant, now: Instant) -> f64 {
    deadline.saturating_duration_since(now).as_secs_f64()
}

/// The passes of one request together.
struct Whole {
    tiles: usize,
    bytes: u64,
    /// Where its tiles go.
    classes: Vec<BatchClass>,
}

impl Whole {
    fn of(passes: &[AdmissionRequest]) -> Self {
        let tiles = passes.iter().fold(0_usize, |sum, pass| sum.saturating_add(pass.tiles));
        let bytes = passes.iter().fold(0_u64, |sum, pass| sum.saturating_add(pass.bytes));
        let classes = passes.iter().filter(|pass| pass.tiles > 0).map(|pass| pass.class).collect();
        Self { tiles, bytes, classes }
    }

    /// Seconds of one worker, and seconds on an idle server, one pass after the other. `None` where there is nothing
    /// to run, or it goes to a batch class that is not measured.
    fn times(&self, passes: &[AdmissionRequest], workers: usize, rates: &Rates) -> Option<(f64, f64)> {
        let mut times = (0.0, 0.0);
        for AdmissionRequest { class, tiles, .. } in passes.iter().filter(|pass| pass.tiles > 0) {
            let seconds = rates.seconds(*class)?;
            times.0 += *tiles as f64 * seconds;
            times.1 += idle_seconds(*tiles, seconds, rates.batch(*class), workers);
        }
        (self.tiles > 0).then_some(times)
    }
}

/// Judges the passes of one request (one at least), which run one after the other until the deadline of the first,
/// against what is admitted already.
pub(super) fn judge(
    passes: &[AdmissionRequest],
    now: Instant,
    limits: &Limits,
    workers: usize,
    rates: &Rates,
    load: &Load,
) -> Verdict {
    let whole = Whole::of(passes);
    let available = passes.first().map_or(0.0, |pass| seconds_left(pass.deadline, now));
    let share = Share::new(load.active_requests.iter().map(|s| s.work), workers);
    let Some((work, idle)) = whole.times(passes, workers, rates) else {
        // Nothing can be said about time, so nothing is refused for it.
        let rejection = too_large(&whole, limits).or_else(|| full(&whole, limits, workers, load));
        return Verdict { estimate: Duration::ZERO, protected: false, rejection };
    };
    let extra = granularity(&whole.classes, rates, load);
    let estimate = share.new_request(work).max(idle) + extra;

    let rejection = too_large(&whole, limits)
        .or_else(|| (idle > available).then(|| beyond_deadline(whole.tiles, idle, available)))
        .or_else(|| full(&whole, limits, workers, load))
        .or_else(|| {
            let spoiled = spoiled(work, workers, load, &share);
            if estimate > available {
                let wait = share.room(work, available - extra).max(spoiled.unwrap_or(0.0));
                let (estimate, available) = (duration(estimate), duration(available));
                return Some(Rejection::Late { estimate, available, retry_after: retry_after(wait) });
            }
            spoiled.map(|wait| Rejection::WouldDelay { retry_after: retry_after(wait) })
        });
    Verdict { estimate: duration(estimate), protected: work <= PROTECTED_PART * available * workers as f64, rejection }
}

/// Seconds on an idle server. Batches are not split: the busiest worker runs ⌈batches/workers⌉ of them.
fn idle_seconds(tiles: usize, seconds: f64, batch_max: usize, workers: usize) -> f64 {
    let batch_max = batch_max.max(1);
    let batches = tiles.div_ceil(batch_max).div_ceil(workers.max(1));
    tiles.min(batches * batch_max) as f64 * seconds
}

/// Seconds that may pass beyond what the shares give, because turns are not infinitely fine: the batch that runs, the
/// strangers in its own last batch, and from every other batch class a batch and a tile of each request.
fn granularity(own: &[BatchClass], rates: &Rates, load: &Load) -> f64 {
    let busy = || load.active_requests.iter().filter(|active| active.work > 0.0);
    let mut classes: Vec<BatchClass> = busy().map(|active| active.class).collect();
    if classes.is_empty() {
        return 0.0;
    }
    classes.extend(own);
    classes.sort_unstable();
    classes.dedup();
    let seconds =
        |class: &BatchClass| rates.seconds(*class).map(|seconds| (seconds, rates.batch(*class) as f64 * seconds));
    let (dearest, longest) = classes
        .iter()
        .filter_map(seconds)
        .fold((0.0, 0.0), |most: (f64, f64), (tile, batch)| (most.0.max(tile), most.1.max(batch)));
    let tiles: f64 = busy().filter(|active| !own.contains(&active.class)).map(|active| active.work.min(dearest)).sum();
    (1 + classes.len()) as f64 * longest + tiles
}

/// How long until no protected request would be made late by `work` more; `None` if none is.
fn spoiled(work: f64, workers: usize, load: &Load, share: &Share) -> Option<f64> {
    let workers = workers.max(1) as f64;
    load.active_requests
        .iter()
        .filter(|active| active.protected)
        .filter_map(|active| {
            let slack = active.left - share.time(active.work);
            let harm = active.work.min(work) / workers;
            // Harmless once less is left of it than its slack.
            (slack >= 0.0 && harm > slack).then(|| share.time(active.work - slack * workers))
        })
        .max_by(f64::total_cmp)
}

/// Whether the request alone is over a budget.
fn too_large(whole: &Whole, limits: &Limits) -> Option<Rejection> {
    let Whole { tiles, bytes, .. } = whole;
    if *tiles > limits.queue_tiles {
        let limit = limits.queue_tiles;
        return Some(Rejection::TooLarge {
            reason: format!(
                "the image makes {tiles} tiles, more than the {limit} that the queue can ever hold; \
                 send a smaller image or switch the ensemble off"
            ),
            limit_name: "queue_tiles",
            limit: (limit as u64).into(),
            actual: (*tiles as u64).into(),
        });
    }
    if *bytes > limits.queue_bytes {
        let limit = limits.queue_bytes;
        return Some(Rejection::TooLarge {
            reason: format!(
                "the image needs {bytes} bytes of memory, more than the {limit} of the whole budget; \
                 send a smaller image"
            ),
            limit_name: "memory_bytes",
            limit: limit.into(),
            actual: (*bytes).into(),
        });
    }
    None
}

/// Whether it must wait for others to give back tiles or bytes.
fn full(whole: &Whole, limits: &Limits, workers: usize, load: &Load) -> Option<Rejection> {
    let share = || Share::new(load.active_requests.iter().map(|s| s.owed), workers);
    let tiles_over = load.tiles.saturating_add(whole.tiles).saturating_sub(limits.queue_tiles);
    if tiles_over > 0 {
        // Tiles come back one by one: the excess, at the mean rate of what is admitted.
        let wait = if load.tiles == 0 { 0.0 } else { share().total() * tiles_over as f64 / load.tiles as f64 };
        return Some(Rejection::QueueFull {
            queued: load.tiles,
            limit: limits.queue_tiles,
            needed: whole.tiles,
            retry_after: retry_after(wait),
        });
    }
    let bytes_over = load.bytes.saturating_add(whole.bytes).saturating_sub(limits.queue_bytes);
    if bytes_over > 0 {
        // Bytes come back with whole requests, the one with the least left first.
        let mut active_requests: Vec<&ActiveRequest> = load.active_requests.iter().collect();
        active_requests.sort_by(|a, b| a.owed.total_cmp(&b.owed));
        let mut freed = 0_u64;
        let last = active_requests.iter().find(|active| {
            freed = freed.saturating_add(active.bytes);
            freed >= bytes_over
        });
        return Some(Rejection::MemoryFull {
            held: load.bytes,
            limit: limits.queue_bytes,
            needed: whole.bytes,
            retry_after: retry_after(last.map_or(0.0, |active| share().time(active.owed))),
        });
    }
    None
}

fn beyond_deadline(tiles: usize, idle: f64, available: f64) -> Rejection {
    let (actual, limit) = (Amount::from(duration(idle)), Amount::from(duration(available)));
    Rejection::TooLarge {
        reason: format!(
            "the image's {tiles} tiles would take about {actual} s even on an idle server, more than the \
             {limit} s until the deadline; send a smaller image, choose a faster model or a later deadline"
        ),
        limit_name: "deadline_seconds",
        limit,
        actual,
    }
}

/// Whole seconds, since that is what the header carries: at least one, at most an hour. A millisecond over is rounding.
fn retry_after(seconds: f64) -> Duration {
    duration((seconds - 1e-3).ceil().clamp(1.0, RETRY_MAX))
}

/// A year means everything longer.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, 31_536_000.0)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
