//! What a change of the ledger makes necessary outside its lock.

use inference::registry::NetworkId;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::tile::{Finished, TileError};

/// Where the results of a request go.
pub(crate) type Results = UnboundedSender<Result<Finished, TileError>>;

/// A tile that waits.
#[derive(Debug)]
pub(crate) struct Tile {
    pub(crate) index: usize,
    pub(crate) samples: Vec<f32>,
    /// It lies on the side of its batch class's shape.
    pub(crate) transposed: bool,
    pub(crate) since: Instant,
}

/// What became of a tile, as in `upscaler_tiles_total{outcome}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    Failed,
    Canceled,
}

/// What is to be done outside the lock.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Effects {
    pub(crate) messages: Vec<(Results, Result<Finished, TileError>)>,
    /// Held only so that their memory is freed outside the lock.
    pub(crate) dropped: Vec<Tile>,
    pub(crate) counts: Vec<(NetworkId, Fate, usize)>,
}

impl Effects {
    pub(super) fn add(&mut self, other: Self) {
        self.messages.extend(other.messages);
        self.dropped.extend(other.dropped);
        self.counts.extend(other.counts);
    }

    pub(super) fn count(&mut self, network: NetworkId, fate: Fate, tiles: usize) {
        if tiles > 0 {
            self.counts.push((network, fate, tiles));
        }
    }
}
