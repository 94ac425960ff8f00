//! Encoded bytes that wait for the client, counted in the memory budget for as long as they exist.
//!
//! The request may be over long before: an answer of less than a mebibyte is complete when its head leaves, and the
//! server's write buffers keep bytes whose body is gone. So each chunk owns its part of the count, wherever it lies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use scheduler::AnswerMemory;

/// The bytes of one answer that its client has not taken yet.
#[derive(Debug)]
pub struct UnreadBytes(Mutex<State>);

#[derive(Debug)]
struct State {
    unread: u64,
    /// No more will be encoded.
    complete: bool,
    memory: Option<AnswerMemory>,
}

impl UnreadBytes {
    /// None yet; `memory` is what there may be at most.
    pub(crate) fn new(memory: Option<AnswerMemory>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { unread: 0, complete: false, memory })))
    }

    /// How many there are now.
    pub fn bytes(&self) -> u64 {
        self.lock().unread
    }

    /// Bytes that count as unread until the last reference to them is dropped.
    pub(super) fn chunk(self: &Arc<Self>, bytes: Vec<u8>) -> Bytes {
        self.lock().unread += bytes.len() as u64;
        Bytes::from_owner(Chunk { bytes, unread: Arc::clone(self) })
    }

    /// All is encoded: the budget gets back whatever exceeds what is unread, now and with each chunk that is taken.
    pub(super) fn complete(&self) {
        let mut state = self.lock();
        state.complete = true;
        state.shrink();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn shrink(&mut self) {
        if let Some(memory) = self.memory.as_mut().filter(|_| self.complete) {
            memory.shrink_to(self.unread);
        }
    }
}

struct Chunk {
    bytes: Vec<u8>,
    unread: Arc<UnreadBytes>,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let length = std::mem::take(&mut self.bytes).len() as u64;
        let mut state = self.unread.lock();
        state.unread -= length;
        state.shrink();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_counts_until_its_last_part_is_dropped() {
        let unread = UnreadBytes::new(None);
        let mut whole = unread.chunk(vec![7; 10]);
        let other = unread.chunk(vec![8; 5]);
        assert_eq!(unread.bytes(), 15);
        let part = whole.split_to(3);
        drop(whole);
        assert_eq!(unread.bytes(), 15, "its memory is one");
        assert_eq!(&part[..], [7; 3]);
        drop(part);
        assert_eq!(unread.bytes(), 5);
        drop(other);
        assert_eq!(unread.bytes(), 0);
    }
}
