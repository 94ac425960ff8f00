//! Readers that stall: what of their requests counts as work, and when.

use super::*;

/// What a request of 10 tiles would take behind all that is admitted; 0 is on an idle server.
fn behind(ledger: &Ledger, now: Instant) -> f64 {
    let admission = AdmissionRequest { class: class(0), tiles: 10, bytes: 1, deadline: now + seconds(1e6) };
    let verdict = ledger.judge(&[admission], now);
    assert_eq!(verdict.rejection, None);
    verdict.estimate.as_secs_f64() - 10.0
}

#[test]
fn a_reader_that_stalls_is_not_competition() {
    let (mut ledger, start) = (new_ledger(LIMITS, 1), Instant::now());
    ledger.seed_rate(class(0), 1.0);
    let (flow, mut results) = admit(&mut ledger, start, (60, 100, 500.0), 4).expect("fits");
    // On the engine for longer than a reader is given: the request waits for the server, not for its client.
    let batch = take(&mut ledger, start).expect("work");
    let now = start + seconds(4.0);
    assert!(behind(&ledger, now) >= 10.0, "an engine that is slow is no stall");
    settle(&mut ledger, batch, now);
    assert!(behind(&ledger, now + seconds(1.0)) >= 10.0, "still within its time");

    let stalled = now + seconds(1.1);
    assert!(behind(&ledger, stalled).abs() < 1e-9);
    assert_eq!(figures(&ledger), (0, 56, 100), "its budgets are held");
    let (_other, _results) = admit(&mut ledger, stalled, (20, 1, 30.0), 0).expect("in time beside a stalled reader");

    // It reads on: all of it counts again.
    carry_out(ledger.submit(flow, tile(4, stalled)).expect("was admitted"));
    assert!(behind(&ledger, stalled) >= 20.0);
    assert!((0..4).all(|_| results.try_recv().is_ok_and(|message| message.is_ok())));
}

#[test]
fn an_image_that_is_being_decoded_is_competition() {
    let (mut ledger, start) = (new_ledger(LIMITS, 1), Instant::now());
    ledger.seed_rate(class(0), 1.0);
    let _decoding = admit(&mut ledger, start, (60, 100, 500.0), 0).expect("fits");
    assert!(behind(&ledger, start + seconds(20.0)) >= 10.0);
}

#[test]
fn a_reader_that_stalls_is_not_protected() {
    let (mut ledger, start) = (new_ledger(LIMITS, 1), Instant::now());
    ledger.seed_rate(class(0), 1.0);
    let (_flow, _results) = admit(&mut ledger, start, (40, 1, 80.0), 4).expect("fits");
    let batch = take(&mut ledger, start).expect("work");
    settle(&mut ledger, batch, start + seconds(4.0));
    let now = start + seconds(20.0);
    // Of 36 s it has 60: a new request of 30 s would make it late, did it ask for anything.
    assert!(admit(&mut ledger, now, (30, 1, 500.0), 0).is_ok());
}
