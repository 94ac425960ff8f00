//! A request of several passes, which run one after the other in batch classes of their own.

use super::*;
use images::units::Amount;

/// Seconds of one worker a tile, by network.
const RATES: [f64; 2] = [1.0, 0.5];

fn ledger() -> Ledger {
    let mut ledger = new_ledger(LIMITS, 1);
    for (network, rate) in RATES.iter().enumerate() {
        ledger.seed_rate(class(network), *rate);
    }
    ledger
}

fn chain(tiles: [usize; 2], bytes: u64, left: f64, now: Instant) -> [AdmissionRequest; 2] {
    [0, 1].map(|pass| AdmissionRequest { class: class(pass), tiles: tiles[pass], bytes, deadline: now + seconds(left) })
}

fn admitted(
    ledger: &mut Ledger,
    passes: &[AdmissionRequest],
    now: Instant,
) -> Result<(Vec<FlowId>, Receiver), Rejection> {
    let (sender, receiver) = unbounded_channel();
    Ok((ledger.admit(passes, now, || sender.clone())?, receiver))
}

#[test]
fn all_passes_are_admitted_or_none() {
    let now = Instant::now();
    let mut ledger = ledger();
    let Limits { queue_tiles, queue_bytes, .. } = LIMITS;
    let over = chain([1, queue_tiles], 1, 1e6, now);
    assert!(matches!(
        admitted(&mut ledger, &over, now).map(|_| ()),
        Err(Rejection::TooLarge { limit_name: "queue_tiles", actual, .. }) if actual == Amount::Count(queue_tiles as u64 + 1)
    ));
    let over = chain([1, 1], queue_bytes / 2 + 1, 1e6, now);
    assert!(matches!(
        admitted(&mut ledger, &over, now).map(|_| ()),
        Err(Rejection::TooLarge { limit_name: "memory_bytes", .. })
    ));
    assert_eq!(figures(&ledger), (0, 0, 0));
    let (flows, _results) = admitted(&mut ledger, &chain([2, 6], 10, 1e6, now), now).expect("fits");
    assert_eq!(figures(&ledger), (0, 8, 20));
    carry_out(ledger.cancel(flows[0]));
    assert_eq!(figures(&ledger), (0, 6, 10), "a pass that is over gives back its own");
    carry_out(ledger.cancel(flows[1]));
    assert_eq!(figures(&ledger), (0, 0, 0));
}

#[test]
fn passes_take_the_time_of_all_and_must_be_done_by_the_deadline() {
    let now = Instant::now();
    let mut ledger = ledger();
    let passes = |left| chain([4, 16], 1, left, now);
    let verdict = ledger.judge(&passes(12.0), now);
    assert_eq!((verdict.estimate, verdict.rejection), (seconds(12.0), None));
    assert!(matches!(
        admitted(&mut ledger, &passes(11.9), now).map(|_| ()),
        Err(Rejection::TooLarge { limit_name: "deadline_seconds", actual: Amount::Milliseconds(12_000), .. })
    ));
}

#[test]
fn passes_of_a_request_compete_as_one() {
    let now = Instant::now();
    let (mut two, mut one) = (ledger(), ledger());
    let (_, _results) = admitted(&mut two, &chain([4, 16], 1, 1e6, now), now).expect("fits");
    let (_, _more) =
        admitted(&mut one, &[AdmissionRequest { tiles: 12, ..chain([4, 16], 1, 1e6, now)[0].clone() }], now)
            .expect("fits");
    let thumbnail = || [AdmissionRequest { class: class(0), tiles: 1, bytes: 1, deadline: now + seconds(1e6) }];
    assert_eq!(two.judge(&thumbnail(), now).estimate, one.judge(&thumbnail(), now).estimate);
}

#[test]
fn without_a_network_only_memory_is_asked_for() {
    let now = Instant::now();
    let mut ledger = ledger();
    let (_, _results) = admitted(&mut ledger, &chain([40, 20], 1, 1e6, now), now).expect("fits");
    let admission = |bytes| [AdmissionRequest { class: class(0), tiles: 0, bytes, deadline: now }];
    let verdict = ledger.judge(&admission(5), now);
    assert_eq!((verdict.estimate, verdict.rejection), (Duration::ZERO, None), "even without time and behind others");
    assert!(ledger.judge(&admission(LIMITS.queue_bytes), now).rejection.is_some());
    let (flows, _nothing) = admitted(&mut ledger, &admission(5), now).expect("fits");
    carry_out(ledger.cancel(flows[0]));
    assert_eq!(figures(&ledger), (0, 60, 2));
}
