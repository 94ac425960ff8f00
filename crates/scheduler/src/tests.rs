//! The whole scheduler, threads included. Engines wait for orders from the test, so nothing here depends on speed.

mod mix;

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel};

use futures::FutureExt;
use images::units::{Scale, TileShape};
use inference::engine::{EngineError, Execution, TileEngine};
use inference::registry::{Kind, Network, NetworkId};
use tiling::TileBounds;

use super::*;

const CLASS: BatchClass = BatchClass { network: NetworkId(0), shape: TileShape::square(1) };
const LIMITS: Limits = Limits { batch_max: 2, batch_delay: Duration::ZERO, queue_tiles: 20, queue_bytes: 1000 };
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug)]
enum Order {
    Run,
    Fail,
    Panic,
}

/// Shows each batch and waits for an order.
struct Gated {
    shown: Sender<Vec<f32>>,
    orders: Receiver<Order>,
}

impl TileEngine for Gated {
    fn upscale(&mut self, _: TileShape, tiles: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
        self.shown.send(tiles.iter().map(|tile| tile[0]).collect()).expect("the test watches");
        match self.orders.recv_timeout(PATIENCE).expect("the test gives an order") {
            Order::Run => Ok(tiles.to_vec()),
            Order::Fail => Err(EngineError::Runtime("as ordered".to_owned())),
            // As a panic, but nothing is printed.
            Order::Panic => resume_unwind(Box::new("as ordered")),
        }
    }

    fn execution(&self) -> Execution {
        Execution { provider: "test".to_owned(), precision: "fp32".to_owned() }
    }
}

/// The other end of a [`Gated`] engine.
struct Gate {
    batches: Receiver<Vec<f32>>,
    orders: Sender<Order>,
}

impl Gate {
    fn new() -> (Self, EngineSet) {
        let ((shown, batches), (orders, received)) = (channel(), channel());
        let engine: Box<dyn TileEngine> = Box::new(Gated { shown, orders: received });
        (Self { batches, orders }, EngineSet::from([(NetworkId(0), engine)]))
    }

    /// Waits until a batch is on the engine.
    fn batch(&self) -> Vec<f32> {
        self.batches.recv_timeout(PATIENCE).expect("a batch comes")
    }

    fn order(&self, order: Order) {
        self.orders.send(order).expect("the engine waits");
    }
}

fn registry() -> Registry {
    Registry::new(vec![Network {
        id: NetworkId(0),
        model: "mock".to_owned(),
        scale: Scale::new(1).expect("1 is a scale"),
        tile: TileBounds::square(1, 0),
        kind: Kind::Bicubic,
        parameters: 0,
    }])
}

struct Bench {
    scheduler: Scheduler,
    metrics: Metrics,
    gates: Vec<Gate>,
}

impl Bench {
    fn new(limits: Limits, workers: usize) -> Self {
        let metrics = Metrics::unregistered();
        let (gates, engines): (Vec<_>, Vec<_>) = (0..workers).map(|_| Gate::new()).unzip();
        let scheduler = Scheduler::start(limits, engines, &registry(), metrics.clone(), Arc::new(())).expect("threads");
        Self { scheduler, metrics, gates }
    }

    fn admission(tiles: usize, left: Duration) -> AdmissionRequest {
        AdmissionRequest { class: CLASS, tiles, bytes: 10, deadline: Instant::now() + left }
    }

    /// Admits a request of these tiles and submits them all.
    fn request(&self, tiles: &[u16]) -> Ticket {
        let ticket = self.scheduler.admit(Self::admission(tiles.len(), PATIENCE)).expect("there is room");
        for (index, value) in tiles.iter().enumerate() {
            ticket.submit(index, vec![f32::from(*value)]);
        }
        ticket
    }

    /// A request whose only tile is on the engine of the first worker, so that all that follows waits.
    fn plug(&self) -> Ticket {
        let plug = self.request(&[0]);
        assert_eq!(self.gates[0].batch(), [0.0]);
        plug
    }

    fn figures(&self) -> (i64, i64, i64) {
        let metrics = &self.metrics;
        assert_eq!(metrics.admitted_tiles.get(), self.scheduler.admitted_tiles() as i64);
        (metrics.queued_tiles.get(), metrics.admitted_tiles.get(), metrics.inflight_bytes.get())
    }

    fn fates(&self) -> [u64; 3] {
        ["done", "failed", "canceled"].map(|fate| self.metrics.tiles.with_label_values(&["mock", "1", fate]).get())
    }
}

/// Waits for this many tiles and gives their values.
async fn receive(ticket: &mut Ticket, tiles: usize) -> Vec<f32> {
    let mut values = vec![f32::NAN; tiles];
    for _ in 0..tiles {
        let finished = ticket.finished().await.expect("no tile fails");
        values[finished.index] = finished.samples[0];
    }
    values
}

#[test]
fn a_ticket_may_live_in_any_task() {
    fn check<T: Send + Sync>() {}
    fn check_future<T: Send>(_: impl FnOnce(&'static mut Ticket) -> T) {}
    check::<Ticket>();
    check::<Scheduler>();
    check_future(Ticket::finished);
}

#[tokio::test]
async fn a_thumbnail_has_the_next_batch_after_a_large_request() {
    let bench = Bench::new(LIMITS, 1);
    let plug = bench.plug();
    let gate = &bench.gates[0];
    let mut large_request = bench.request(&[1, 2, 3, 4, 5, 6]);
    // Failed batches are not measured, so the scheduler cannot find that filler tiles would be cheap.
    gate.order(Order::Fail);
    assert_eq!(gate.batch(), [1.0, 2.0]);
    let mut thumbnail = bench.request(&[9]);
    gate.order(Order::Run);
    assert_eq!(gate.batch(), [9.0]);
    gate.order(Order::Run);
    assert_eq!(receive(&mut thumbnail, 1).await, [9.0]);
    for want in [[3.0, 4.0], [5.0, 6.0]] {
        assert_eq!(gate.batch(), want);
        gate.order(Order::Run);
    }
    assert_eq!(receive(&mut large_request, 6).await, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    drop((plug, large_request, thumbnail));
    assert_eq!(bench.figures(), (0, 0, 0));
    assert_eq!(bench.fates(), [7, 1, 0]);
    assert_eq!((bench.metrics.batch_tiles.get_sample_count(), bench.metrics.batch_tiles.get_sample_sum()), (5, 8.0));
}

#[tokio::test]
async fn tiles_of_two_requests_share_a_batch() {
    let bench = Bench::new(LIMITS, 1);
    let _plug = bench.plug();
    let gate = &bench.gates[0];
    let (_first, _second) = (bench.request(&[1, 2, 3]), bench.request(&[7, 8]));
    for want in [[1.0, 7.0].as_slice(), &[2.0, 8.0], &[3.0]] {
        gate.order(Order::Run);
        assert_eq!(gate.batch(), want);
    }
    gate.order(Order::Run);
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_queued_tiles_at_once() {
    let bench = Bench::new(LIMITS, 1);
    let gate = &bench.gates[0];
    let plug = bench.plug();
    let large_request = bench.request(&[1, 2, 3, 4, 5, 6]);
    gate.order(Order::Run);
    assert_eq!(gate.batch(), [1.0, 2.0]);
    assert_eq!(bench.figures(), (4, 6, 20));
    drop(large_request);
    assert_eq!(bench.figures(), (0, 2, 20), "what runs keeps its budget");
    let mut next = bench.request(&[7]);
    gate.order(Order::Run);
    assert_eq!(gate.batch(), [7.0], "the very next batch is another's");
    assert_eq!(bench.figures(), (0, 1, 20));
    gate.order(Order::Run);
    receive(&mut next, 1).await;
    drop((plug, next));
    assert_eq!(bench.figures(), (0, 0, 0));
    assert_eq!(bench.fates(), [2, 0, 6]);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_a_request_although_all_workers_are_busy() {
    let bench = Bench::new(LIMITS, 1);
    let _plug = bench.plug();
    let mut late = bench.scheduler.admit(Bench::admission(5, Duration::from_secs(2))).expect("there is room");
    late.submit(0, vec![1.0]);
    late.submit(1, vec![2.0]);
    assert_eq!(bench.figures(), (2, 6, 20));
    let begun = Instant::now();
    assert!(matches!(late.finished().await, Err(TileError::Expired)));
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    assert_eq!(bench.figures(), (0, 1, 20));
    assert!(matches!(late.finished().await, Err(TileError::Expired)), "once failed, always failed");
    late.submit(2, vec![3.0]);
    assert_eq!(bench.figures(), (0, 1, 20), "a tile too late is dropped");
    bench.gates[0].order(Order::Run);
}

#[tokio::test]
async fn an_overdue_tile_never_reaches_the_engine() {
    let bench = Bench::new(LIMITS, 1);
    let mut plug = bench.plug();
    let mut late = bench.scheduler.admit(Bench::admission(1, Duration::ZERO)).expect("nothing is measured yet");
    late.submit(0, vec![1.0]);
    let mut next = bench.request(&[2]);
    bench.gates[0].order(Order::Run);
    assert_eq!(bench.gates[0].batch(), [2.0]);
    bench.gates[0].order(Order::Run);
    assert!(matches!(late.finished().await, Err(TileError::Expired)));
    receive(&mut next, 1).await;
    receive(&mut plug, 1).await;
    assert_eq!(bench.fates(), [2, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_whole_requests_by_the_seeded_rate() {
    let bench = Bench::new(LIMITS, 1);
    bench.scheduler.seed_rate(CLASS, 3.0);
    let hour = Duration::from_hours(1);
    let first = bench.scheduler.admit(Bench::admission(15, hour)).expect("room for 20");
    let admission = Bench::admission(8, hour);
    let rejection = Rejection::QueueFull { queued: 15, limit: 20, needed: 8, retry_after: Duration::from_secs(9) };
    assert_eq!(bench.scheduler.estimate(std::slice::from_ref(&admission)).1, Some(rejection.clone()));
    assert_eq!(bench.scheduler.admit(admission).err(), Some(rejection));
    assert_eq!(bench.figures(), (0, 15, 10));
    let fits = Bench::admission(5, hour);
    // 5 of its own and 5 of the other's, and two batches of 2.
    assert_eq!(bench.scheduler.estimate(std::slice::from_ref(&fits)), (Duration::from_secs(3 * 14), None));
    let second = bench.scheduler.admit(fits).expect("exactly room");
    drop((first, second));
    assert_eq!(bench.figures(), (0, 0, 0));
}

#[tokio::test]
async fn a_panic_fails_its_batch_and_the_worker_goes_on() {
    let bench = Bench::new(LIMITS, 1);
    let gate = &bench.gates[0];
    let mut unlucky = bench.plug();
    let mut lucky = bench.request(&[1]);
    gate.order(Order::Panic);
    assert!(matches!(unlucky.finished().await, Err(TileError::Panicked)));
    assert_eq!(gate.batch(), [1.0]);
    gate.order(Order::Run);
    assert_eq!(receive(&mut lucky, 1).await, [1.0]);
    drop((unlucky, lucky));
    assert_eq!(bench.figures(), (0, 0, 0));
    assert_eq!(bench.fates(), [1, 1, 0]);
    assert_eq!(bench.metrics.panics.get(), 1);
}

#[tokio::test]
async fn a_failed_batch_runs_its_requests_apart() {
    let bench = Bench::new(LIMITS, 1);
    let gate = &bench.gates[0];
    let _plug = bench.plug();
    let mut bad = bench.request(&[1, 2, 3]);
    let mut good = bench.request(&[9]);
    for (order, next) in [(Order::Run, [1.0, 9.0].as_slice()), (Order::Fail, &[1.0]), (Order::Fail, &[9.0])] {
        gate.order(order);
        assert_eq!(gate.batch(), next);
    }
    gate.order(Order::Run);
    assert_eq!(receive(&mut good, 1).await, [9.0]);
    let error = bad.finished().await.err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some("inference failed: as ordered"));
    assert_eq!(bench.figures(), (0, 0, 30), "its other tiles are dropped");
    assert_eq!(bench.fates(), [2, 1, 2]);
}

#[tokio::test]
async fn two_workers_run_two_batches_at_once() {
    let bench = Bench::new(Limits { batch_max: 1, ..LIMITS }, 2);
    let mut first = bench.request(&[1]);
    let mut second = bench.request(&[2]);
    let mut both = [bench.gates[0].batch(), bench.gates[1].batch()].concat();
    both.sort_by(f32::total_cmp);
    assert_eq!(both, [1.0, 2.0]);
    for gate in &bench.gates {
        gate.order(Order::Run);
    }
    assert_eq!(receive(&mut first, 1).await, [1.0]);
    assert_eq!(receive(&mut second, 1).await, [2.0]);
}

#[tokio::test]
async fn draining_refuses_new_requests_and_finishes_the_rest() {
    let bench = Bench::new(LIMITS, 1);
    let mut admitted = bench.scheduler.admit(Bench::admission(2, PATIENCE)).expect("there is room");
    bench.scheduler.drain();
    assert_eq!(bench.scheduler.admit(Bench::admission(1, PATIENCE)).err(), Some(Rejection::Draining));
    assert_eq!(bench.scheduler.estimate(&[Bench::admission(1, PATIENCE)]).1, Some(Rejection::Draining));
    for index in 0..2 {
        admitted.submit(index, vec![1.0]);
        bench.gates[0].order(Order::Run);
    }
    assert_eq!(receive(&mut admitted, 2).await, [1.0, 1.0]);
}

#[tokio::test]
async fn stopping_fails_what_waits_and_joins_the_workers() {
    let bench = Bench::new(LIMITS, 1);
    let mut running = bench.plug();
    let mut waiting = bench.request(&[1]);
    let scheduler = bench.scheduler.clone();
    let stopping = thread::spawn(move || scheduler.stop());
    assert!(matches!(waiting.finished().await, Err(TileError::Stopped)));
    assert!(!stopping.is_finished(), "a batch runs");
    bench.gates[0].order(Order::Run);
    stopping.join().expect("no panic");
    assert_eq!(receive(&mut running, 1).await, [0.0]);
    assert!(bench.gates[0].batches.try_recv().is_err());
    assert_eq!(bench.scheduler.admit(Bench::admission(1, PATIENCE)).err(), Some(Rejection::Draining));
    bench.scheduler.stop();
}

#[tokio::test]
async fn the_last_handle_takes_the_workers_along() {
    let Bench { scheduler, gates, metrics } = Bench::new(LIMITS, 2);
    let ticket = scheduler.admit(Bench::admission(1, PATIENCE)).expect("there is room");
    drop(scheduler.clone());
    assert_eq!(scheduler.admitted_tiles(), 1);
    drop(scheduler);
    for gate in gates {
        assert!(gate.orders.send(Order::Run).is_err(), "the engine is gone");
    }
    drop(ticket);
    assert_eq!(metrics.admitted_tiles.get(), 0);
}

#[tokio::test]
async fn a_worker_waits_for_a_full_batch_no_longer_than_the_delay() {
    let bench = Bench::new(Limits { batch_delay: Duration::from_hours(1), ..LIMITS }, 1);
    let ticket = bench.request(&[1, 2]);
    assert_eq!(bench.gates[0].batch(), [1.0, 2.0], "full at once");
    bench.gates[0].order(Order::Run);
    drop(ticket);

    let bench = Bench::new(Limits { batch_delay: Duration::from_millis(5), ..LIMITS }, 1);
    let _ticket = bench.request(&[1]);
    assert_eq!(bench.gates[0].batch(), [1.0], "alone after the delay");
    bench.gates[0].order(Order::Run);
}

#[tokio::test]
async fn waiting_for_a_tile_can_be_given_up_without_losing_it() {
    let bench = Bench::new(LIMITS, 1);
    let mut ticket = bench.plug();
    assert!(ticket.finished().now_or_never().is_none());
    bench.gates[0].order(Order::Run);
    assert_eq!(receive(&mut ticket, 1).await, [0.0]);
}

#[tokio::test]
#[should_panic(expected = "no more tiles than it was admitted with")]
async fn submitting_more_than_was_admitted_is_a_bug() {
    let bench = Bench::new(LIMITS, 0);
    bench.request(&[1]).submit(1, vec![2.0]);
}
