//! Work of one encoder on more than one core, in order: the result does not depend on how many there are.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::target::EncodeError;

/// A piece of work that can be done anywhere.
pub type Job = Box<dyn FnOnce() + Send>;

/// Who knows whether a core is free.
pub trait Helpers {
    /// Starts the job on another thread and returns whether it did. A job that was taken may also be dropped: anyone who
    /// lends it can still do it.
    fn try_spawn(&self, job: Job) -> bool;
}

/// No help.
pub struct Alone;

impl Helpers for Alone {
    fn try_spawn(&self, _: Job) -> bool {
        false
    }
}

/// A thread that helped ended in a panic.
pub struct Lost;

impl From<Lost> for EncodeError {
    fn from(Lost: Lost) -> Self {
        Self::Encoder("a thread that helped ended early".into())
    }
}

/// Does one kind of work, here or elsewhere, and gives the results back in order.
pub struct Queue<'a, I, O> {
    helpers: &'a dyn Helpers,
    limit: usize,
    work: fn(I) -> O,
    waiting: VecDeque<Pending<I, O>>,
}

enum Pending<I, O> {
    Done(O),
    /// The input, until somebody begins with it.
    Lent(Arc<Mutex<Option<I>>>, Receiver<O>),
}

fn take<I>(slot: &Mutex<Option<I>>) -> Option<I> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl<'a, I: Send + 'static, O: Send + 'static> Queue<'a, I, O> {
    /// At most `limit` inputs and results are held.
    pub fn new(helpers: &'a dyn Helpers, limit: usize, work: fn(I) -> O) -> Self {
        Self { helpers, limit, work, waiting: VecDeque::with_capacity(limit) }
    }

    /// Lends the work or does it at once. What is [`Self::ready`] must be taken before the next one.
    pub fn push(&mut self, input: I) {
        let slot = Arc::new(Mutex::new(Some(input)));
        let (sender, receiver) = sync_channel(1);
        let (lent, work) = (Arc::clone(&slot), self.work);
        let job = Box::new(move || {
            if let Some(input) = take(&lent) {
                // Nobody waits any more if the encoder failed.
                let _ = sender.send(work(input));
            }
        });
        let own = if self.helpers.try_spawn(job) { None } else { take(&slot) };
        self.waiting.push_back(match own {
            Some(input) => Pending::Done(work(input)),
            None => Pending::Lent(slot, receiver),
        });
    }

    /// The oldest result, if it is there, or if there is no room for another one.
    pub fn ready(&mut self) -> Option<Result<O, Lost>> {
        let ready = match self.waiting.front_mut()? {
            Pending::Done(_) => true,
            Pending::Lent(_, receiver) => match receiver.try_recv() {
                Ok(done) => {
                    self.waiting.pop_front();
                    return Some(Ok(done));
                }
                Err(_) => self.waiting.len() >= self.limit,
            },
        };
        if ready { self.oldest() } else { None }
    }

    /// The oldest result, waited for; or worked for, if nobody began with it.
    pub fn oldest(&mut self) -> Option<Result<O, Lost>> {
        Some(match self.waiting.pop_front()? {
            Pending::Done(done) => Ok(done),
            Pending::Lent(slot, receiver) => match take(&slot) {
                Some(input) => Ok((self.work)(input)),
                None => receiver.recv().map_err(|_| Lost),
            },
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Lends by a pattern: to a thread, to nobody who ever begins, or not at all.
    pub struct Fickle(pub AtomicU64);

    impl Helpers for Fickle {
        fn try_spawn(&self, job: Job) -> bool {
            match self.0.fetch_add(1, Ordering::Relaxed) * 7 % 5 {
                0 | 3 => {
                    thread::spawn(job);
                    true
                }
                1 => true,
                _ => false,
            }
        }
    }

    fn slowly(n: u64) -> u64 {
        thread::sleep(Duration::from_millis(n % 3));
        n * n
    }

    #[test]
    fn results_come_in_order_whoever_does_the_work() {
        for helpers in [&Alone as &dyn Helpers, &Fickle(AtomicU64::new(0))] {
            let mut queue = Queue::new(helpers, 4, slowly);
            let mut results = Vec::new();
            for n in 0..60 {
                queue.push(n);
                while let Some(done) = queue.ready() {
                    results.push(done.ok());
                }
                assert!(queue.waiting.len() < 4);
            }
            while let Some(done) = queue.oldest() {
                results.push(done.ok());
            }
            assert!(results.iter().copied().eq((0..60).map(|n| Some(n * n))));
        }
    }

    #[test]
    fn a_thread_that_is_lost_is_reported() {
        struct Dies;
        impl Helpers for Dies {
            fn try_spawn(&self, job: Job) -> bool {
                let died = thread::spawn(move || {
                    job();
                });
                let _ = died.join();
                true
            }
        }
        let mut queue = Queue::new(&Dies, 2, |_: u8| -> u8 { std::panic::resume_unwind(Box::new(0)) });
        queue.push(1);
        assert!(matches!(queue.oldest(), Some(Err(Lost))));
        assert!(queue.oldest().is_none());
    }
}
