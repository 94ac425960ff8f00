//! What the scheduler adds to the engine: the fair queue alone, one admission among many, and a tile's whole round.
//!
//! Seen on a busy 2-core machine in the dev profile: 0.14 µs to push a tile and 0.23 µs to pull it, 40 µs to admit a
//! request beside 200, 15 µs for a tile's round from `submit` to `finished`; a tile of `san-light` takes 20 ms and more.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use images::units::{Scale, TileShape};
use inference::engine::{EngineError, EngineSet, Execution, TileEngine};
use inference::registry::{Kind, Network, NetworkId, Registry};
use san_upscaler::telemetry::Metrics;
use scheduler::queue::{FairQueue, FlowId, Terms};
use scheduler::{AdmissionRequest, BatchClass, Limits, Scheduler};
use tiling::TileBounds;
use tokio::time::Instant;

const REQUESTS: u64 = 64;
const TILES: u64 = 64;

fn class(network: usize) -> BatchClass {
    BatchClass { network: NetworkId(network), shape: TileShape::square(64) }
}

fn full_queue() -> FairQueue<u64> {
    let mut queue = FairQueue::default();
    for flow in 0..REQUESTS {
        queue.open(FlowId(flow), class(flow as usize % 3));
        for tile in 0..TILES {
            queue.push(FlowId(flow), tile).expect("opened");
        }
    }
    queue
}

fn queue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Elements(REQUESTS * TILES));
    group.bench_function("push 64 requests of 64 tiles", |bench| bench.iter(full_queue));
    let terms = |class: BatchClass| Terms { cost: 1000 << class.network.0, batch: 4, fillers: false };
    group.bench_function("pull them in batches of 4", |bench| {
        bench.iter_batched_ref(
            full_queue,
            |queue| while black_box(queue.pull(terms)).is_some() {},
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// Gives tiles back at once.
struct Free;

impl TileEngine for Free {
    fn upscale(&mut self, _: TileShape, tiles: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EngineError> {
        Ok(tiles.iter().map(|_| Vec::new()).collect())
    }

    fn execution(&self) -> Execution {
        Execution { provider: "free".to_owned(), precision: "none".to_owned() }
    }
}

fn scheduler() -> Scheduler {
    let network = Network {
        id: NetworkId(0),
        model: "free".to_owned(),
        scale: Scale::new(1).expect("1 is a scale"),
        tile: TileBounds::square(64, 4),
        kind: Kind::Bicubic,
        parameters: 0,
    };
    let limits = Limits { batch_max: 4, batch_delay: Duration::ZERO, queue_tiles: 1_000_000, queue_bytes: u64::MAX };
    let engines = EngineSet::from([(NetworkId(0), Box::new(Free) as Box<dyn TileEngine>)]);
    Scheduler::start(limits, vec![engines], &Registry::new(vec![network]), Metrics::new().scheduler(), Arc::new(()))
        .expect("a thread")
}

fn admission_request(tiles: u64) -> AdmissionRequest {
    let deadline = Instant::now() + Duration::from_hours(1);
    AdmissionRequest { class: class(0), tiles: tiles as usize, bytes: 1, deadline }
}

fn admission(criterion: &mut Criterion) {
    let scheduler = scheduler();
    scheduler.seed_rate(class(0), 1e-3);
    let _admitted: Vec<_> = (1..=200).map(|n| scheduler.admit(admission_request(n)).expect("room")).collect();
    criterion.bench_function("admit one request beside 200", |bench| {
        bench.iter(|| scheduler.admit(admission_request(50)).expect("room"));
    });
}

fn round(criterion: &mut Criterion) {
    let scheduler = scheduler();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let mut group = criterion.benchmark_group("round");
    group.throughput(Throughput::Elements(TILES));
    group.bench_function("admit, submit and receive 64 tiles of 64x64", |bench| {
        bench.iter_batched(
            || vec![vec![0.0_f32; 3 * 64 * 64]; TILES as usize],
            |tiles| {
                runtime.block_on(async {
                    let mut ticket = scheduler.admit(admission_request(TILES)).expect("room");
                    for (index, tile) in tiles.into_iter().enumerate() {
                        ticket.submit(index, tile);
                    }
                    for _ in 0..TILES {
                        ticket.finished().await.expect("done");
                    }
                });
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, queue, admission, round);
criterion_main!(benches);
