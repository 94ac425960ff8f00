//! Each budget from both sides, and the text of a refusal.

use images::units::TileShape;
use inference::engine::batch_sizer::BatchSizer;
use inference::registry::NetworkId;

use super::*;

const CLASS: BatchClass = BatchClass { network: NetworkId(0), shape: TileShape::square(64) };
const LIMITS: Limits = Limits { batch_max: 4, batch_delay: Duration::ZERO, queue_tiles: 1000, queue_bytes: 1_000_000 };

/// One second a tile.
fn rates() -> Rates {
    let mut rates = Rates::new(BatchSizer::by_pixels(4, Vec::new()));
    rates.seed(CLASS, 1.0);
    rates
}

fn load(active_requests: &[(f64, f64)]) -> Load {
    let active = |(work, left): &(f64, f64)| ActiveRequest {
        class: CLASS,
        work: *work,
        owed: *work,
        left: *left,
        protected: *work <= 0.5 * left,
        bytes: 1000 * *work as u64,
    };
    Load {
        active_requests: active_requests.iter().map(active).collect(),
        tiles: active_requests.iter().map(|(work, _)| *work as usize).sum(),
        bytes: active_requests.iter().map(|(work, _)| 1000 * *work as u64).sum(),
    }
}

fn ask(tiles: usize, bytes: u64, seconds: f64, load: &Load) -> Verdict {
    let now = Instant::now();
    let admission = AdmissionRequest { class: CLASS, tiles, bytes, deadline: now + Duration::from_secs_f64(seconds) };
    judge(&[admission], now, &LIMITS, 1, &rates(), load)
}

fn limit_of(verdict: &Verdict) -> Option<(&'static str, Amount, Amount)> {
    match &verdict.rejection {
        Some(Rejection::TooLarge { limit_name, limit, actual, .. }) => Some((limit_name, *limit, *actual)),
        _ => None,
    }
}

fn retry(verdict: &Verdict) -> Option<u64> {
    match &verdict.rejection {
        Some(
            Rejection::QueueFull { retry_after, .. }
            | Rejection::MemoryFull { retry_after, .. }
            | Rejection::Late { retry_after, .. }
            | Rejection::WouldDelay { retry_after },
        ) => Some(retry_after.as_secs()),
        _ => None,
    }
}

#[test]
fn each_budget_alone_from_both_sides() {
    let idle = load(&[]);
    assert_eq!(ask(1000, 0, 1e6, &idle).rejection, None);
    let count = Amount::Count;
    assert_eq!(limit_of(&ask(1001, 0, 1e6, &idle)), Some(("queue_tiles", count(1000), count(1001))));
    assert_eq!(ask(1, 1_000_000, 1e6, &idle).rejection, None);
    assert_eq!(limit_of(&ask(1, 1_000_001, 1e6, &idle)), Some(("memory_bytes", count(1_000_000), count(1_000_001))));
    let time = Amount::Milliseconds;
    assert_eq!(ask(10, 0, 10.0, &idle).rejection, None);
    assert_eq!(limit_of(&ask(10, 0, 9.9, &idle)), Some(("deadline_seconds", time(9_900), time(10_000))));
    assert_eq!(limit_of(&ask(1, 0, 0.0004, &idle)), Some(("deadline_seconds", time(1), time(1_000))));
}

#[test]
fn a_refusal_for_size_reads_well() {
    let text = ask(10, 0, 2.5, &load(&[])).rejection.map(|r| r.to_string());
    let want = "the image's 10 tiles would take about 10.0 s even on an idle server, more than the 2.5 s until \
                the deadline; send a smaller image, choose a faster model or a later deadline";
    assert_eq!(text.as_deref(), Some(want));
    let text = ask(10, 0, 0.001, &load(&[])).rejection.map(|r| r.to_string());
    assert!(text.expect("refused").contains("more than the 0.001 s until"), "no limit is reported as 0.0");
}

#[test]
fn a_full_queue_says_when_there_is_room() {
    let busy = load(&[(400.0, 1e6), (500.0, 1e6)]);
    assert_eq!(ask(100, 0, 1e6, &busy).rejection, None);
    // 60 tiles too many, one second each.
    let full = ask(160, 0, 1e6, &busy);
    let retry_after = Duration::from_mins(1);
    assert_eq!(full.rejection, Some(Rejection::QueueFull { queued: 900, limit: 1000, needed: 160, retry_after }));
}

#[test]
fn taken_memory_says_which_request_makes_room() {
    let busy = load(&[(400.0, 1e6), (100.0, 1e6)]);
    assert_eq!(ask(1, 500_000, 1e6, &busy).rejection, None);
    // The request of 100 tiles, which shares with the other, is done after 200 s and frees 100,000.
    assert_eq!(retry(&ask(1, 500_001, 1e6, &busy)), Some(200));
    assert_eq!(retry(&ask(1, 600_000, 1e6, &busy)), Some(200));
    assert_eq!(retry(&ask(1, 600_001, 1e6, &busy)), Some(500));
}

#[test]
fn a_request_that_would_be_late_behind_the_queue() {
    let busy = load(&[(100.0, 1e6)]);
    // 10 of its own, 10 of the other's, and two batches of 4.
    assert_eq!(ask(10, 0, 28.0, &busy).rejection, None);
    let late = ask(10, 0, 27.0, &busy);
    assert_eq!(late.estimate, Duration::from_secs(28));
    // The other must be down to 9.
    assert_eq!(retry(&late), Some(91));
    assert_eq!(
        late.rejection.map(|r| r.to_string()).as_deref(),
        Some(
            "the server is too busy for this request: it would take about 28.0 s and has 27.0 s; try \
             again in 91 s"
        )
    );
}

#[test]
fn an_admitted_request_is_not_made_late() {
    // It needs 100 and has 210, so it spares 110.
    let busy = load(&[(100.0, 210.0)]);
    assert_eq!(ask(110, 0, 1e6, &busy).rejection, None, "harm is at most what the other needs itself");
    let busy = load(&[(100.0, 210.0), (60.0, 1e6)]);
    assert_eq!(ask(50, 0, 1e6, &busy).rejection, None);
    // Left of the first must be 50 at most: 50 served to both.
    assert_eq!(retry(&ask(51, 0, 1e6, &busy)), Some(100));
}

#[test]
fn a_limit_is_named_only_if_it_is_exceeded() {
    // The other needs 100 and has 210; with a third, 51 more would make it late, anyone who comes.
    let busy = load(&[(100.0, 210.0), (60.0, 1e6)]);
    let polite = ask(51, 0, 1e6, &busy);
    assert_eq!(polite.rejection, Some(Rejection::WouldDelay { retry_after: Duration::from_secs(100) }));
    assert_eq!(
        polite.rejection.map(|r| r.to_string()).as_deref(),
        Some(
            "the server is too busy for this request: it would make others late that were admitted before it; try \
             again in 100 s"
        )
    );
    // Late itself as well: then by how much, and the longer of the two waits.
    let late = ask(51, 0, 161.0 - 1e-3, &busy);
    assert_eq!(late.estimate, Duration::from_secs(161));
    let Some(Rejection::Late { estimate, available, retry_after }) = late.rejection else { panic!("{late:?}") };
    assert!(estimate > available);
    assert_eq!(retry_after, Duration::from_secs(100));
}

#[test]
fn what_does_not_compete_still_holds_its_budgets() {
    let mut stalled = load(&[(900.0, 1e6)]);
    stalled.active_requests[0].work = 0.0;
    let verdict = ask(100, 0, 100.0, &stalled);
    assert_eq!((verdict.rejection, verdict.estimate), (None, Duration::from_secs(100)));
    // When there is room is a matter of all that is left, one second a tile.
    assert_eq!(retry(&ask(160, 0, 1e6, &stalled)), Some(60));
    assert_eq!(retry(&ask(1, 100_001, 1e6, &stalled)), Some(900));
}

#[test]
fn a_large_request_that_takes_all_its_time_shuts_nobody_out() {
    let busy = load(&[(290.0, 300.0)]);
    assert_eq!(ask(40, 0, 300.0, &busy).rejection, None);
    // Nor does one that is late already.
    assert_eq!(ask(4, 0, 300.0, &load(&[(40.0, 100.0), (200.0, 1e6), (200.0, 1e6)])).rejection, None);
}

#[test]
fn protection_ends_at_half_the_server() {
    assert!(ask(50, 0, 100.0, &load(&[])).protected);
    assert!(!ask(51, 0, 100.0, &load(&[])).protected);
}

#[test]
fn nothing_is_refused_for_time_before_it_is_measured() {
    let now = Instant::now();
    let admission = AdmissionRequest { class: CLASS, tiles: 1000, bytes: 1, deadline: now };
    let passes = [admission];
    let verdict = judge(&passes, now, &LIMITS, 1, &Rates::new(BatchSizer::by_pixels(4, Vec::new())), &load(&[]));
    assert_eq!((verdict.estimate, verdict.rejection), (Duration::ZERO, None));
    let full = judge(
        &passes,
        now,
        &LIMITS,
        1,
        &Rates::new(BatchSizer::by_pixels(4, Vec::new())),
        &Load { tiles: 1, ..load(&[]) },
    );
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
