//! Who follows requests into their batches: the service's traces, or nobody.

use super::queue::FlowId;
use images::units::TileShape;

/// Called on the threads of the scheduler, never under its lock.
pub trait Observer: Send + Sync {
    /// The task that runs now was admitted a request, or a pass of one, which has this number from here on.
    fn admitted(&self, request: FlowId);

    /// Nobody waits for it any more.
    fn left(&self, request: FlowId);

    /// A batch begins on this thread.
    fn begins(&self, batch: &BatchStart<'_>) -> BatchEnd;
}

/// What is called when a batch has ended: with whether the engine failed on any of its tiles.
pub type BatchEnd = Option<Box<dyn FnOnce(bool)>>;

/// A batch that begins.
#[derive(Clone, Copy, Debug)]
pub struct BatchStart<'a> {
    /// The model's name.
    pub model: &'a str,
    /// Its scale.
    pub scale: u32,
    /// Shape of its tiles.
    pub shape: TileShape,
    /// How many there are.
    pub tiles: usize,
    /// Whose they are, each once.
    pub requests: &'a [FlowId],
}

/// Nobody.
impl Observer for () {
    fn admitted(&self, _: FlowId) {}

    fn left(&self, _: FlowId) {}

    fn begins(&self, _: &BatchStart<'_>) -> BatchEnd {
        None
    }
}
