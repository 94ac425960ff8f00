//! Whether a request may come in: all of it or nothing, by tiles, bytes and deadline. Pure arithmetic.
//!
//! A request is late if fair sharing with those already in would finish it after its deadline ([`Share`]). That alone
//! is not enough: each newcomer also slows those admitted before, and under lasting overload of equal requests
//! everybody would be admitted in time, finish late, and the server would compute for nobody. So a newcomer is also
//! refused if it would make an admitted request late that was in time without it. Only requests that need at most
//! half of the server for the time they have are so protected; otherwise one poster that barely meets its deadline
//! would shut out every thumbnail until then. Such a poster is admitted while it fits, and takes its chance.

use std::time::Duration;

use tokio::time::Instant;

use super::rate::Rates;
use super::share::Share;
use super::{Lane, Limits};

/// The part of the server that admitted requests may claim for the time they have, each.
const PROTECTED_PART: f64 = 0.5;

/// The longest time to suggest to a client before it tries again.
const RETRY_MAX: f64 = 3600.0;

/// What a request asks to be admitted with.
#[derive(Clone, Debug)]
pub struct Demand {
    /// Network and shape of its tiles.
    pub lane: Lane,
    /// How many tiles it will submit (x8 with self-ensemble).
    pub tiles: usize,
    /// Memory it will hold at most while it runs.
    pub bytes: u64,
    /// When its answer is worthless.
    pub deadline: Instant,
}

/// Why a request is not admitted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
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
    /// It would be in time on an idle server, but not behind what waits here, or not without making an admitted
    /// request late.
    #[error("the server is too busy for this request: it would take about {:.1} s and has {:.1} s, and those admitted before it have deadlines too; try again in {} s", estimate.as_secs_f64(), available.as_secs_f64(), retry_after.as_secs())]
    Late {
        /// By the measured rate and fair sharing with those admitted before.
        estimate: Duration,
        /// Until the deadline.
        available: Duration,
        /// When the queue should have shrunk enough; whole seconds, at least one.
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
        limit: u64,
        /// What the request needs.
        actual: u64,
    },
    /// The server is draining.
    #[error("the server is shutting down; send the request to another instance")]
    Draining,
}

/// An admitted request, as far as a newcomer is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) lane: Lane,
    /// Seconds of one worker for what is left of it; 0 if its lane is not measured.
    pub(super) work: f64,
    /// Seconds until its deadline.
    pub(super) left: f64,
    /// Whether a newcomer must not make it late.
    pub(super) protected: bool,
    /// Memory it gives back when it is done.
    pub(super) bytes: u64,
}

/// Everything that is admitted.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) standings: Vec<Standing>,
    /// Tiles not yet finished or dropped.
    pub(super) tiles: usize,
    pub(super) bytes: u64,
}

/// The answer to a demand.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Until it would be done; zero if its lane is not measured.
    pub(super) estimate: Duration,
    /// See [`Standing::protected`].
    pub(super) protected: bool,
    pub(super) refusal: Option<Refusal>,
}

/// Seconds from now to `deadline`, zero if it has passed.
pub(super) fn seconds_left(deadline: Instant, now: Instant) -> f64 {
    deadline.saturating_duration_since(now).as_secs_f64()
}

/// Judges a demand against what is admitted already.
pub(super) fn judge(
    demand: &Demand,
    now: Instant,
    limits: &Limits,
    workers: usize,
    rates: &Rates,
    load: &Load,
) -> Verdict {
    let available = seconds_left(demand.deadline, now);
    let share = Share::new(load.standings.iter().map(|s| s.work), workers);
    let Some(seconds) = rates.seconds(demand.lane) else {
        // Not measured: nothing can be said about time, so nothing is refused for it.
        let refusal = too_large(demand, limits).or_else(|| full(demand, limits, load, &share));
        return Verdict { estimate: Duration::ZERO, protected: false, refusal };
    };
    let work = demand.tiles as f64 * seconds;
    let idle = idle_seconds(demand.tiles, seconds, limits.batch_max, workers);
    let extra = granularity(demand.lane, limits, rates, load);
    let estimate = share.newcomer(work).max(idle) + extra;

    let refusal = too_large(demand, limits)
        .or_else(|| (idle > available).then(|| beyond_deadline(demand.tiles, idle, available)))
        .or_else(|| full(demand, limits, load, &share))
        .or_else(|| {
            let late = (estimate > available).then(|| share.room(work, available - extra));
            let wait = late.into_iter().chain(spoiled(work, workers, load, &share)).max_by(f64::total_cmp);
            wait.map(|wait| Refusal::Late {
                estimate: duration(estimate),
                available: duration(available),
                retry_after: retry_after(wait),
            })
        });
    Verdict { estimate: duration(estimate), protected: work <= PROTECTED_PART * available * workers as f64, refusal }
}

/// Seconds on an idle server. Batches are not split: the busiest worker runs ⌈batches/workers⌉ of them.
fn idle_seconds(tiles: usize, seconds: f64, batch_max: usize, workers: usize) -> f64 {
    let batch_max = batch_max.max(1);
    let batches = tiles.div_ceil(batch_max).div_ceil(workers.max(1));
    tiles.min(batches * batch_max) as f64 * seconds
}

/// Seconds that may pass beyond what the shares say, because turns are not infinitely fine: the batch that runs, the
/// strangers in its own last batch, and from every other lane a batch and a tile of each request.
fn granularity(own: Lane, limits: &Limits, rates: &Rates, load: &Load) -> f64 {
    let busy = || load.standings.iter().filter(|standing| standing.work > 0.0);
    let mut lanes: Vec<Lane> = busy().map(|standing| standing.lane).collect();
    if lanes.is_empty() {
        return 0.0;
    }
    lanes.push(own);
    lanes.sort_unstable();
    lanes.dedup();
    let dearest = lanes.iter().filter_map(|lane| rates.seconds(*lane)).fold(0.0, f64::max);
    let tiles: f64 = busy().filter(|standing| standing.lane != own).map(|standing| standing.work.min(dearest)).sum();
    (1 + lanes.len()) as f64 * limits.batch_max as f64 * dearest + tiles
}

/// How long until no protected request would be made late by `work` more; `None` if none is.
fn spoiled(work: f64, workers: usize, load: &Load, share: &Share) -> Option<f64> {
    let workers = workers.max(1) as f64;
    load.standings
        .iter()
        .filter(|standing| standing.protected)
        .filter_map(|standing| {
            let slack = standing.left - share.time(standing.work);
            let harm = standing.work.min(work) / workers;
            // Harmless once less is left of it than its slack.
            (slack >= 0.0 && harm > slack).then(|| share.time(standing.work - slack * workers))
        })
        .max_by(f64::total_cmp)
}

/// Whether the request alone is over a budget.
fn too_large(demand: &Demand, limits: &Limits) -> Option<Refusal> {
    let Demand { tiles, bytes, .. } = demand;
    if *tiles > limits.queue_tiles {
        let limit = limits.queue_tiles;
        return Some(Refusal::TooLarge {
            reason: format!(
                "the image makes {tiles} tiles, more than the {limit} that the queue can ever hold; \
                 send a smaller image or switch the ensemble off"
            ),
            limit_name: "queue_tiles",
            limit: limit as u64,
            actual: *tiles as u64,
        });
    }
    if *bytes > limits.queue_bytes {
        let limit = limits.queue_bytes;
        return Some(Refusal::TooLarge {
            reason: format!(
                "the image needs {bytes} bytes of memory, more than the {limit} of the whole budget; \
                 send a smaller image"
            ),
            limit_name: "memory_bytes",
            limit,
            actual: *bytes,
        });
    }
    None
}

/// Whether it must wait for others to give back tiles or bytes.
fn full(demand: &Demand, limits: &Limits, load: &Load, share: &Share) -> Option<Refusal> {
    let tiles_over = load.tiles.saturating_add(demand.tiles).saturating_sub(limits.queue_tiles);
    if tiles_over > 0 {
        // Tiles come back one by one: the excess, at the mean rate of what is admitted.
        let wait = if load.tiles == 0 { 0.0 } else { share.total() * tiles_over as f64 / load.tiles as f64 };
        return Some(Refusal::QueueFull {
            queued: load.tiles,
            limit: limits.queue_tiles,
            needed: demand.tiles,
            retry_after: retry_after(wait),
        });
    }
    let bytes_over = load.bytes.saturating_add(demand.bytes).saturating_sub(limits.queue_bytes);
    if bytes_over > 0 {
        // Bytes come back with whole requests, the one with the least work first.
        let mut standings: Vec<&Standing> = load.standings.iter().collect();
        standings.sort_by(|a, b| a.work.total_cmp(&b.work));
        let mut freed = 0_u64;
        let last = standings.iter().find(|standing| {
            freed = freed.saturating_add(standing.bytes);
            freed >= bytes_over
        });
        return Some(Refusal::MemoryFull {
            held: load.bytes,
            limit: limits.queue_bytes,
            needed: demand.bytes,
            retry_after: retry_after(last.map_or(0.0, |standing| share.time(standing.work))),
        });
    }
    None
}

fn beyond_deadline(tiles: usize, idle: f64, available: f64) -> Refusal {
    Refusal::TooLarge {
        reason: format!(
            "the image's {tiles} tiles would take about {idle:.1} s even on an idle server, more than the \
             {available:.1} s until the deadline; send a smaller image, choose a faster model or a later deadline"
        ),
        limit_name: "deadline_seconds",
        limit: available.floor() as u64,
        actual: idle.ceil() as u64,
    }
}

/// Whole seconds, since that is what the header carries: at least one, at most an hour. A millisecond over is rounding.
fn retry_after(seconds: f64) -> Duration {
    duration((seconds - 1e-3).ceil().clamp(1.0, RETRY_MAX))
}

/// A year stands for everything longer.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, 31_536_000.0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::NetworkId;
    use crate::units::TileShape;

    const LANE: Lane = Lane { network: NetworkId(0), shape: TileShape::square(64) };
    const LIMITS: Limits =
        Limits { batch_max: 4, batch_delay: Duration::ZERO, queue_tiles: 1000, queue_bytes: 1_000_000 };

    /// One second a tile.
    fn rates() -> Rates {
        let mut rates = Rates::default();
        rates.seed(LANE, 1.0);
        rates
    }

    fn load(standings: &[(f64, f64)]) -> Load {
        let standing = |(work, left): &(f64, f64)| Standing {
            lane: LANE,
            work: *work,
            left: *left,
            protected: *work <= 0.5 * left,
            bytes: 1000 * *work as u64,
        };
        Load {
            standings: standings.iter().map(standing).collect(),
            tiles: standings.iter().map(|(work, _)| *work as usize).sum(),
            bytes: standings.iter().map(|(work, _)| 1000 * *work as u64).sum(),
        }
    }

    fn ask(tiles: usize, bytes: u64, seconds: f64, load: &Load) -> Verdict {
        let now = Instant::now();
        let demand = Demand { lane: LANE, tiles, bytes, deadline: now + Duration::from_secs_f64(seconds) };
        judge(&demand, now, &LIMITS, 1, &rates(), load)
    }

    fn limit_of(verdict: &Verdict) -> Option<(&'static str, u64, u64)> {
        match &verdict.refusal {
            Some(Refusal::TooLarge { limit_name, limit, actual, .. }) => Some((limit_name, *limit, *actual)),
            _ => None,
        }
    }

    fn retry(verdict: &Verdict) -> Option<u64> {
        match &verdict.refusal {
            Some(
                Refusal::QueueFull { retry_after, .. }
                | Refusal::MemoryFull { retry_after, .. }
                | Refusal::Late { retry_after, .. },
            ) => Some(retry_after.as_secs()),
            _ => None,
        }
    }

    #[test]
    fn each_budget_alone_from_both_sides() {
        let idle = load(&[]);
        assert_eq!(ask(1000, 0, 1e6, &idle).refusal, None);
        assert_eq!(limit_of(&ask(1001, 0, 1e6, &idle)), Some(("queue_tiles", 1000, 1001)));
        assert_eq!(ask(1, 1_000_000, 1e6, &idle).refusal, None);
        assert_eq!(limit_of(&ask(1, 1_000_001, 1e6, &idle)), Some(("memory_bytes", 1_000_000, 1_000_001)));
        assert_eq!(ask(10, 0, 10.0, &idle).refusal, None);
        assert_eq!(limit_of(&ask(10, 0, 9.9, &idle)), Some(("deadline_seconds", 9, 10)));
        assert_eq!(limit_of(&ask(1, 0, 0.0, &idle)), Some(("deadline_seconds", 0, 1)));
    }

    #[test]
    fn a_refusal_for_size_reads_well() {
        let text = ask(10, 0, 2.5, &load(&[])).refusal.map(|r| r.to_string());
        let want = "the image's 10 tiles would take about 10.0 s even on an idle server, more than the 2.5 s until \
                    the deadline; send a smaller image, choose a faster model or a later deadline";
        assert_eq!(text.as_deref(), Some(want));
    }

    #[test]
    fn a_full_queue_says_when_there_is_room() {
        let busy = load(&[(400.0, 1e6), (500.0, 1e6)]);
        assert_eq!(ask(100, 0, 1e6, &busy).refusal, None);
        // 60 tiles too many, one second each.
        let full = ask(160, 0, 1e6, &busy);
        let retry_after = Duration::from_secs(60);
        assert_eq!(full.refusal, Some(Refusal::QueueFull { queued: 900, limit: 1000, needed: 160, retry_after }));
    }

    #[test]
    fn taken_memory_says_which_request_makes_room() {
        let busy = load(&[(400.0, 1e6), (100.0, 1e6)]);
        assert_eq!(ask(1, 500_000, 1e6, &busy).refusal, None);
        // The request of 100 tiles, which shares with the other, is done after 200 s and frees 100,000.
        assert_eq!(retry(&ask(1, 500_001, 1e6, &busy)), Some(200));
        assert_eq!(retry(&ask(1, 600_000, 1e6, &busy)), Some(200));
        assert_eq!(retry(&ask(1, 600_001, 1e6, &busy)), Some(500));
    }

    #[test]
    fn a_request_that_would_be_late_behind_the_queue() {
        let busy = load(&[(100.0, 1e6)]);
        // 10 of its own, 10 of the other's, and two batches of 4.
        assert_eq!(ask(10, 0, 28.0, &busy).refusal, None);
        let late = ask(10, 0, 27.0, &busy);
        assert_eq!(late.estimate, Duration::from_secs(28));
        // The other must be down to 9.
        assert_eq!(retry(&late), Some(91));
        assert_eq!(
            late.refusal.map(|r| r.to_string()).as_deref(),
            Some(
                "the server is too busy for this request: it would take about 28.0 s and has 27.0 s, and those \
                 admitted before it have deadlines too; try again in 91 s"
            )
        );
    }

    #[test]
    fn an_admitted_request_is_not_made_late() {
        // It needs 100 and has 210, so it spares 110.
        let busy = load(&[(100.0, 210.0)]);
        assert_eq!(ask(110, 0, 1e6, &busy).refusal, None, "harm is at most what the other needs itself");
        let busy = load(&[(100.0, 210.0), (60.0, 1e6)]);
        assert_eq!(ask(50, 0, 1e6, &busy).refusal, None);
        // Left of the first must be 50 at most: 50 served to both.
        assert_eq!(retry(&ask(51, 0, 1e6, &busy)), Some(100));
    }

    #[test]
    fn a_poster_that_takes_all_its_time_shuts_nobody_out() {
        let busy = load(&[(290.0, 300.0)]);
        assert_eq!(ask(40, 0, 300.0, &busy).refusal, None);
        // Nor does one that is late already.
        assert_eq!(ask(4, 0, 300.0, &load(&[(40.0, 100.0), (200.0, 1e6), (200.0, 1e6)])).refusal, None);
    }

    #[test]
    fn protection_ends_at_half_the_server() {
        assert!(ask(50, 0, 100.0, &load(&[])).protected);
        assert!(!ask(51, 0, 100.0, &load(&[])).protected);
    }

    #[test]
    fn nothing_is_refused_for_time_before_it_is_measured() {
        let now = Instant::now();
        let demand = Demand { lane: LANE, tiles: 1000, bytes: 1, deadline: now };
        let verdict = judge(&demand, now, &LIMITS, 1, &Rates::default(), &load(&[]));
        assert_eq!((verdict.estimate, verdict.refusal), (Duration::ZERO, None));
        let full = judge(&demand, now, &LIMITS, 1, &Rates::default(), &Load { tiles: 1, ..load(&[]) });
        assert_eq!(retry(&full), Some(1));
    }

    #[test]
    fn whole_batches_go_to_workers() {
        // On two workers with batches of 4: one tile is no faster, five take as long as four.
        for (tiles, want) in [(1, 1.0), (4, 4.0), (5, 4.0), (8, 4.0), (9, 8.0), (17, 12.0)] {
            assert!((idle_seconds(tiles, 1.0, 4, 2) - want).abs() < 1e-9, "{tiles} tiles");
        }
    }

    #[test]
    fn retry_after_is_whole_seconds_from_one_to_an_hour() {
        for (seconds, want) in [(0.0, 1), (0.2, 1), (1.0, 1), (1.1, 2), (1e9, 3600)] {
            assert_eq!(retry_after(seconds), Duration::from_secs(want));
        }
    }
}
