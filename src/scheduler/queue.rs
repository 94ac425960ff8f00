//! The fair queue of tiles: requests take turns. A plain data structure without threads or clocks.
//!
//! Tiles wait in *lanes* (one network, one shape: what may share a batch), and in each lane in *flows* (one request
//! each). Inside a lane every tile costs the same, so the flows simply take turns there, one tile a turn, until the
//! batch is full. Between lanes a tile of one network may cost a thousand of another, so lanes take turns by time:
//! deficit round robin (Shreedhar & Varghese 1995) in its surplus form, where a turn may overdraw and the debt is paid
//! from later turns, since what a batch will hold is only known once it is pulled. A lane's turn is worth one quantum
//! for each of its flows, so that every request gets the same share of time whichever lane it is in.
//!
//! A request that has had no turn yet goes before those that have (as sparse flows do in RFC 8290),
//! in every second batch at most, and where a full batch takes about as many times longer as it holds more tiles, its
//! first batch carries newcomers only: a thumbnail neither waits for a ring of posters nor for tiles that only fill
//! its batch up. Where a full batch takes hardly longer than one tile, tiles of older requests ride along. A lane that
//! was empty begins ahead of the others if a newcomer fills it, and the next that does so only after one of those had a
//! batch: a thumbnail's tiles are of another shape than a poster's, as a rule.
//!
//! Rejected: one virtual time per flow, smallest first (start-time fair queueing). It interleaves as well, but flows
//! that keep arriving enter at the current virtual time, ahead of an older flow that was served once; enough
//! thumbnails would starve a poster.
//!
//! Bounds, with batches of at most `b` tiles: of `n` flows that wait in a lane, each gets a tile in every 2·⌈n/b⌉
//! batches of that lane, whoever arrives. While a flow receives `k` tiles of cost `c`, each flow of another lane
//! receives at most `k·c` and the cost of the dearest tile, and each other lane one batch more.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::Lane;

/// One request in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub u64);

/// What the queue must know of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Time of one tile, in any unit, from 1 to 10¹².
    pub cost: u64,
    /// Tiles in a batch at most, at least 1.
    pub batch: usize,
    /// Whether a batch of newcomers is filled up with tiles of older requests.
    pub riders: bool,
}

/// Tiles of all requests that wait for a worker.
#[derive(Debug)]
pub struct FairQueue<T> {
    /// Every lane ever seen: networks times shapes. An idle one keeps its debt.
    lanes: BTreeMap<Lane, LaneState>,
    /// Lanes with waiting tiles, the one whose turn it is first.
    turns: VecDeque<Lane>,
    /// The lane that came in ahead of the others, until one of those has had a batch.
    ahead: Option<Lane>,
    /// Every open flow.
    flows: HashMap<FlowId, Flow<T>>,
    len: usize,
}

#[derive(Debug, Default)]
struct LaneState {
    /// Flows with waiting tiles that have had no turn yet, in the order of their arrival.
    newcomers: VecDeque<FlowId>,
    /// The others with waiting tiles, the one whose turn it is first.
    turns: VecDeque<FlowId>,
    /// Newcomers had the last batch, ahead of others that waited.
    passed: bool,
    waiting: usize,
    /// What is left of the turn; negative when batches overdrew it.
    credit: i64,
}

#[derive(Debug)]
struct Flow<T> {
    lane: Lane,
    tiles: VecDeque<T>,
    /// It has had no turn yet.
    new: bool,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { lanes: BTreeMap::new(), turns: VecDeque::new(), ahead: None, flows: HashMap::new(), len: 0 }
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

    /// Whether some lane has a whole batch waiting.
    pub fn has_full(&self, batch: impl Fn(Lane) -> usize) -> bool {
        self.turns.iter().any(|lane| self.lanes.get(lane).is_some_and(|state| state.waiting >= batch(*lane)))
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
            if entry.new && self.ahead.is_none() && !self.turns.is_empty() {
                self.turns.push_front(entry.lane);
                self.ahead = Some(entry.lane);
            } else {
                self.turns.push_back(entry.lane);
            }
        }
        if entry.tiles.is_empty() {
            if entry.new {
                state.newcomers.push_back(flow);
                // A newcomer does not pay for what others of its lane overdrew.
                state.credit = state.credit.max(0);
            } else {
                state.turns.push_back(flow);
            }
        }
        entry.tiles.push_back(tile);
        state.waiting += 1;
        self.len += 1;
        Ok(())
    }

    /// The lane whose turn it is, with credit for a batch.
    fn turn(&mut self, terms: impl Fn(Lane) -> Terms) -> Option<Lane> {
        // The dearest tile: then a lane without debt gets at least one tile a turn.
        let quantum = self.turns.iter().map(|lane| terms(*lane).cost).max()?.max(1) as i64;
        loop {
            let lane = *self.turns.front()?;
            let state = self.lanes.get_mut(&lane)?;
            if state.credit <= 0 {
                state.credit += quantum * (state.newcomers.len() + state.turns.len()) as i64;
            }
            if state.credit > 0 {
                return Some(lane);
            }
            self.turns.rotate_left(1);
        }
    }

    /// Takes the next batch: tiles of one lane, one from each flow in turn.
    pub fn pull(&mut self, terms: impl Fn(Lane) -> Terms) -> Option<(Lane, Vec<(FlowId, T)>)> {
        let lane = self.turn(&terms)?;
        let Terms { cost, batch: batch_max, riders } = terms(lane);
        self.ahead = self.ahead.filter(|ahead| *ahead == lane);
        let state = self.lanes.get_mut(&lane)?;
        let mut batch = Vec::with_capacity(batch_max.min(state.waiting));
        let newcomers = !state.newcomers.is_empty() && !state.passed;
        state.passed = newcomers && !state.turns.is_empty();
        if newcomers {
            let old = state.turns.len();
            state.deal(&mut self.flows, batch_max, true, &mut batch);
            if riders {
                // Those that came in by this very batch have had their share of it.
                let rest = state.turns.split_off(old);
                state.deal(&mut self.flows, batch_max, false, &mut batch);
                state.turns.extend(rest);
            }
        } else {
            state.deal(&mut self.flows, batch_max, false, &mut batch);
            state.deal(&mut self.flows, batch_max, true, &mut batch);
        }
        state.waiting -= batch.len();
        state.credit -= batch.len() as i64 * cost.max(1) as i64;
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
            state.newcomers.retain(|id| *id != flow);
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

impl LaneState {
    /// Deals turns to newcomers or to the others until the batch is full or none of them has a tile left. A newcomer
    /// that still has some joins the others.
    fn deal<T>(
        &mut self,
        flows: &mut HashMap<FlowId, Flow<T>>,
        batch_max: usize,
        newcomers: bool,
        batch: &mut Vec<(FlowId, T)>,
    ) {
        let mut ring = std::mem::take(if newcomers { &mut self.newcomers } else { &mut self.turns });
        while batch.len() < batch_max {
            let Some(id) = ring.pop_front() else { break };
            let Some(flow) = flows.get_mut(&id) else { continue };
            if let Some(tile) = flow.tiles.pop_front() {
                batch.push((id, tile));
                flow.new = false;
            }
            if !flow.tiles.is_empty() {
                ring.push_back(id);
            }
        }
        if newcomers {
            let is_new = |id: &FlowId| flows.get(id).is_some_and(|flow| flow.new);
            (self.newcomers, ring) = ring.into_iter().partition(is_new);
            self.turns.extend(ring);
        } else {
            self.turns = ring;
        }
    }
}

#[cfg(test)]
mod tests;
