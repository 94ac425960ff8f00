//! Who is admitted and what is owed to whom: every change of the scheduler's state, one function each.
//!
//! No threads, locks or clocks here: time is an argument, and what a change makes necessary outside (results to send,
//! tiles to free, counts) comes back as [`Effects`], to be carried out when the lock is open again.
//!
//! A tile of an admitted request is *unsubmitted*, *queued*, *running* or gone, and holds its part of the budget until
//! it is gone. A request's bytes are held until its ticket and its holds are dropped and no tile of it runs any more.

mod effects;

use std::collections::BTreeMap;
use std::time::Duration;

use inference::engine::batch_sizer::BatchSizer;
use tokio::time::Instant;

pub(super) use effects::{Effects, Fate, Results, Tile};

use super::admission::{self, ActiveRequest, AdmissionRequest, Limits, Load, Rejection, Verdict};
use super::backlog::Backlog;
use super::batch::{Job, Outcome};
use super::queue::{BatchClass, FairQueue, FlowId};
use super::rate::Rates;
use super::tile::{Finished, TileError};

/// How long a request may have nothing with the workers before the tiles it has yet to submit stop counting as work:
/// its reader stalls. Ample for an encoder that pauses between bands.
const STALLED: Duration = Duration::from_secs(1);

/// Tiles of one batch class that run together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) class: BatchClass,
    pub(super) jobs: Vec<Job>,
}

/// More tiles were submitted than were admitted.
#[derive(Debug)]
pub(super) struct Overdrawn;

/// One pass of a request; most have but one.
#[derive(Debug)]
struct Entry {
    /// The first pass of the same request.
    request: FlowId,
    admission: AdmissionRequest,
    protected: bool,
    unsubmitted: usize,
    queued: usize,
    running: usize,
    /// Jobs that hold its memory, whether or not somebody waits for them.
    holds: usize,
    /// When a tile of it last came or was settled; `None` until the first, while the image is decoded.
    active: Option<Instant>,
    results: Results,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Somebody waits for it.
    Live,
    /// Failed; its ticket still holds the bytes.
    Failed,
    /// The ticket was dropped.
    Gone,
}

impl Entry {
    fn tiles(&self) -> usize {
        self.unsubmitted + self.queued + self.running
    }

    /// Tiles that compete with a new request's. A request that waits for the workers competes with all it has, however
    /// slow they are; one that had its turn and asks for no more waits for its client, and may do so for good.
    fn competing(&self, now: Instant) -> usize {
        let idle = self.queued + self.running == 0;
        let stalled = self.active.is_some_and(|active| now.saturating_duration_since(active) > STALLED);
        if idle && stalled { 0 } else { self.tiles() }
    }
}

/// The state of the scheduler.
#[derive(Debug)]
pub(super) struct Ledger {
    limits: Limits,
    workers: usize,
    queue: FairQueue<Tile>,
    /// By age; the passes of a request in their order.
    entries: BTreeMap<FlowId, Entry>,
    rates: Rates,
    backlog: Backlog,
    bytes: u64,
    admitted: u64,
    draining: bool,
    stopped: bool,
}

impl Ledger {
    pub(super) fn new(limits: Limits, sizer: BatchSizer, workers: usize) -> Self {
        Self {
            queue: FairQueue::default(),
            entries: BTreeMap::new(),
            rates: Rates::new(sizer),
            limits,
            workers,
            backlog: Backlog::default(),
            bytes: 0,
            admitted: 0,
            draining: false,
            stopped: false,
        }
    }

    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Tiles waiting for a worker.
    pub(super) const fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Whether a whole batch waits.
    pub(super) fn has_full_batch(&self) -> bool {
        self.queue.has_full(|class| self.rates.batch(class))
    }

    /// Tiles admitted and not gone.
    pub(super) fn tiles(&self) -> usize {
        self.backlog.tiles()
    }

    /// Seconds until the workers would have done them, by the measured rates.
    pub(super) fn seconds(&self) -> f64 {
        self.backlog.seconds(&self.rates, self.workers)
    }

    /// Bytes admitted and not given back.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) const fn stopped(&self) -> bool {
        self.stopped
    }

    pub(super) fn seed_rate(&mut self, class: BatchClass, seconds: f64) {
        self.rates.seed(class, seconds);
    }

    pub(super) fn measured(&mut self, class: BatchClass, tiles: usize, ran: Duration) {
        self.rates.record(class, tiles, ran);
    }

    /// What [`admit`](Self::admit) would answer.
    pub(super) fn judge(&self, passes: &[AdmissionRequest], now: Instant) -> Verdict {
        // The passes of a request run one after the other: they compete as one.
        let mut active_requests: BTreeMap<FlowId, ActiveRequest> = BTreeMap::new();
        for entry in self.entries.values() {
            let seconds = self.rates.seconds(entry.admission.class).unwrap_or(0.0);
            let work = entry.competing(now) as f64 * seconds;
            let active = active_requests.entry(entry.request).or_insert_with(|| ActiveRequest {
                class: entry.admission.class,
                work: 0.0,
                owed: 0.0,
                left: admission::seconds_left(entry.admission.deadline, now),
                protected: false,
                bytes: 0,
            });
            active.protected |= entry.protected && entry.state == State::Live;
            if active.work == 0.0 {
                active.class = entry.admission.class;
            }
            active.work += work;
            active.owed += entry.tiles() as f64 * seconds;
            active.bytes += entry.admission.bytes;
        }
        let active_requests = active_requests.into_values().collect();
        let load = Load { active_requests, tiles: self.tiles(), bytes: self.bytes };
        let mut verdict = admission::judge(passes, now, &self.limits, self.workers, &self.rates, &load);
        if self.draining {
            verdict.rejection = Some(Rejection::Draining);
        }
        verdict
    }

    /// Takes a request in, whole, with every pass of it, or returns why not.
    pub(super) fn admit(
        &mut self,
        passes: &[AdmissionRequest],
        now: Instant,
        mut results: impl FnMut() -> Results,
    ) -> Result<Vec<FlowId>, Rejection> {
        let verdict = self.judge(passes, now);
        if let Some(rejection) = verdict.rejection {
            return Err(rejection);
        }
        let request = FlowId(self.admitted);
        let mut admit = |admission: &AdmissionRequest| {
            let flow = FlowId(self.admitted);
            self.admitted += 1;
            self.backlog.add(admission.class, admission.tiles);
            self.bytes += admission.bytes;
            self.queue.open(flow, admission.class);
            let entry = Entry {
                request,
                protected: verdict.protected,
                unsubmitted: admission.tiles,
                queued: 0,
                running: 0,
                holds: 0,
                active: None,
                results: results(),
                state: State::Live,
                admission: admission.clone(),
            };
            self.entries.insert(flow, entry);
            flow
        };
        Ok(passes.iter().map(&mut admit).collect())
    }

    /// A job takes hold of a request's memory.
    pub(super) fn hold(&mut self, flow: FlowId) {
        if let Some(entry) = self.entries.get_mut(&flow) {
            entry.holds += 1;
        }
    }

    /// A job let go of it.
    pub(super) fn release(&mut self, flow: FlowId) {
        if let Some(entry) = self.entries.get_mut(&flow) {
            entry.holds -= 1;
        }
        self.close(flow);
    }

    /// Splits up to `bytes` off a request's own: they stay in the budget until they are given back by themselves.
    pub(super) fn split_off(&mut self, flow: FlowId, bytes: u64) -> u64 {
        let Some(entry) = self.entries.get_mut(&flow) else { return 0 };
        let bytes = bytes.min(entry.admission.bytes);
        entry.admission.bytes -= bytes;
        bytes
    }

    /// Takes back bytes that were split off.
    pub(super) fn give_back(&mut self, bytes: u64) {
        self.bytes -= bytes;
    }

    /// Queues a tile. One of a request that has failed is dropped: its ticket has the error.
    pub(super) fn submit(&mut self, flow: FlowId, tile: Tile) -> Result<Effects, Overdrawn> {
        let Some(entry) = self.entries.get_mut(&flow).filter(|entry| entry.state == State::Live) else {
            return Ok(Effects { dropped: vec![tile], ..Effects::default() });
        };
        if entry.unsubmitted == 0 {
            return Err(Overdrawn);
        }
        let since = tile.since;
        if let Err(tile) = self.queue.push(flow, tile) {
            return Ok(Effects { dropped: vec![tile], ..Effects::default() });
        }
        entry.unsubmitted -= 1;
        entry.queued += 1;
        entry.active = Some(since);
        if self.stopped { Ok(self.fail(flow, TileError::Stopped)) } else { Ok(Effects::default()) }
    }

    /// Hands out the next batch, after dropping what nobody can use any more.
    pub(super) fn take(&mut self, now: Instant) -> (Option<Batch>, Effects) {
        let overdue: Vec<FlowId> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.queued > 0 && entry.admission.deadline <= now)
            .map(|(flow, _)| *flow)
            .collect();
        let mut effects = Effects::default();
        for flow in overdue {
            effects.add(self.fail(flow, TileError::Expired));
        }
        let pulled = self.queue.pull(|class| self.rates.terms(class));
        let batch = pulled.map(|(class, tiles)| Batch { class, jobs: self.begin(tiles, now) });
        (batch, effects)
    }

    fn begin(&mut self, tiles: Vec<(FlowId, Tile)>, now: Instant) -> Vec<Job> {
        let jobs = tiles.into_iter().map(|(flow, tile)| {
            if let Some(entry) = self.entries.get_mut(&flow) {
                entry.queued -= 1;
                entry.running += 1;
            }
            let queued = now.saturating_duration_since(tile.since);
            Job { flow, index: tile.index, samples: tile.samples, transposed: tile.transposed, queued }
        });
        jobs.collect()
    }

    /// Whether somebody still waits for a request.
    pub(super) fn wanted(&self, flow: FlowId) -> bool {
        self.entries.get(&flow).is_some_and(|entry| entry.state == State::Live)
    }

    /// Takes back the tiles of a batch that is done: results go out, budgets come back.
    pub(super) fn settle(&mut self, outcomes: Vec<Outcome>, now: Instant) -> Effects {
        let mut effects = Effects::default();
        for Outcome { flow, index, queued, ran, result } in outcomes {
            let Some(entry) = self.entries.get_mut(&flow) else { continue };
            entry.running -= 1;
            entry.active = Some(now);
            let class = entry.admission.class;
            self.backlog.remove(class, 1);
            let network = class.network;
            if entry.state != State::Live {
                effects.count(network, Fate::Canceled, 1);
                self.close(flow);
                continue;
            }
            match result {
                Ok(samples) => {
                    effects.count(network, Fate::Done, 1);
                    effects.messages.push((entry.results.clone(), Ok(Finished { index, samples, queued, ran })));
                }
                Err(error) => {
                    effects.count(network, Fate::Failed, 1);
                    effects.add(self.fail(flow, error));
                }
            }
        }
        effects
    }

    /// The ticket is gone: nobody waits for what is left of the request.
    pub(super) fn cancel(&mut self, flow: FlowId) -> Effects {
        let effects = self.clear(flow);
        if let Some(entry) = self.entries.get_mut(&flow) {
            entry.state = State::Gone;
        }
        self.close(flow);
        effects
    }

    /// The request gets no more tiles; the ticket is given the reason, unless it had one before.
    pub(super) fn fail(&mut self, flow: FlowId, error: TileError) -> Effects {
        let mut effects = self.clear(flow);
        if let Some(entry) = self.entries.get_mut(&flow).filter(|entry| entry.state == State::Live) {
            entry.state = State::Failed;
            effects.messages.push((entry.results.clone(), Err(error)));
        }
        effects
    }

    /// From now on nothing is admitted.
    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    /// From now on nothing is admitted, and nothing that waits is run.
    pub(super) fn stop(&mut self) -> Effects {
        self.draining = true;
        self.stopped = true;
        let waiting: Vec<FlowId> =
            self.entries.iter().filter(|(_, entry)| entry.queued > 0).map(|(flow, _)| *flow).collect();
        let mut effects = Effects::default();
        for flow in waiting {
            effects.add(self.fail(flow, TileError::Stopped));
        }
        effects
    }

    /// Drops what a request has not running, and gives its tiles back to the budget.
    fn clear(&mut self, flow: FlowId) -> Effects {
        let mut effects = Effects::default();
        let Some(entry) = self.entries.get_mut(&flow) else { return effects };
        effects.dropped.extend(self.queue.close(flow));
        effects.count(entry.admission.class.network, Fate::Canceled, effects.dropped.len());
        self.backlog.remove(entry.admission.class, entry.unsubmitted + entry.queued);
        entry.unsubmitted = 0;
        entry.queued = 0;
        effects
    }

    /// Forgets a request and gives its bytes back, if its ticket is gone, none of its tiles runs and nothing holds it.
    fn close(&mut self, flow: FlowId) {
        if let Some(entry) = self.entries.get(&flow)
            && entry.state == State::Gone
            && entry.running == 0
            && entry.holds == 0
        {
            self.bytes -= entry.admission.bytes;
            self.entries.remove(&flow);
        }
    }
}

#[cfg(test)]
mod tests;
