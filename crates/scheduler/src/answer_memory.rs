//! The memory of an answer that waits for its client: a part of its request's bytes that outlives the request.

use std::fmt;
use std::sync::Arc;

use super::ledger::Effects;
use super::shared::Shared;

/// Bytes split off an admitted request ([`Ticket::split_off`](super::Ticket::split_off)): in the budget until this is
/// dropped, whether or not the request is done.
#[must_use]
pub struct AnswerMemory {
    shared: Arc<Shared>,
    bytes: u64,
}

impl AnswerMemory {
    pub(super) const fn new(shared: Arc<Shared>, bytes: u64) -> Self {
        Self { shared, bytes }
    }

    /// Gives back what exceeds `bytes`; never takes more.
    pub fn shrink_to(&mut self, bytes: u64) {
        let excess = self.bytes.saturating_sub(bytes);
        if excess > 0 {
            self.bytes -= excess;
            self.shared.change(|ledger| (Effects::default(), ledger.give_back(excess)));
        }
    }
}

impl Drop for AnswerMemory {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

impl fmt::Debug for AnswerMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerMemory").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
