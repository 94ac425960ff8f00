//! A thread's turn at the bounded compute pool: held while it computes, given back while it waits.
//!
//! Blending and encoding run on one blocking thread a request, which spends most of its life waiting for tiles or for
//! a slow client. A permit held through those waits would lock other requests out of an idle machine.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use images::encode::helpers::{Helpers, Job};

/// Shared by what reads and what writes on one thread.
#[derive(Clone, Debug)]
pub(super) struct ComputePermit(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    pool: Arc<Semaphore>,
    runtime: Handle,
    stop: CancellationToken,
    permit: Option<OwnedSemaphorePermit>,
    began: Instant,
    waited: Duration,
}

/// The request ended; the thread should, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stopped;

impl ComputePermit {
    /// Waits for the first turn. Only on a blocking thread of `runtime`.
    pub(super) fn take(pool: Arc<Semaphore>, runtime: Handle, stop: CancellationToken) -> Result<Self, Stopped> {
        let permit = Self(Rc::new(RefCell::new(Inner {
            pool,
            runtime,
            stop,
            permit: None,
            began: Instant::now(),
            waited: Duration::ZERO,
        })));
        permit.wait_for(std::future::ready(()))?;
        Ok(permit)
    }

    /// Lets others compute until `event` happens and a turn is free again.
    pub(super) fn wait_for<T>(&self, event: impl Future<Output = T>) -> Result<T, Stopped> {
        let mut inner = self.0.borrow_mut();
        inner.permit = None;
        let since = Instant::now();
        let pool = Arc::clone(&inner.pool);
        let both = async {
            let value = event.await;
            // The pool is never closed; if it were, nobody should compute.
            pool.acquire_owned().await.map(|permit| (value, permit)).map_err(|_| Stopped)
        };
        let ended = inner.runtime.block_on(inner.stop.run_until_cancelled(both));
        inner.waited += since.elapsed();
        let (value, permit) = ended.ok_or(Stopped)??;
        inner.permit = Some(permit);
        Ok(value)
    }

    /// Lets anyone who waits in line compute first.
    pub(super) fn yield_now(&self) -> Result<(), Stopped> {
        self.wait_for(std::future::ready(()))
    }

    /// Turns that nobody wants at the moment.
    pub(super) fn idle_permits(&self) -> IdlePermits {
        IdlePermits(Arc::clone(&self.0.borrow().pool))
    }

    /// Time since the first turn was asked for, less the waits.
    pub(super) fn computed(&self) -> Duration {
        let inner = self.0.borrow();
        inner.began.elapsed().saturating_sub(inner.waited)
    }
}

/// Lends what is over in the pool to an encoder, a piece of work at a time.
#[derive(Clone, Debug)]
pub(super) struct IdlePermits(Arc<Semaphore>);

impl Helpers for IdlePermits {
    /// On a thread of its own, which begins at once: a blocking one of the runtime might have to be waited for, and the
    /// turn with it.
    fn try_spawn(&self, job: Job) -> bool {
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else { return false };
        let held = move || {
            let _permit = permit;
            job();
        };
        thread::Builder::new().name("encode".into()).spawn(held).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_compute_while_a_thread_waits() {
        let pool = Arc::new(Semaphore::new(1));
        let (send, receive) = oneshot::channel::<u8>();
        let (held_send, held) = oneshot::channel();
        let (at, theirs) = (Handle::current(), Arc::clone(&pool));
        let thread = tokio::task::spawn_blocking(move || {
            let permit = ComputePermit::take(theirs, at, CancellationToken::new()).expect("not stopped");
            held_send.send(()).expect("the test waits");
            permit.wait_for(receive).map(|value| value.expect("sent"))
        });
        held.await.expect("the thread has its turn");
        let ours = pool.acquire().await.expect("free while the thread waits");
        send.send(7).expect("the thread waits");
        drop(ours);
        assert_eq!(thread.await.expect("no panic"), Ok(7));
        assert_eq!(pool.available_permits(), 1, "a thread that ended holds nothing");
    }

    #[tokio::test]
    async fn a_stop_ends_every_wait() {
        let (pool, stop) = (Arc::new(Semaphore::new(1)), CancellationToken::new());
        let (at, theirs, token) = (Handle::current(), Arc::clone(&pool), stop.clone());
        let (held_send, held) = oneshot::channel();
        let thread = tokio::task::spawn_blocking(move || {
            let permit = ComputePermit::take(theirs, at, token).expect("not stopped yet");
            held_send.send(()).expect("the test waits");
            permit.wait_for(std::future::pending::<()>())
        });
        held.await.expect("the thread has its turn");
        stop.cancel();
        assert_eq!(thread.await.expect("no panic"), Err(Stopped));
        assert_eq!(pool.available_permits(), 1);
    }

    #[test]
    fn only_what_is_over_is_lent() {
        let pool = Arc::new(Semaphore::new(1));
        let idle_permits = IdlePermits(Arc::clone(&pool));
        let held = Arc::clone(&pool).try_acquire_owned().expect("it is free");
        assert!(!idle_permits.try_spawn(Box::new(|| panic!("all turns are taken"))));
        drop(held);
        let (done, end) = std::sync::mpsc::channel();
        assert!(idle_permits.try_spawn(Box::new(move || done.send(()).expect("it is waited for"))));
        end.recv().expect("it ran");
        // The turn comes back when the thread ends.
        while pool.available_permits() == 0 {
            thread::yield_now();
        }
    }
}
