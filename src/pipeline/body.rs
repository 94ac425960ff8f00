//! The bytes of an answer on their way out: held back until a failure can no longer be a proper error, then sent as
//! they come; and an end that is only good if someone said so.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::error::PipelineError;
use super::pass::{CHUNK, THRESHOLD};
use super::permit::{ComputePermit, Stopped};
use super::stage_timings::{StageTimings, Timings};
use super::unread::UnreadBytes;

/// Chunks that wait for the client at most.
const WAITING: usize = 8;

/// Bytes of an answer that are held at most: before the first leaves, on the way, and in the making.
pub(super) const HELD_BYTES: usize = THRESHOLD + (WAITING + 2) * CHUNK;

/// What is known when the first bytes leave.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) timings: Timings,
    pub(super) length: Option<u64>,
}

type Chunk = Result<Bytes, PipelineError>;

type Opened = oneshot::Sender<Result<Start, PipelineError>>;

/// Says once that bytes leave, or that none will.
#[derive(Clone, Debug)]
struct ReadySignal(Arc<Mutex<Option<Opened>>>);

impl ReadySignal {
    /// False if it was said before.
    fn send(&self, start: Result<Start, PipelineError>) -> bool {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Whoever waited may have left: then the work is being canceled anyway.
        sender.map(|sender| sender.send(start)).is_some()
    }
}

/// The three ends of an answer: its bytes, its verdict, and what the client holds.
pub(super) struct Answering {
    pub(super) writer: Outlet,
    pub(super) completion: Completion,
    pub(super) start: oneshot::Receiver<Result<Start, PipelineError>>,
    pub(super) body: mpsc::Receiver<Chunk>,
}

/// A new answer whose bytes are counted by `unread`.
pub(super) fn answering(unread: Arc<UnreadBytes>) -> Answering {
    // One place is kept for the error that may have to follow everything else.
    let (sender, body) = mpsc::channel(WAITING + 1);
    let (start_sender, start) = oneshot::channel();
    let ready = ReadySignal(Arc::new(Mutex::new(Some(start_sender))));
    let last = sender.clone().try_reserve_owned().ok();
    let completion = Completion {
        ready: ready.clone(),
        last,
        watch: sender.clone(),
        result: Err(PipelineError::Internal("the work ended without a result".into())),
    };
    Answering { writer: Outlet { ready, sender, unread }, completion, start, body }
}

/// How the answer ended. Unless marked as ended well, dropping it shows the client that it did not: a channel that
/// merely closes looks like the end of a whole file.
#[derive(Debug)]
pub(super) struct Completion {
    ready: ReadySignal,
    last: Option<mpsc::OwnedPermit<Chunk>>,
    watch: mpsc::Sender<Chunk>,
    result: Result<(), PipelineError>,
}

impl Completion {
    /// Ends the answer.
    pub(super) fn set(mut self, result: Result<(), PipelineError>) {
        self.result = result;
    }

    /// Completes when nobody will read the answer.
    pub(super) async fn abandoned(&self) {
        self.watch.closed().await;
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        let result = std::mem::replace(&mut self.result, Ok(()));
        if let Err(error) = result
            && !self.ready.send(Err(error.clone()))
            && let Some(last) = self.last.take()
        {
            last.send(Err(error));
        }
    }
}

/// The writing end, before it is on its thread.
#[derive(Debug)]
pub(super) struct Outlet {
    ready: ReadySignal,
    sender: mpsc::Sender<Chunk>,
    unread: Arc<UnreadBytes>,
}

impl Outlet {
    /// For the thread that encodes.
    pub(super) fn on(self, permit: ComputePermit, stage_timings: Arc<StageTimings>) -> Writer {
        Writer {
            outlet: self,
            permit,
            stage_timings,
            open: Vec::with_capacity(CHUNK),
            held: Some(Vec::new()),
            length: 0,
        }
    }
}

/// What an encoder writes into.
#[derive(Debug)]
pub(super) struct Writer {
    outlet: Outlet,
    permit: ComputePermit,
    stage_timings: Arc<StageTimings>,
    /// The chunk in the making.
    open: Vec<u8>,
    /// Chunks held back; `None` once bytes leave.
    held: Option<Vec<Bytes>>,
    /// Bytes of whole chunks so far.
    length: u64,
}

impl Writer {
    /// Sends what is left: the file is whole.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.close_chunk()?;
        self.stage_timings.encoded(self.permit.computed());
        self.release(Some(self.length))?;
        self.outlet.unread.complete();
        Ok(())
    }

    fn close_chunk(&mut self) -> io::Result<()> {
        let mut chunk = std::mem::replace(&mut self.open, Vec::with_capacity(CHUNK));
        // The last one may be short.
        chunk.shrink_to_fit();
        self.length += chunk.len() as u64;
        let chunk = self.outlet.unread.chunk(chunk);
        match &mut self.held {
            _ if chunk.is_empty() => Ok(()),
            None => self.send(chunk),
            Some(held) => {
                held.push(chunk);
                if self.length >= THRESHOLD as u64 { self.release(None) } else { Ok(()) }
            }
        }
    }

    /// Lets the bytes that were held back go, if they have not yet.
    fn release(&mut self, length: Option<u64>) -> io::Result<()> {
        let Some(held) = self.held.take() else { return Ok(()) };
        self.outlet.ready.send(Ok(Start { timings: self.stage_timings.timings(), length }));
        held.into_iter().try_for_each(|chunk| self.send(chunk))
    }

    fn send(&self, chunk: Bytes) -> io::Result<()> {
        match self.permit.wait_for(self.outlet.sender.send(Ok(chunk))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(Stopped) => Err(unread()),
        }
    }
}

fn unread() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads the answer")
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.open.len());
        self.open.extend_from_slice(&bytes[..taken]);
        if self.open.len() == CHUNK {
            self.close_chunk()?;
        }
        Ok(taken)
    }

    /// Chunks leave when they are full: an encoder that flushes often must not make them small. But it learns if the
    /// request ended, and others compute first.
    fn flush(&mut self) -> io::Result<()> {
        self.permit.yield_now().map_err(|Stopped| unread())
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Handle;
    use tokio::sync::Semaphore;
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// Writes `length` bytes on a blocking thread and finishes if `whole`.
    fn write(outlet: Outlet, length: usize, whole: bool) -> tokio::task::JoinHandle<io::Result<()>> {
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            let permit = ComputePermit::take(Arc::new(Semaphore::new(1)), runtime, CancellationToken::new())
                .expect("not stopped");
            let mut writer = outlet.on(permit, Arc::default());
            writer.write_all(&vec![5; length])?;
            if whole { writer.finish() } else { Ok(()) }
        })
    }

    fn failure() -> PipelineError {
        PipelineError::Internal("for the test".into())
    }

    #[tokio::test]
    async fn a_short_file_is_whole_before_it_leaves() {
        let mut answer = answering(UnreadBytes::new(None));
        write(answer.writer, THRESHOLD - 1, true).await.expect("no panic").expect("written");
        answer.completion.set(Ok(()));
        let start = answer.start.await.expect("said").expect("well");
        assert_eq!(start.length, Some(THRESHOLD as u64 - 1));
        let mut length = 0;
        while let Some(chunk) = answer.body.recv().await {
            length += chunk.expect("no error").len();
        }
        assert_eq!(length, THRESHOLD - 1);
    }

    #[tokio::test]
    async fn a_failure_before_the_threshold_is_the_answer() {
        let mut answer = answering(UnreadBytes::new(None));
        write(answer.writer, THRESHOLD - 1, false).await.expect("no panic").expect("written");
        answer.completion.set(Err(failure()));
        assert!(matches!(answer.start.await, Ok(Err(PipelineError::Internal(_)))));
        assert!(answer.body.recv().await.is_none(), "no byte left");
    }

    #[tokio::test]
    async fn from_the_threshold_on_a_failure_follows_the_bytes() {
        let mut answer = answering(UnreadBytes::new(None));
        let thread = write(answer.writer, THRESHOLD, false);
        let start = answer.start.await.expect("said").expect("well");
        assert_eq!(start.length, None);
        answer.completion.set(Err(failure()));
        let mut length = 0;
        loop {
            match answer.body.recv().await {
                Some(Ok(chunk)) => length += chunk.len(),
                Some(Err(error)) => break assert!(matches!(error, PipelineError::Internal(_))),
                None => panic!("the file looks whole"),
            }
        }
        assert!(length < THRESHOLD + CHUNK);
        // The thread ended by itself or because the receiver has only so many places.
        drop(answer.body);
        let _ = thread.await.expect("no panic");
    }

    #[tokio::test]
    async fn a_verdict_that_is_lost_is_a_failure() {
        let answer = answering(UnreadBytes::new(None));
        drop(answer.completion);
        assert!(matches!(answer.start.await, Ok(Err(PipelineError::Internal(_)))));
    }

    #[tokio::test]
    async fn a_reader_that_leaves_ends_the_writer_and_is_seen() {
        let answer = answering(UnreadBytes::new(None));
        drop(answer.body);
        answer.completion.abandoned().await;
        let error = write(answer.writer, THRESHOLD, true).await.expect("no panic").expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
