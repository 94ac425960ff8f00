//! The ledger without threads: every change, then whole histories against a simulated clock.

mod passes;
mod stalled;

use std::collections::HashMap;

use images::units::TileShape;
use inference::engine::EngineError;
use inference::engine::batch_sizer::BatchSizer;
use inference::registry::NetworkId;
use proptest::prelude::*;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;

type Receiver = UnboundedReceiver<Result<Finished, TileError>>;

const LIMITS: Limits = Limits { batch_max: 4, batch_delay: Duration::ZERO, queue_tiles: 100, queue_bytes: 1000 };

fn new_ledger(limits: Limits, workers: usize) -> Ledger {
    let sizer = BatchSizer::by_pixels(limits.batch_max, Vec::new());
    Ledger::new(limits, sizer, workers)
}

fn class(network: usize) -> BatchClass {
    BatchClass { network: NetworkId(network), shape: TileShape::square(8) }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn tile(index: usize, since: Instant) -> Tile {
    Tile { index, samples: vec![0.0], transposed: false, since }
}

/// Admits a request and submits `submitted` of its tiles.
fn admit(
    ledger: &mut Ledger,
    now: Instant,
    admission: (usize, u64, f64),
    submitted: usize,
) -> Result<(FlowId, Receiver), Rejection> {
    let (sender, receiver) = unbounded_channel();
    let (tiles, bytes, left) = admission;
    let admission = AdmissionRequest { class: class(0), tiles, bytes, deadline: now + seconds(left) };
    let flow = ledger.admit(&[admission], now, || sender.clone())?[0];
    for index in 0..submitted {
        carry_out(ledger.submit(flow, tile(index, now)).expect("within what was admitted"));
    }
    Ok((flow, receiver))
}

fn carry_out(effects: Effects) -> Vec<(NetworkId, Fate, usize)> {
    for (results, message) in effects.messages {
        let _ = results.send(message);
    }
    effects.counts
}

fn take(ledger: &mut Ledger, now: Instant) -> Option<Batch> {
    let (batch, effects) = ledger.take(now);
    carry_out(effects);
    batch
}

fn outcome(job: Job, result: Result<(), TileError>) -> Outcome {
    let Job { flow, index, samples, queued, .. } = job;
    Outcome { flow, index, queued, ran: Duration::ZERO, result: result.map(|()| samples) }
}

fn settle(ledger: &mut Ledger, batch: Batch, now: Instant) -> Vec<(NetworkId, Fate, usize)> {
    let outcomes = batch.jobs.into_iter().map(|job| outcome(job, Ok(()))).collect();
    carry_out(ledger.settle(outcomes, now))
}

fn figures(ledger: &Ledger) -> (usize, usize, u64) {
    (ledger.queued(), ledger.tiles(), ledger.bytes())
}

#[test]
fn a_refused_request_leaves_no_trace() {
    let (mut ledger, now) = (new_ledger(LIMITS, 1), Instant::now());
    let _first = admit(&mut ledger, now, (60, 600, 9.0), 0).expect("fits");
    let before = figures(&ledger);
    assert!(matches!(admit(&mut ledger, now, (41, 1, 9.0), 0), Err(Rejection::QueueFull { queued: 60, .. })));
    assert!(matches!(admit(&mut ledger, now, (1, 401, 9.0), 0), Err(Rejection::MemoryFull { held: 600, .. })));
    assert_eq!(figures(&ledger), before);
    assert!(admit(&mut ledger, now, (40, 400, 9.0), 0).is_ok());
    assert_eq!(figures(&ledger), (0, 100, 1000));
}

#[test]
fn canceling_drops_what_waits_and_keeps_the_budget_of_what_runs() {
    let (mut ledger, now) = (new_ledger(LIMITS, 1), Instant::now());
    let (flow, mut results) = admit(&mut ledger, now, (20, 100, 9.0), 10).expect("fits");
    let batch = take(&mut ledger, now).expect("work");
    assert_eq!(figures(&ledger), (6, 20, 100));
    assert_eq!(carry_out(ledger.cancel(flow)), [(NetworkId(0), Fate::Canceled, 6)]);
    assert_eq!(figures(&ledger), (0, 4, 100));
    assert!(take(&mut ledger, now).is_none());
    assert_eq!(settle(&mut ledger, batch, now), [(NetworkId(0), Fate::Canceled, 1); 4]);
    assert_eq!(figures(&ledger), (0, 0, 0));
    assert!(results.try_recv().is_err(), "nobody asked any more");
}

#[test]
fn overdue_tiles_are_dropped_before_a_batch_is_made() {
    let (mut ledger, now) = (new_ledger(LIMITS, 1), Instant::now());
    let (_, mut late) = admit(&mut ledger, now, (5, 1, 10.0), 5).expect("fits");
    let (in_time, _results) = admit(&mut ledger, now, (5, 1, 10.1), 2).expect("fits");
    assert_eq!(ledger.take(now + seconds(9.9)).0.map(|batch| batch.jobs.len()), Some(4));
    let (batch, effects) = ledger.take(now + seconds(10.0));
    assert_eq!(effects.counts, [(NetworkId(0), Fate::Canceled, 3)]);
    assert_eq!(effects.dropped.len(), 3);
    carry_out(effects);
    assert!(batch.is_none(), "the two of the other request were in the first batch");
    assert!(matches!(late.try_recv(), Ok(Err(TileError::Expired))));
    assert!(ledger.wanted(in_time));
}

#[test]
fn a_failed_tile_fails_its_request_once_and_frees_its_tiles() {
    let (mut ledger, now) = (new_ledger(LIMITS, 1), Instant::now());
    let (flow, mut results) = admit(&mut ledger, now, (20, 100, 9.0), 10).expect("fits");
    let (neighbor, mut unharmed) = admit(&mut ledger, now, (2, 100, 9.0), 2).expect("fits");
    let batch = take(&mut ledger, now).expect("work");
    let outcomes = batch.jobs.into_iter().map(|job| {
        let bad = job.flow == flow;
        outcome(job, if bad { Err(TileError::Panicked) } else { Ok(()) })
    });
    let outcomes = outcomes.collect();
    let counts = carry_out(ledger.settle(outcomes, now));
    assert_eq!(counts.iter().filter(|(_, fate, _)| *fate == Fate::Done).count(), 2);
    assert!(counts.contains(&(NetworkId(0), Fate::Canceled, 8)));
    assert_eq!(figures(&ledger), (0, 0, 200), "tiles are free; bytes are held while the tickets live");
    assert!(matches!(results.try_recv(), Ok(Err(TileError::Panicked))));
    assert!(results.try_recv().is_err());
    assert!(unharmed.try_recv().is_ok_and(|message| message.is_ok()));

    let effects = ledger.submit(flow, tile(10, now)).expect("ignored");
    assert_eq!(effects.dropped.len(), 1);
    carry_out(ledger.cancel(flow));
    carry_out(ledger.cancel(neighbor));
    assert_eq!(figures(&ledger), (0, 0, 0));
}

#[test]
fn no_more_tiles_than_admitted() {
    let (mut ledger, now) = (new_ledger(LIMITS, 1), Instant::now());
    let (flow, _results) = admit(&mut ledger, now, (2, 1, 9.0), 2).expect("fits");
    assert!(ledger.submit(flow, tile(2, now)).is_err());
    assert_eq!(figures(&ledger), (2, 2, 1));
}

#[test]
fn draining_refuses_and_goes_on() {
    let (mut ledger, now) = (new_ledger(LIMITS, 1), Instant::now());
    let (flow, mut results) = admit(&mut ledger, now, (2, 1, 9.0), 1).expect("fits");
    ledger.drain();
    assert_eq!(admit(&mut ledger, now, (1, 1, 9.0), 0).map(|_| ()), Err(Rejection::Draining));
    carry_out(ledger.submit(flow, tile(1, now)).expect("was admitted before"));
    let batch = take(&mut ledger, now).expect("work");
    settle(&mut ledger, batch, now);
    assert!((0..2).all(|_| results.try_recv().is_ok_and(|message| message.is_ok())));
}

#[test]
fn stopping_fails_what_waits_and_what_comes() {
    let (mut ledger, now) = (new_ledger(LIMITS, 1), Instant::now());
    let (_, mut waiting) = admit(&mut ledger, now, (2, 1, 9.0), 2).expect("fits");
    let (flow, mut later) = admit(&mut ledger, now, (2, 1, 9.0), 0).expect("fits");
    carry_out(ledger.stop());
    assert!(ledger.stopped());
    assert_eq!(figures(&ledger), (0, 2, 2));
    assert!(matches!(waiting.try_recv(), Ok(Err(TileError::Stopped))));
    carry_out(ledger.submit(flow, tile(0, now)).expect("was admitted"));
    assert!(matches!(later.try_recv(), Ok(Err(TileError::Stopped))));
    assert_eq!(figures(&ledger), (0, 0, 2));
}

/// Workers that take as long as the rates give, on a clock of their own.
struct Simulation {
    ledger: Ledger,
    start: Instant,
    now: f64,
    running: Vec<(f64, Batch)>,
    tickets: HashMap<FlowId, (Receiver, usize)>,
    /// When each request had all its tiles, or that it failed.
    ended: HashMap<FlowId, Option<f64>>,
}

impl Simulation {
    fn new(limits: Limits, sizer: BatchSizer, workers: usize, rates: &[f64]) -> Self {
        let mut ledger = Ledger::new(limits, sizer, workers);
        for (network, rate) in rates.iter().enumerate() {
            ledger.seed_rate(class(network), *rate);
        }
        let (tickets, ended) = (HashMap::new(), HashMap::new());
        Self { ledger, start: Instant::now(), now: 0.0, running: Vec::new(), tickets, ended }
    }

    /// Admits a request with all its tiles, and gives its estimate.
    fn request(&mut self, network: usize, tiles: usize, left: f64) -> Result<(FlowId, f64), Rejection> {
        let now = self.start + seconds(self.now);
        let admission = AdmissionRequest { class: class(network), tiles, bytes: 1, deadline: now + seconds(left) };
        let estimate = self.ledger.judge(std::slice::from_ref(&admission), now).estimate.as_secs_f64();
        let (sender, receiver) = unbounded_channel();
        let flow = self.ledger.admit(&[admission], now, || sender.clone())?[0];
        for index in 0..tiles {
            carry_out(self.ledger.submit(flow, tile(index, now)).expect("within what was admitted"));
        }
        self.tickets.insert(flow, (receiver, tiles));
        Ok((flow, estimate))
    }

    /// Lets the workers work until `end`, or until nothing is left.
    fn run(&mut self, end: f64) {
        loop {
            while self.running.len() < self.ledger.workers {
                let Some(batch) = take(&mut self.ledger, self.start + seconds(self.now)) else { break };
                let rate = self.ledger.rates.seconds(batch.class).expect("seeded");
                self.running.push((self.now + batch.jobs.len() as f64 * rate, batch));
            }
            let first = (0..self.running.len()).min_by(|a, b| self.running[*a].0.total_cmp(&self.running[*b].0));
            let Some(first) = first.filter(|first| self.running[*first].0 <= end) else { break };
            let (at, batch) = self.running.swap_remove(first);
            self.now = at;
            settle(&mut self.ledger, batch, self.start + seconds(self.now));
            self.receive();
        }
        self.receive();
        self.now = self.now.max(end.min(1e12));
    }

    fn receive(&mut self) {
        let mut ended = Vec::new();
        for (flow, (receiver, left)) in &mut self.tickets {
            while let Ok(message) = receiver.try_recv() {
                *left -= 1;
                if message.is_err() || *left == 0 {
                    ended.push((*flow, message.is_ok().then_some(self.now)));
                    break;
                }
            }
        }
        for (flow, end) in ended {
            self.tickets.remove(&flow);
            carry_out(self.ledger.cancel(flow));
            self.ended.insert(flow, end);
        }
    }
}

fn roomy(batch_max: usize) -> Limits {
    Limits { batch_max, batch_delay: Duration::ZERO, queue_tiles: 1_000_000, queue_bytes: 1_000_000 }
}

#[test]
fn under_lasting_overload_what_is_admitted_is_also_finished_in_time() {
    // Equal requests of 10 s, 30 s to do them in, twice as many as can be served, for an hour.
    let mut simulation = Simulation::new(roomy(4), BatchSizer::by_pixels(4, Vec::new()), 1, &[0.1]);
    let (mut admitted, mut refused) = (0, 0);
    for _ in 0..720 {
        match simulation.request(0, 100, 30.0) {
            Ok(_) => admitted += 1,
            Err(Rejection::Late { retry_after, .. } | Rejection::WouldDelay { retry_after }) => {
                assert!((1..=30).contains(&retry_after.as_secs()));
                refused += 1;
            }
            Err(other) => panic!("unexpected: {other}"),
        }
        let next = simulation.now + 5.0;
        simulation.run(next);
    }
    simulation.run(1e12);
    assert_eq!(simulation.ended.len(), admitted);
    let failed = simulation.ended.values().filter(|end| end.is_none()).count();
    assert_eq!(failed, 0, "of {admitted} admitted, with {refused} refused");
    assert!(admitted >= 330, "the server could do 360 and did {admitted}");
    assert_eq!(figures(&simulation.ledger), (0, 0, 0));
}

proptest! {
    /// If nobody comes after it, a request is done by its estimate, anyone who came before.
    #[test]
    fn the_estimate_is_kept(
        before in prop::collection::vec((0..3_usize, 1..200_usize, 0..50_u32), 0..10),
        own in (0..3_usize, 1..200_usize), batch_max in 1..9_usize, workers in 1..4_usize,
        rates in (1..100_u32, 1..100_u32, 1..100_u32), pixels in prop::collection::vec(64..1024_usize, 3),
    ) {
        let rates = [rates.0, rates.1, rates.2].map(|rate| f64::from(rate) * 1e-3);
        // Tiles of 8 x 8 everywhere, but beside larger ones in some networks: their batches are of other lengths.
        let sizer = BatchSizer::by_pixels(batch_max, pixels);
        let mut simulation = Simulation::new(roomy(batch_max), sizer, workers, &rates);
        for (network, tiles, pause) in before {
            simulation.request(network, tiles, 1e6).expect("room for all");
            let next = simulation.now + f64::from(pause) * 1e-2;
            simulation.run(next);
        }
        let (flow, estimate) = simulation.request(own.0, own.1, 1e6).expect("room for all");
        let begun = simulation.now;
        simulation.run(1e12);
        let took = simulation.ended[&flow].map(|end| end - begun);
        prop_assert!(took.is_some_and(|took| took <= estimate + 1e-6), "took {took:?}, estimated {estimate}");
    }

    /// Whatever happens, every submitted tile has one fate, and in the end nothing is held.
    #[test]
    fn every_history_ends_at_zero(ops in prop::collection::vec((0..7_u8, 0..1000_usize, 1..9_usize), 1..150)) {
        let (mut ledger, mut now) = (new_ledger(LIMITS, 2), Instant::now());
        // Not the ledger's own, which would refuse; far apart, so that a tile in the wrong batch class shows, and exact in binary.
        let (mut rates, each) = (Rates::new(BatchSizer::by_pixels(LIMITS.batch_max, Vec::new())), [0.125, 4.0, 32.0]);
        for (network, seconds) in each.iter().enumerate() {
            rates.seed(class(network), *seconds);
        }
        let mut tickets: Vec<(FlowId, Receiver, usize)> = Vec::new();
        let mut running: Vec<Batch> = Vec::new();
        let mut fates = 0;
        let mut submitted = 0;
        let sum = |counts: Vec<(NetworkId, Fate, usize)>| counts.iter().map(|(_, _, tiles)| tiles).sum::<usize>();
        for (op, pick, size) in ops {
            match op {
                0 => {
                    let (sender, receiver) = unbounded_channel();
                    let deadline = now + Duration::from_secs(size as u64);
                    let admission = AdmissionRequest { class: class(pick % 3), tiles: 3 * size, bytes: 50 * size as u64, deadline };
                    if let Ok(flows) = ledger.admit(&[admission], now, || sender.clone()) {
                        tickets.push((flows[0], receiver, 3 * size));
                    }
                }
                1 | 2 if !tickets.is_empty() => {
                    let pick = pick % tickets.len();
                    let (flow, _, left) = &mut tickets[pick];
                    for _ in 0..size.min(*left) {
                        *left -= 1;
                        submitted += 1;
                        let effects = ledger.submit(*flow, tile(0, now)).expect("within what was admitted");
                        // A tile of a failed request comes back at once; it was never queued.
                        submitted -= effects.dropped.len();
                        fates += sum(carry_out(effects));
                    }
                }
                3 => {
                    let (batch, effects) = ledger.take(now);
                    fates += sum(carry_out(effects));
                    if let Some(batch) = batch {
                        prop_assert!(batch.jobs.len() <= LIMITS.batch_max);
                        running.push(batch);
                    }
                }
                4 if !running.is_empty() => {
                    let batch = running.swap_remove(pick % running.len());
                    let outcomes = batch.jobs.into_iter().enumerate().map(|(i, job)| {
                        let error = TileError::Engine(EngineError::NonFinite { tile: i }.into());
                        outcome(job, if size == 1 && i == 0 { Err(error) } else { Ok(()) })
                    });
                    let outcomes = outcomes.collect();
                    fates += sum(carry_out(ledger.settle(outcomes, now)));
                }
                5 if !tickets.is_empty() => {
                    let (flow, ..) = tickets.swap_remove(pick % tickets.len());
                    fates += sum(carry_out(ledger.cancel(flow)));
                }
                6 => now += Duration::from_millis(100 * size as u64),
                _ => {}
            }
            let held: usize = ledger.entries.values().map(Entry::tiles).sum();
            prop_assert_eq!(held, ledger.tiles());
            let seconds = |entry: &Entry| entry.tiles() as f64 * each[entry.admission.class.network.0];
            let held: f64 = ledger.entries.values().map(seconds).sum();
            prop_assert_eq!(held, ledger.backlog.seconds(&rates, 1));
            prop_assert!(ledger.tiles() <= LIMITS.queue_tiles && ledger.bytes() <= LIMITS.queue_bytes);
        }
        for batch in running {
            fates += sum(settle(&mut ledger, batch, now));
        }
        for (flow, ..) in tickets {
            fates += sum(carry_out(ledger.cancel(flow)));
        }
        prop_assert_eq!(figures(&ledger), (0, 0, 0));
        prop_assert_eq!(ledger.backlog.seconds(&rates, 1), 0.0);
        prop_assert_eq!(fates, submitted);
        prop_assert!(ledger.entries.is_empty());
    }
}
