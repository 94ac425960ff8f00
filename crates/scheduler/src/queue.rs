//! The fair queue of tiles: requests take turns. A plain data structure without threads or clocks.
//!
//! Tiles wait in *batch classes* (one network, one shape: what may share a batch), and in each batch class in *flows* (one request
//! each). Inside a batch class every tile costs the same, so the flows simply take turns there, one tile a turn, until the
//! batch is full. Between batch classes a tile of one network may cost a thousand of another, so batch classes take turns by time:
//! deficit round robin (Shreedhar & Varghese 1995) in its surplus form, where a turn may overdraw and the debt is paid
//! from later turns, since what a batch will hold is only known once it is pulled. A batch class's turn is worth one quantum
//! for each of its flows, so that every request gets the same share of time whichever batch class it is in.
//!
//! A request that has had no turn yet goes before those that have (as sparse flows do in RFC 8290),
//! in every second batch at most, and where a full batch takes about as many times longer as it holds more tiles, its
//! first batch carries new requests only: a thumbnail neither waits for a ring of large requests nor for tiles that only fill
//! its batch up. Where a full batch takes hardly longer than one tile, tiles of older requests ride along. Tiles of two images
//! are of two shapes, as a rule: so a batch class that was empty and is filled by a new request goes ahead of those that
//! wait already, again in every second batch at most.
//!
//! Rejected: one virtual time per flow, smallest first (start-time fair queueing). It interleaves as well, but flows
//! that keep arriving enter at the current virtual time, ahead of an older flow that was served once; enough
//! thumbnails would starve a large request.
//!
//! Bounds, with batches of at most `b` tiles: of `n` flows that wait in a batch class, each gets a tile in every 2·⌈n/b⌉
//! batches of that batch class, anyone who arrives. While a flow receives `k` tiles of cost `c`, each flow of another batch class
//! receives at most `k·c` and the cost of the dearest tile, and each other batch class one batch more.

use std::collections::{BTreeMap, HashMap, VecDeque};

use images::units::TileShape;
use inference::registry::NetworkId;

/// What shares a batch: one network, one tile shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchClass {
    /// Model and scale.
    pub network: NetworkId,
    /// Tile shape.
    pub shape: TileShape,
}

/// One request in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub u64);

/// What the queue must know of a batch class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Time of one tile, in any unit, from 1 to 10¹².
    pub cost: u64,
    /// Tiles in a batch at most, at least 1.
    pub batch: usize,
    /// Whether a batch of new requests is filled up with tiles of older requests.
    pub fillers: bool,
}

/// Tiles of all requests that wait for a worker.
#[derive(Debug)]
pub struct FairQueue<T> {
    /// Every batch class ever seen: networks times shapes. An idle one keeps its debt.
    classes: BTreeMap<BatchClass, ClassState>,
    /// Batch classes with waiting tiles, the one whose turn it is first.
    turns: VecDeque<BatchClass>,
    /// Those that a new request filled while others waited, and that have had no batch since, in the order of their arrival.
    ahead: VecDeque<BatchClass>,
    /// One of those had the last batch.
    ahead_last: bool,
    /// Every open flow.
    flows: HashMap<FlowId, Flow<T>>,
    len: usize,
}

#[derive(Debug, Default)]
struct ClassState {
    /// Flows with waiting tiles that have had no turn yet, in the order of their arrival.
    new_requests: VecDeque<FlowId>,
    /// The others with waiting tiles, the one whose turn it is first.
    turns: VecDeque<FlowId>,
    /// New requests had the last batch, ahead of others that waited.
    deferred: bool,
    waiting: usize,
    /// What is left of the turn; negative when batches overdrew it.
    credit: i64,
}

#[derive(Debug)]
struct Flow<T> {
    class: BatchClass,
    tiles: VecDeque<T>,
    /// It has had no turn yet.
    new: bool,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        let (turns, ahead) = (VecDeque::new(), VecDeque::new());
        Self { classes: BTreeMap::new(), turns, ahead, ahead_last: false, flows: HashMap::new(), len: 0 }
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

    /// Whether some batch class has a whole batch waiting.
    pub fn has_full(&self, batch: impl Fn(BatchClass) -> usize) -> bool {
        self.waiting().any(|class| self.classes.get(class).is_some_and(|state| state.waiting >= batch(*class)))
    }

    /// Takes up a request, all of whose tiles are of one batch class. An id is used once.
    pub fn open(&mut self, flow: FlowId, class: BatchClass) {
        self.flows.insert(flow, Flow { class, tiles: VecDeque::new(), new: true });
    }

    /// Queues a tile behind those of its flow. It comes back if the flow is not open.
    pub fn push(&mut self, flow: FlowId, tile: T) -> Result<(), T> {
        let Some(entry) = self.flows.get_mut(&flow) else { return Err(tile) };
        let state = self.classes.entry(entry.class).or_default();
        if state.waiting == 0 {
            let ring = if entry.new && !self.turns.is_empty() { &mut self.ahead } else { &mut self.turns };
            ring.push_back(entry.class);
        }
        if entry.tiles.is_empty() {
            if entry.new {
                state.new_requests.push_back(flow);
                // A new request does not pay for what others of its batch class overdrew.
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

    /// Batch classes with waiting tiles.
    fn waiting(&self) -> impl Iterator<Item = &BatchClass> {
        self.ahead.iter().chain(&self.turns)
    }

    /// The batch class whose turn it is, with credit for a batch; then it is the first of `turns`.
    fn turn(&mut self, terms: impl Fn(BatchClass) -> Terms) -> Option<BatchClass> {
        // The dearest tile: then a batch class without debt gets at least one tile a turn.
        let quantum = self.waiting().map(|class| terms(*class).cost).max()?.max(1) as i64;
        let next = if self.ahead_last && !self.turns.is_empty() { None } else { self.ahead.pop_front() };
        self.ahead_last = next.is_some();
        self.turns.extend(next);
        self.turns.rotate_right(usize::from(self.ahead_last));
        loop {
            let class = *self.turns.front()?;
            let state = self.classes.get_mut(&class)?;
            if state.credit <= 0 {
                state.credit += quantum * (state.new_requests.len() + state.turns.len()) as i64;
            }
            if state.credit > 0 {
                return Some(class);
            }
            self.turns.rotate_left(1);
        }
    }

    /// Takes the next batch: tiles of one batch class, one from each flow in turn.
    pub fn pull(&mut self, terms: impl Fn(BatchClass) -> Terms) -> Option<(BatchClass, Vec<(FlowId, T)>)> {
        let class = self.turn(&terms)?;
        let Terms { cost, batch: batch_max, fillers } = terms(class);
        let state = self.classes.get_mut(&class)?;
        let mut batch = Vec::with_capacity(batch_max.min(state.waiting));
        let new_requests = !state.new_requests.is_empty() && !state.deferred;
        state.deferred = new_requests && !state.turns.is_empty();
        if new_requests {
            let old = state.turns.len();
            state.deal(&mut self.flows, batch_max, true, &mut batch);
            if fillers {
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
            self.retire(class);
        } else if state.credit <= 0 || self.ahead_last {
            self.turns.rotate_left(1);
        }
        Some((class, batch))
    }

    /// Ends a flow and takes out everything that it has waiting.
    pub fn close(&mut self, flow: FlowId) -> VecDeque<T> {
        let Some(Flow { class, tiles, .. }) = self.flows.remove(&flow) else { return VecDeque::new() };
        if !tiles.is_empty()
            && let Some(state) = self.classes.get_mut(&class)
        {
            state.turns.retain(|id| *id != flow);
            state.new_requests.retain(|id| *id != flow);
            state.waiting -= tiles.len();
            self.len -= tiles.len();
            if state.waiting == 0 {
                self.retire(class);
            }
        }
        tiles
    }

    /// A batch class ran empty: it leaves the ring, forgets what it did not use and keeps what it owes, or a request that
    /// submits its tiles few by few would overdraw every turn.
    fn retire(&mut self, class: BatchClass) {
        self.turns.retain(|l| *l != class);
        self.ahead.retain(|l| *l != class);
        if let Some(state) = self.classes.get_mut(&class) {
            state.credit = state.credit.min(0);
        }
    }
}

impl ClassState {
    /// Deals turns to new requests or to the others until the batch is full or none of them has a tile left. A new request
    /// that still has some joins the others.
    fn deal<T>(
        &mut self,
        flows: &mut HashMap<FlowId, Flow<T>>,
        batch_max: usize,
        new_requests: bool,
        batch: &mut Vec<(FlowId, T)>,
    ) {
        let mut ring = std::mem::take(if new_requests { &mut self.new_requests } else { &mut self.turns });
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
        if new_requests {
            let is_new = |id: &FlowId| flows.get(id).is_some_and(|flow| flow.new);
            (self.new_requests, ring) = ring.into_iter().partition(is_new);
            self.turns.extend(ring);
        } else {
            self.turns = ring;
        }
    }
}

#[cfg(test)]
mod tests;
