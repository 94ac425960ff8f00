//! The client's end of a connection: whether who sends no more still waits for an answer, or is gone.
//!
//! A client may close its sending side after its request and wait (RFC 9112, 9.6). One that left altogether looks the
//! same until something is sent to it: then its system answers that nobody is there. So a client that is silent for a moment, while
//! an answer is computed, is sent `100 Continue`, which every client of HTTP/1.1 has to skip (RFC 9110, 15.2).

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// A client whose sending side is closed is asked once it has been so for this long, or twice that: most answers are
/// ready before.
const LOOK: Duration = Duration::from_secs(1);
/// It is asked again after this.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// The server's end of a connection, for hyper.
#[derive(Debug)]
pub struct Stream {
    stream: Arc<TcpStream>,
    /// All that was to be written was taken by the system.
    flushed: Arc<AtomicBool>,
}

/// What watches the client of a [`Stream`].
#[derive(Debug)]
pub struct Peer {
    stream: Arc<TcpStream>,
    flushed: Arc<AtomicBool>,
    computing: watch::Sender<bool>,
}

/// While it lives, an answer of HTTP/1.1 is computed, of which nothing is written yet.
#[derive(Debug)]
pub struct Computing(watch::Sender<bool>);

/// Both sides of a new connection.
pub fn observed(stream: TcpStream) -> (Stream, Peer) {
    let (stream, flushed) = (Arc::new(stream), Arc::new(AtomicBool::new(true)));
    let peer =
        Peer { stream: Arc::clone(&stream), flushed: Arc::clone(&flushed), computing: watch::Sender::new(false) };
    (Stream { stream, flushed }, peer)
}

impl Peer {
    /// Reports that an answer is computed.
    pub fn computing(&self) -> Computing {
        self.computing.send_replace(true);
        Computing(self.computing.clone())
    }

    /// Resolves once nobody waits for the answer that is computed.
    pub async fn gone(&self) {
        let mut computing = self.computing.subscribe();
        let mut closed_before = false;
        loop {
            // Its sender is our own: it cannot be closed.
            let _ = computing.wait_for(|computing| *computing).await;
            sleep(LOOK).await;
            let closed = std::mem::replace(&mut closed_before, self.sends_no_more()) && closed_before;
            if !closed || !*self.computing.borrow() || !self.flushed.load(Ordering::Acquire) {
                continue;
            }
            match self.stream.try_write(INTERIM) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // A part of it would spoil the answer; who took nothing for so long does not wait.
                Ok(written) if written == INTERIM.len() => {
                    if timeout(ASK_AGAIN, self.stream.ready(Interest::ERROR)).await.is_ok() {
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    fn sends_no_more(&self) -> bool {
        let ready = self.stream.ready(Interest::READABLE).now_or_never();
        ready.and_then(Result::ok).is_some_and(tokio::io::Ready::is_read_closed)
    }
}

impl Drop for Computing {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read_buf(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(drop)),
            }
        }
    }
}

impl Stream {
    fn poll_try(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.flushed.store(false, Ordering::Release);
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match write(&self.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_try(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_try(cx, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed.store(true, Ordering::Release);
        Poll::Ready(Ok(()))
    }

    /// The connection's task ends with it, and closes both directions.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
