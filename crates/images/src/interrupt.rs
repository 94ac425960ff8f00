//! Ends a decode whose request has ended.
//!
//! A thread cannot be stopped from outside; so decoders read their file through [`Source`], which fails once the
//! [`Interrupt`] is set, and ask it between frames, strips and rows. What computes between two such places is bounded
//! by one pass over the image's own pixels.

use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::CodecError;

/// Set once, by anyone who waits for the decode and does no longer. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    set: Arc<AtomicBool>,
    /// After how many questions it sets itself.
    #[cfg(test)]
    patience: Option<Arc<std::sync::atomic::AtomicI64>>,
}

impl Interrupt {
    /// From now on every decode that has it fails at its next question.
    pub fn set(&self) {
        self.set.store(true, Ordering::Relaxed);
    }

    /// Whether the decode should end.
    pub fn is_set(&self) -> bool {
        #[cfg(test)]
        if let Some(patience) = &self.patience
            && patience.fetch_sub(1, Ordering::Relaxed) <= 0
        {
            self.set();
        }
        self.set.load(Ordering::Relaxed)
    }

    /// Fails if the decode should end.
    pub fn check(&self) -> Result<(), CodecError> {
        if self.is_set() { Err(CodecError::Interrupted) } else { Ok(()) }
    }

    /// Sets it when dropped.
    pub const fn set_on_drop(self) -> SetOnDrop {
        SetOnDrop(self)
    }

    /// One that sets itself after so many questions, so that a test ends a decode in the middle.
    #[cfg(test)]
    pub fn after(questions: i64) -> Self {
        Self { patience: Some(Arc::new(questions.into())), ..Self::default() }
    }

    /// Of those of [`Self::after`], how many it has not been asked yet.
    #[cfg(test)]
    pub fn questions_left(&self) -> i64 {
        self.patience.as_ref().map_or(0, |patience| patience.load(Ordering::Relaxed))
    }
}

/// Sets an [`Interrupt`] when dropped: with the future that waits for the decode.
#[derive(Debug)]
pub struct SetOnDrop(Interrupt);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// Bytes that are read between two questions. The densest stream, deflate, makes four megabytes of them.
pub const SLICE: usize = 4096;

/// A file in memory that can no longer be read once its decode should end.
#[derive(Clone, Debug)]
pub struct Source<B> {
    bytes: B,
    at: usize,
    /// Up to where it may be read without asking.
    asked: usize,
    interrupt: Interrupt,
}

impl<B: AsRef<[u8]>> Source<B> {
    pub fn new(bytes: B, interrupt: &Interrupt) -> Self {
        Self { bytes, at: 0, asked: 0, interrupt: interrupt.clone() }
    }

    /// How far it was read.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// What may be read now; empty at the end of the file alone.
    #[inline]
    fn window(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.asked {
            self.ask()?;
        }
        Ok(self.bytes.as_ref().get(self.at..self.asked).unwrap_or_default())
    }

    #[cold]
    fn ask(&mut self) -> io::Result<()> {
        if self.interrupt.is_set() {
            return Err(io::Error::other(CodecError::Interrupted));
        }
        self.asked = self.at.saturating_add(SLICE).min(self.bytes.as_ref().len());
        Ok(())
    }
}

impl<B: AsRef<[u8]>> Read for Source<B> {
    #[inline]
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let window = self.window()?;
        // Of a length that the compiler knows where the caller's is.
        let taken = if let Some(bytes) = window.get(..out.len()) {
            out.copy_from_slice(bytes);
            out.len()
        } else {
            out[..window.len()].copy_from_slice(window);
            window.len()
        };
        self.at += taken;
        Ok(taken)
    }
}

impl<B: AsRef<[u8]>> BufRead for Source<B> {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.window()
    }

    #[inline]
    fn consume(&mut self, n: usize) {
        self.at += n;
    }
}

impl<B: AsRef<[u8]>> Seek for Source<B> {
    #[inline]
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::Current(by) => (self.at as u64, by),
            SeekFrom::End(by) => (self.bytes.as_ref().len() as u64, by),
        };
        let at = from.checked_add_signed(by).and_then(|at| usize::try_from(at).ok());
        let at = at.ok_or(io::ErrorKind::InvalidInput)?;
        // A few bytes back were asked for; elsewhere nothing was.
        if at.abs_diff(self.at) > SLICE {
            self.asked = 0;
        }
        self.at = at;
        Ok(at as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_its_bytes() {
        let bytes: Vec<u8> = (0..3 * SLICE + 5).map(|i| i as u8).collect();
        let never = Interrupt::default();
        let mut source = Source::new(&bytes, &never);
        let mut all = Vec::new();
        source.read_to_end(&mut all).expect("memory");
        assert_eq!(all, bytes);
        assert_eq!(source.read(&mut [0]).expect("memory"), 0);
        for (to, byte) in [(SeekFrom::Start(7), 7), (SeekFrom::End(-5), 0), (SeekFrom::Current(-4), 253)] {
            source.seek(to).expect("within");
            let mut next = [9];
            source.read_exact(&mut next).expect("within");
            assert_eq!(next, [byte], "{to:?}");
        }
        source.seek(SeekFrom::Start(1 << 40)).expect("beyond");
        assert!(source.fill_buf().expect("memory").is_empty());
        assert!(source.seek(SeekFrom::Start(0)).is_ok() && source.seek(SeekFrom::Current(-1)).is_err());
    }

    #[test]
    fn nothing_more_is_read_after_it_is_set() {
        let bytes = vec![1; 3 * SLICE];
        let interrupt = Interrupt::default();
        let mut source = Source::new(&bytes, &interrupt);
        source.read_exact(&mut [0; SLICE]).expect("not set");
        source.read_exact(&mut [0]).expect("not set");
        drop(interrupt.clone().set_on_drop());
        assert_eq!(interrupt.check(), Err(CodecError::Interrupted));
        assert!(source.read_to_end(&mut Vec::new()).is_err(), "no further than what was asked for");
        source.seek(SeekFrom::Start(0)).expect("within");
        assert!(source.read(&mut [0]).is_err());
    }
}
