//! The fair queue of tiles: requests take turns. A plain data structure without threads or clocks.
//!
//! Tiles wait in *lanes* (one network, one shape: what may share a batch), and in each lane in *flows* (one request
//! each). Inside a lane every tile costs the same, so the flows simply take turns there, one tile a turn, until the
//! batch is full. Between lanes a tile of one network may cost a thousand of another, so lanes take turns by time:
//! deficit round robin (Shreedhar & Varghese 1995) in its surplus form, where a turn may overdraw and the debt is paid
//! from later turns, since what a batch will hold is only known once it is pulled. A lane's turn is worth one quantum
//! for each of its flows, so that every request gets the same share of time whichever lane it is in.
//!
//! Rejected: one virtual time per flow, smallest first (start-time fair queueing). It interleaves as well, but flows
//! that keep arriving enter at the current virtual time, ahead of an older flow that was served once; enough
//! thumbnails would starve a poster. A ring puts the newcomer behind everybody who waits already.
//!
//! Bounds, with batches of at most `b` tiles: of `n` flows that wait in a lane, each gets a tile in every ⌈n/b⌉ batches
//! of that lane. While a flow receives `k` tiles of cost `c`, each flow of another lane receives at most `k·c` and the
//! cost of the dearest tile, and each other lane one batch more.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::Lane;

/// One request in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub u64);

/// Tiles of all requests that wait for a worker.
#[derive(Debug)]
pub struct FairQueue<T> {
    /// Every lane ever seen: networks times shapes. An idle one keeps its debt.
    lanes: BTreeMap<Lane, LaneState>,
    /// Lanes with waiting tiles, the one whose turn it is first.
    turns: VecDeque<Lane>,
    /// Every open flow.
    flows: HashMap<FlowId, Flow<T>>,
    len: usize,
}

#[derive(Debug, Default)]
struct LaneState {
    /// Flows with waiting tiles, the one whose turn it is first.
    turns: VecDeque<FlowId>,
    waiting: usize,
    /// What is left of the turn; negative when batches overdrew it.
    credit: i64,
}

#[derive(Debug)]
struct Flow<T> {
    lane: Lane,
    tiles: VecDeque<T>,
    /// No tile of it has waited yet.
    new: bool,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { lanes: BTreeMap::new(), turns: VecDeque::new(), flows: HashMap::new(), len: 0 }
    }
}

impl<T> FairQueue<T> {
    /// Tiles waiting.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether none wait.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes up a request, all of whose tiles are of one lane. An id is used once.
    pub fn open(&mut self, flow: FlowId, lane: Lane) {
        self.flows.insert(flow, Flow { lane, tiles: VecDeque::new(), new: true });
    }

    /// Queues a tile behind those of its flow. It comes back if the flow is not open.
    pub fn push(&mut self, flow: FlowId, tile: T) -> Result<(), T> {
        let Some(entry) = self.flows.get_mut(&flow) else { return Err(tile) };
        let state = self.lanes.entry(entry.lane).or_default();
        if state.waiting == 0 {
            self.turns.push_back(entry.lane);
        }
        if entry.tiles.is_empty() {
            state.turns.push_back(flow);
        }
        if entry.new {
            // A newcomer does not pay for what others of its lane overdrew.
            state.credit = state.credit.max(0);
            entry.new = false;
        }
        entry.tiles.push_back(tile);
        state.waiting += 1;
        self.len += 1;
        Ok(())
    }

    /// The lane whose turn it is, with credit for a batch.
    fn turn(&mut self, cost: impl Fn(Lane) -> u64) -> Option<Lane> {
        // The dearest tile: then a lane without debt gets at least one tile a turn.
        let quantum = self.turns.iter().map(|lane| cost(*lane)).max()?.max(1) as i64;
        loop {
            let lane = *self.turns.front()?;
            let state = self.lanes.get_mut(&lane)?;
            if state.credit <= 0 {
                state.credit += quantum * state.turns.len() as i64;
            }
            if state.credit > 0 {
                return Some(lane);
            }
            self.turns.rotate_left(1);
        }
    }

    /// Takes the next batch: up to `batch_max` tiles of one lane, one from each flow in turn. `cost` is the time of one
    /// tile of a lane, in any unit, from 1 to 10¹².
    pub fn pull(&mut self, batch_max: usize, cost: impl Fn(Lane) -> u64) -> Option<(Lane, Vec<(FlowId, T)>)> {
        let lane = self.turn(&cost)?;
        let state = self.lanes.get_mut(&lane)?;
        let mut batch = Vec::with_capacity(batch_max.min(state.waiting));
        while batch.len() < batch_max {
            let Some(id) = state.turns.pop_front() else { break };
            let Some(flow) = self.flows.get_mut(&id) else { continue };
            if let Some(tile) = flow.tiles.pop_front() {
                batch.push((id, tile));
            }
            if !flow.tiles.is_empty() {
                state.turns.push_back(id);
            }
        }
        state.waiting -= batch.len();
        state.credit -= batch.len() as i64 * cost(lane).max(1) as i64;
        self.len -= batch.len();
        if state.waiting == 0 {
            self.retire(lane);
        } else if state.credit <= 0 {
            self.turns.rotate_left(1);
        }
        Some((lane, batch))
    }

    /// Ends a flow and takes out everything that it has waiting.
    pub fn close(&mut self, flow: FlowId) -> VecDeque<T> {
        let Some(Flow { lane, tiles, .. }) = self.flows.remove(&flow) else { return VecDeque::new() };
        if !tiles.is_empty()
            && let Some(state) = self.lanes.get_mut(&lane)
        {
            state.turns.retain(|id| *id != flow);
            state.waiting -= tiles.len();
            self.len -= tiles.len();
            if state.waiting == 0 {
                self.retire(lane);
            }
        }
        tiles
    }

    /// A lane ran empty: it leaves the ring, forgets what it did not use and keeps what it owes, or a request that
    /// submits its tiles few by few would overdraw every turn.
    fn retire(&mut self, lane: Lane) {
        self.turns.retain(|l| *l != lane);
        if let Some(state) = self.lanes.get_mut(&lane) {
            state.credit = state.credit.min(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;
    use crate::registry::NetworkId;
    use crate::units::TileShape;

    fn lane(n: usize) -> Lane {
        Lane { network: NetworkId(n), shape: TileShape::square(64) }
    }

    /// Pushes to a flow that is opened if need be.
    fn push(queue: &mut FairQueue<u32>, lane: Lane, flow: u64, tile: u32) {
        let flow = FlowId(flow);
        if !queue.flows.contains_key(&flow) {
            queue.open(flow, lane);
        }
        queue.push(flow, tile).expect("open");
    }

    fn even(_: Lane) -> u64 {
        1
    }

    fn flows_of(batch: &[(FlowId, u32)]) -> Vec<u64> {
        batch.iter().map(|(flow, _)| flow.0).collect()
    }

    #[test]
    fn an_empty_queue_gives_nothing() {
        let mut queue = FairQueue::<u32>::default();
        assert!(queue.pull(4, even).is_none());
        assert!(queue.close(FlowId(1)).is_empty());
        assert_eq!(queue.push(FlowId(1), 7), Err(7));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_thumbnail_is_in_the_next_batch_after_a_poster() {
        let mut queue = FairQueue::default();
        for tile in 0..1000 {
            push(&mut queue, lane(0), 1, tile);
        }
        assert_eq!(queue.pull(4, even).map(|(_, b)| flows_of(&b)), Some(vec![1, 1, 1, 1]));
        push(&mut queue, lane(0), 2, 0);
        push(&mut queue, lane(0), 2, 1);
        assert_eq!(queue.pull(4, even).map(|(_, b)| flows_of(&b)), Some(vec![1, 2, 1, 2]));
        assert_eq!(queue.pull(4, even).map(|(_, b)| flows_of(&b)), Some(vec![1, 1, 1, 1]));
    }

    #[test]
    fn turns_go_on_where_the_last_batch_ended() {
        let mut queue = FairQueue::default();
        for flow in 1..=5 {
            for tile in 0..4 {
                push(&mut queue, lane(0), flow, tile);
            }
        }
        let mut order = Vec::new();
        while let Some((_, batch)) = queue.pull(2, even) {
            order.extend(flows_of(&batch));
        }
        assert_eq!(order, [1, 2, 3, 4, 5].repeat(4));
    }

    #[test]
    fn tiles_of_a_flow_keep_their_order() {
        let mut queue = FairQueue::default();
        for tile in 0..10 {
            push(&mut queue, lane(0), 1, tile);
        }
        let mut seen = Vec::new();
        while let Some((_, batch)) = queue.pull(3, even) {
            seen.extend(batch.into_iter().map(|(_, tile)| tile));
        }
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn lanes_share_time_and_not_batches() {
        // Lane 0 costs 10 a tile, lane 1 costs 1; one flow each, both never empty.
        let cost = |l: Lane| if l == lane(0) { 10 } else { 1 };
        let mut queue = FairQueue::default();
        for tile in 0..2000 {
            push(&mut queue, lane(0), 0, tile);
            push(&mut queue, lane(1), 1, tile);
        }
        let mut time = [0_u64; 2];
        while time[0] + time[1] < 3000 {
            let (l, batch) = queue.pull(4, cost).expect("both lanes are full");
            time[l.network.0] += batch.len() as u64 * cost(l);
        }
        assert!(time[0].abs_diff(time[1]) <= 2 * 40, "unequal: {time:?}");
    }

    #[test]
    fn a_lane_gets_time_for_each_of_its_requests() {
        let mut queue = FairQueue::default();
        for tile in 0..2000 {
            push(&mut queue, lane(0), 0, tile);
            for flow in 1..=3 {
                push(&mut queue, lane(1), flow, tile);
            }
        }
        let mut tiles = HashMap::<u64, usize>::new();
        for _ in 0..400 {
            let (_, batch) = queue.pull(4, even).expect("all flows are full");
            for flow in flows_of(&batch) {
                *tiles.entry(flow).or_default() += 1;
            }
        }
        let (min, max) = (tiles.values().min().copied(), tiles.values().max().copied());
        assert!(max.zip(min).is_some_and(|(max, min)| max - min <= 8), "unequal: {tiles:?}");
    }

    #[test]
    fn a_newcomer_does_not_pay_for_its_lane() {
        let mut queue = FairQueue::default();
        for tile in 0..100 {
            push(&mut queue, lane(0), 0, tile);
            push(&mut queue, lane(1), 1, tile);
        }
        // The first lane has taken eight tiles for a turn worth one; the second has had its batch.
        assert_eq!(queue.pull(8, even).map(|(l, _)| l), Some(lane(0)));
        assert_eq!(queue.pull(8, even).map(|(l, _)| l), Some(lane(1)));
        push(&mut queue, lane(0), 2, 0);
        let (_, batch) = queue.pull(8, even).expect("work");
        assert!(flows_of(&batch).contains(&2));
    }

    #[test]
    fn an_idle_lane_saves_up_nothing() {
        let mut queue = FairQueue::default();
        push(&mut queue, lane(1), 1, 0);
        queue.pull(4, even);
        for tile in 0..100 {
            push(&mut queue, lane(0), 0, tile);
        }
        for _ in 0..10 {
            queue.pull(4, even);
        }
        for tile in 0..100 {
            push(&mut queue, lane(1), 1, tile);
        }
        let order: Vec<usize> = (0..8).filter_map(|_| queue.pull(4, even)).map(|(l, _)| l.network.0).collect();
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
        /// Whatever happens, a tile comes out once, is dropped once or still waits; a batch is of one lane and small.
        #[test]
        fn nothing_is_lost_or_doubled(ops in prop::collection::vec(op(), 1..200)) {
            let lane_of = |flow: u64| lane((flow % 3) as usize);
            let cost = |l: Lane| [1, 7, 1000][l.network.0];
            let mut queue = FairQueue::default();
            let mut waiting = HashSet::new();
            let mut next = 0_u32;
            for op in ops {
                match op {
                    Op::Push { flow, tiles } => for _ in 0..tiles {
                        push(&mut queue, lane_of(flow), flow, next);
                        waiting.insert((flow, next));
                        next += 1;
                    },
                    Op::Pull { max } => {
                        let Some((lane, batch)) = queue.pull(max, cost) else {
                            prop_assert!(waiting.is_empty());
                            continue;
                        };
                        let in_lane = waiting.iter().filter(|(f, _)| lane_of(*f) == lane).count();
                        prop_assert_eq!(batch.len(), in_lane.min(max));
                        for (flow, tile) in batch {
                            prop_assert_eq!(lane_of(flow.0), lane);
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
            while let Some((_, batch)) = queue.pull(4, cost) {
                for (flow, tile) in batch {
                    prop_assert!(waiting.remove(&(flow.0, tile)));
                }
            }
            prop_assert!(waiting.is_empty() && queue.is_empty());
        }

        /// In its lane a flow gets a tile in every ⌈n/b⌉ batches, although newcomers arrive before every batch.
        #[test]
        fn newcomers_do_not_starve_a_flow(
            others in 0..20_u64, max in 1..6_usize, tiles in 1..8_u32, newcomers in 0..4_u64,
        ) {
            let mut queue = FairQueue::default();
            for flow in 0..others {
                for tile in 0..64 {
                    push(&mut queue, lane(0), flow, tile);
                }
            }
            for tile in 0..tiles {
                push(&mut queue, lane(0), 1000, tile);
            }
            let mut next = 2000;
            for _ in 0..tiles {
                // Whoever is in the ring now may go first; who comes later may not.
                let ring = queue.lanes[&lane(0)].turns.len();
                let mut pulls = 0;
                loop {
                    for _ in 0..newcomers {
                        push(&mut queue, lane(0), next, 0);
                        next += 1;
                    }
                    let (_, batch) = queue.pull(max, even).expect("the flow waits");
                    pulls += 1;
                    if batch.iter().any(|(flow, _)| flow.0 == 1000) {
                        break;
                    }
                }
                prop_assert!(pulls <= ring.div_ceil(max), "{pulls} batches in a ring of {ring}");
                if queue.flows[&FlowId(1000)].tiles.is_empty() {
                    break;
                }
            }
        }

        /// Across lanes a flow with k tiles has them within a bounded time, whatever the other lanes hold or cost.
        #[test]
        fn other_lanes_do_not_starve_a_flow(
            rivals in prop::collection::vec((1..3_usize, 1..50_u64), 1..12),
            own in 1..50_u64, max in 1..6_usize, tiles in 1..12_u32, costs in (1..50_u64, 1..50_u64),
        ) {
            let cost = |l: Lane| [own, costs.0, costs.1][l.network.0];
            let mut queue = FairQueue::default();
            for (i, (l, n)) in rivals.iter().enumerate() {
                for tile in 0..(*n as u32) {
                    push(&mut queue, lane(*l), i as u64, tile);
                }
            }
            for tile in 0..tiles {
                push(&mut queue, lane(0), 1000, tile);
            }
            let (mut time, mut got) = (0, 0);
            while got < tiles {
                let (l, batch) = queue.pull(max, cost).expect("the flow waits");
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
            let bound = service + shares + max as u64 * (own + costs.0 + costs.1);
            prop_assert!(time <= bound, "{time} > {bound}");
        }
    }
}
