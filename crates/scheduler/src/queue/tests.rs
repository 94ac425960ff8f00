//! The queue by example, then what holds of it whatever happens.

use std::collections::{HashMap, HashSet};

use images::units::TileShape;
use inference::registry::NetworkId;
use proptest::prelude::*;

use super::*;

fn class(n: usize) -> BatchClass {
    BatchClass { network: NetworkId(n), shape: TileShape::square(64) }
}

/// Pushes to a flow that is opened if need be.
fn push(queue: &mut FairQueue<u32>, class: BatchClass, flow: u64, tile: u32) {
    let flow = FlowId(flow);
    if !queue.flows.contains_key(&flow) {
        queue.open(flow, class);
    }
    queue.push(flow, tile).expect("open");
}

/// Pulls with these terms, but batches of at most `batch` tiles.
fn pull<T>(
    queue: &mut FairQueue<T>,
    batch: usize,
    terms: impl Fn(BatchClass) -> Terms,
) -> Option<(BatchClass, Vec<(FlowId, T)>)> {
    queue.pull(|class| Terms { batch, ..terms(class) })
}

fn even(_: BatchClass) -> Terms {
    Terms { cost: 1, batch: 1, fillers: false }
}

fn flows_of(batch: &[(FlowId, u32)]) -> Vec<u64> {
    batch.iter().map(|(flow, _)| flow.0).collect()
}

#[test]
fn an_empty_queue_gives_nothing() {
    let mut queue = FairQueue::<u32>::default();
    assert!(pull(&mut queue, 4, even).is_none());
    assert!(queue.close(FlowId(1)).is_empty());
    assert_eq!(queue.push(FlowId(1), 7), Err(7));
    assert!(queue.is_empty());
}

/// A queue whose large request, request 1 of batch class 0, has had its first turn: a batch of so many. More than one is a debt.
fn large_request(batch: usize) -> FairQueue<u32> {
    let mut queue = FairQueue::default();
    for tile in 0..1000 {
        push(&mut queue, class(0), 1, tile);
    }
    assert_eq!(pull(&mut queue, batch, even).map(|(_, b)| flows_of(&b)), Some(vec![1; batch]));
    queue
}

/// Requests 2 to 5 come to a batch class with a tile each, one before each batch of one: whose tiles run.
fn new_requests_one_by_one(mut queue: FairQueue<u32>, to: BatchClass) -> Vec<u64> {
    let mut order = Vec::new();
    for flow in 2..6 {
        push(&mut queue, to, flow, 0);
        order.extend(pull(&mut queue, 1, even).map(|(_, b)| flows_of(&b)));
    }
    order.concat()
}

#[test]
fn a_thumbnail_has_the_next_batch() {
    let mut queue = large_request(4);
    for tile in 0..6 {
        push(&mut queue, class(0), 2, tile);
    }
    push(&mut queue, class(0), 3, 0);
    // Both new requests share the first batch, with nobody else; then all take turns.
    for want in [[2, 3, 2, 2], [1, 2, 1, 2], [1, 2, 1, 1], [1, 1, 1, 1]] {
        assert_eq!(pull(&mut queue, 4, even).map(|(_, b)| flows_of(&b)), Some(want.to_vec()));
    }
}

#[test]
fn tiles_of_a_large_request_ride_along_where_that_is_cheap() {
    let with_fillers = |_| Terms { cost: 1, batch: 1, fillers: true };
    for (terms, want) in [(with_fillers as fn(BatchClass) -> Terms, vec![2, 1, 1, 1]), (even, vec![2])] {
        let mut queue = large_request(4);
        push(&mut queue, class(0), 2, 0);
        assert_eq!(pull(&mut queue, 4, terms).map(|(_, b)| flows_of(&b)), Some(want));
    }
}

#[test]
fn new_requests_of_another_class_go_first_in_every_second_batch_only() {
    assert_eq!(new_requests_one_by_one(large_request(1), class(1)), [2, 1, 3, 1]);
}

#[test]
fn new_requests_of_many_classes_go_first_in_every_second_batch() {
    let mut queue = large_request(1);
    for n in 2..5 {
        push(&mut queue, class(n), n as u64, 0);
    }
    let order: Vec<u64> = (0..7).filter_map(|_| pull(&mut queue, 1, even)).flat_map(|(_, b)| flows_of(&b)).collect();
    assert_eq!(order, [2, 1, 3, 1, 4, 1, 1]);
}

#[test]
fn a_class_that_went_ahead_with_one_batch_then_waits_for_its_turn() {
    let mut queue = large_request(1);
    for tile in 0..3 {
        push(&mut queue, class(1), 2, tile);
    }
    push(&mut queue, class(2), 3, 0);
    let order: Vec<u64> = (0..6).filter_map(|_| pull(&mut queue, 1, even)).flat_map(|(_, b)| flows_of(&b)).collect();
    assert_eq!(order, [2, 1, 3, 2, 1, 2]);
}

#[test]
fn who_had_a_turn_before_is_no_new_request_to_other_classes() {
    let mut queue = large_request(1);
    for (tile, want) in [(0, 2), (1, 1)] {
        push(&mut queue, class(1), 2, tile);
        assert_eq!(pull(&mut queue, 1, even).map(|(_, b)| flows_of(&b)), Some(vec![want]), "tile {tile}");
    }
}

#[test]
fn new_requests_go_first_in_every_second_batch_only() {
    assert_eq!(new_requests_one_by_one(large_request(4), class(0)), [2, 1, 3, 1]);
}

#[test]
fn turns_go_on_where_the_last_batch_ended() {
    let mut queue = FairQueue::default();
    for flow in 1..=5 {
        for tile in 0..4 {
            push(&mut queue, class(0), flow, tile);
        }
    }
    let mut order = Vec::new();
    while let Some((_, batch)) = pull(&mut queue, 5, even) {
        order.extend(flows_of(&batch));
    }
    assert_eq!(order, [1, 2, 3, 4, 5].repeat(4));
}

#[test]
fn tiles_of_a_flow_keep_their_order() {
    let mut queue = FairQueue::default();
    for tile in 0..10 {
        push(&mut queue, class(0), 1, tile);
    }
    let mut seen = Vec::new();
    while let Some((_, batch)) = pull(&mut queue, 3, even) {
        seen.extend(batch.into_iter().map(|(_, tile)| tile));
    }
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
}

#[test]
fn classes_share_time_and_not_batches() {
    // Batch class 0 costs 10 a tile, batch class 1 costs 1; one flow each, both never empty.
    let cost = |l: BatchClass| if l == class(0) { 10 } else { 1 };
    let terms = |l: BatchClass| Terms { cost: cost(l), batch: 1, fillers: false };
    let mut queue = FairQueue::default();
    for tile in 0..2000 {
        push(&mut queue, class(0), 0, tile);
        push(&mut queue, class(1), 1, tile);
    }
    let mut time = [0_u64; 2];
    while time[0] + time[1] < 3000 {
        let (l, batch) = pull(&mut queue, 4, terms).expect("both batch classes are full");
        time[l.network.0] += batch.len() as u64 * cost(l);
    }
    assert!(time[0].abs_diff(time[1]) <= 2 * 40, "unequal: {time:?}");
}

#[test]
fn a_class_gets_time_for_each_of_its_requests() {
    let mut queue = FairQueue::default();
    for tile in 0..2000 {
        push(&mut queue, class(0), 0, tile);
        for flow in 1..=3 {
            push(&mut queue, class(1), flow, tile);
        }
    }
    let mut tiles = HashMap::<u64, usize>::new();
    for _ in 0..400 {
        let (_, batch) = pull(&mut queue, 4, even).expect("all flows are full");
        for flow in flows_of(&batch) {
            *tiles.entry(flow).or_default() += 1;
        }
    }
    let (min, max) = (tiles.values().min().copied(), tiles.values().max().copied());
    assert!(max.zip(min).is_some_and(|(max, min)| max - min <= 8), "unequal: {tiles:?}");
}

#[test]
fn a_new_request_does_not_pay_for_its_class() {
    let mut queue = FairQueue::default();
    for tile in 0..100 {
        push(&mut queue, class(0), 0, tile);
        push(&mut queue, class(1), 1, tile);
    }
    // The batch class that came last began, and has taken eight tiles for a turn worth one; the other has had its batch.
    assert_eq!(pull(&mut queue, 8, even).map(|(l, _)| l), Some(class(1)));
    assert_eq!(pull(&mut queue, 8, even).map(|(l, _)| l), Some(class(0)));
    push(&mut queue, class(1), 2, 0);
    let (_, batch) = pull(&mut queue, 8, even).expect("work");
    assert!(flows_of(&batch).contains(&2));
}

#[test]
fn an_idle_class_saves_up_nothing() {
    let mut queue = FairQueue::default();
    push(&mut queue, class(1), 1, 0);
    pull(&mut queue, 4, even);
    for tile in 0..100 {
        push(&mut queue, class(0), 0, tile);
    }
    for _ in 0..10 {
        pull(&mut queue, 4, even);
    }
    for tile in 0..100 {
        push(&mut queue, class(1), 1, tile);
    }
    let order: Vec<usize> = (0..8).filter_map(|_| pull(&mut queue, 4, even)).map(|(l, _)| l.network.0).collect();
    assert_eq!(order.iter().filter(|l| **l == 1).count(), 4, "{order:?}");
}

#[derive(Clone, Debug)]
enum Op {
    Push { flow: u64, tiles: u32 },
    Pull { max: usize },
    Close { flow: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..12_u64, 1..6_u32).prop_map(|(flow, tiles)| Op::Push { flow, tiles }),
        4 => (1..6_usize).prop_map(|max| Op::Pull { max }),
        1 => (0..12_u64).prop_map(|flow| Op::Close { flow }),
    ]
}

proptest! {
    /// Whatever happens, a tile comes out once, is dropped once or still waits; a batch is of one batch class and small.
    #[test]
    fn nothing_is_lost_or_doubled(ops in prop::collection::vec(op(), 1..200), fillers: bool) {
        let class_of = |flow: u64| class((flow % 3) as usize);
        let terms = |l: BatchClass| Terms { cost: [1, 7, 1000][l.network.0], batch: 1, fillers };
        let mut queue = FairQueue::default();
        let mut waiting = HashSet::new();
        let mut next = 0_u32;
        for op in ops {
            match op {
                Op::Push { flow, tiles } => for _ in 0..tiles {
                    push(&mut queue, class_of(flow), flow, next);
                    waiting.insert((flow, next));
                    next += 1;
                },
                Op::Pull { max } => {
                    let Some((class, batch)) = pull(&mut queue, max, terms) else {
                        prop_assert!(waiting.is_empty());
                        continue;
                    };
                    let in_class = waiting.iter().filter(|(f, _)| class_of(*f) == class).count();
                    prop_assert!(!batch.is_empty() && batch.len() <= in_class.min(max));
                    prop_assert!(batch.len() == in_class.min(max) || !fillers);
                    for (flow, tile) in batch {
                        prop_assert_eq!(class_of(flow.0), class);
                        prop_assert!(waiting.remove(&(flow.0, tile)));
                    }
                }
                Op::Close { flow } => {
                    for tile in queue.close(FlowId(flow)) {
                        prop_assert!(waiting.remove(&(flow, tile)));
                    }
                    prop_assert!(waiting.iter().all(|(f, _)| *f != flow));
                }
            }
            prop_assert_eq!(queue.len(), waiting.len());
        }
        while let Some((_, batch)) = pull(&mut queue, 4, terms) {
            for (flow, tile) in batch {
                prop_assert!(waiting.remove(&(flow.0, tile)));
            }
        }
        prop_assert!(waiting.is_empty() && queue.is_empty());
    }

    /// In its batch class a flow gets a tile in every 2·⌈n/b⌉ batches, although new requests arrive before every batch.
    #[test]
    fn new_requests_do_not_starve_a_flow(
        others in 0..20_u64, max in 1..6_usize, tiles in 1..8_u32, new_requests in 0..9_u64, fillers: bool,
    ) {
        let terms = |_| Terms { cost: 1, batch: 1, fillers };
        let mut queue = FairQueue::default();
        for flow in 0..others {
            for tile in 0..64 {
                push(&mut queue, class(0), flow, tile);
            }
        }
        for tile in 0..tiles {
            push(&mut queue, class(0), 1000, tile);
        }
        let mut next = 2000;
        for _ in 0..tiles {
            // Whoever is in the ring now may go first; who comes later may not.
            let state = &queue.classes[&class(0)];
            let ring = state.turns.len() + state.new_requests.len();
            let mut pulls = 0;
            loop {
                for _ in 0..new_requests {
                    push(&mut queue, class(0), next, 0);
                    next += 1;
                }
                let (_, batch) = pull(&mut queue, max, terms).expect("the flow waits");
                pulls += 1;
                if batch.iter().any(|(flow, _)| flow.0 == 1000) {
                    break;
                }
            }
            prop_assert!(pulls <= 2 * ring.div_ceil(max), "{pulls} batches in a ring of {ring}");
            if queue.flows[&FlowId(1000)].tiles.is_empty() {
                break;
            }
        }
    }

    /// Across batch classes a flow with k tiles has them within a bounded time, whatever the other batch classes hold or cost.
    #[test]
    fn other_classes_do_not_starve_a_flow(
        rivals in prop::collection::vec((1..3_usize, 1..50_u64), 1..12),
        own in 1..50_u64, max in 1..6_usize, tiles in 1..12_u32, costs in (1..50_u64, 1..50_u64),
        fillers: bool,
    ) {
        let cost = |l: BatchClass| [own, costs.0, costs.1][l.network.0];
        let terms = |l: BatchClass| Terms { cost: cost(l), batch: 1, fillers };
        let mut queue = FairQueue::default();
        for (i, (l, n)) in rivals.iter().enumerate() {
            for tile in 0..(*n as u32) {
                push(&mut queue, class(*l), i as u64, tile);
            }
        }
        for tile in 0..tiles {
            push(&mut queue, class(0), 1000, tile);
        }
        let (mut time, mut got) = (0, 0);
        while got < tiles {
            let (l, batch) = pull(&mut queue, max, terms).expect("the flow waits");
            time += batch.len() as u64 * cost(l);
            got += batch.iter().filter(|(flow, _)| flow.0 == 1000).count() as u32;
            // The rivals never run dry.
            for (flow, _) in batch.iter().filter(|(flow, _)| flow.0 != 1000) {
                push(&mut queue, l, flow.0, 0);
            }
        }
        let dearest = own.max(costs.0).max(costs.1);
        let service = u64::from(tiles) * own;
        let shares = (service + dearest) * rivals.len() as u64;
        // Of each class a batch that overdraws its turn, and one that went ahead of the turns.
        let bound = service + shares + 2 * max as u64 * (own + costs.0 + costs.1);
        prop_assert!(time <= bound, "{time} > {bound}");
    }
}
