//! The writer below every encoder: buffers small writes, keeps the first error, and can be shut.

use std::cell::RefCell;
use std::io::{self, Write};

/// Bytes gathered before they are passed on.
pub const CAPACITY: usize = 64 << 10;

/// Shared by reference, since encoders own their writer.
pub struct Sink<'a> {
    state: RefCell<State<'a>>,
}

struct State<'a> {
    out: &'a mut dyn Write,
    buffer: Vec<u8>,
    open: bool,
    error: Option<io::Error>,
}

impl<'a> Sink<'a> {
    pub fn new(out: &'a mut dyn Write) -> Self {
        let buffer = Vec::with_capacity(CAPACITY);
        Self { state: RefCell::new(State { out, buffer, open: true, error: None }) }
    }

    /// To be asked before a long computation: passes on what is left and fails if nobody reads any more.
    pub fn ask(&self) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        state.drain().and_then(|()| state.out.flush()).inspect_err(|_| state.open = false)
    }

    /// From now on nothing is written and every write fails.
    pub fn shut(&self) {
        self.state.borrow_mut().open = false;
    }

    /// Passes on what is left, unless shut; gives back the first error of the writer below.
    pub fn finish(self) -> io::Result<()> {
        let mut state = self.state.into_inner();
        if state.open {
            state.drain().and_then(|()| state.out.flush())?;
        }
        state.error.map_or(Ok(()), Err)
    }
}

impl State<'_> {
    fn drain(&mut self) -> io::Result<()> {
        let result = self.out.write_all(&self.buffer);
        self.buffer.clear();
        result
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        if self.buffer.len() + data.len() > CAPACITY {
            self.drain()?;
        }
        if data.len() < CAPACITY {
            self.buffer.extend_from_slice(data);
            return Ok(());
        }
        self.out.write_all(data)
    }
}

impl Write for &Sink<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        if !state.open {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match state.write(data) {
            Ok(()) => Ok(data.len()),
            Err(error) => {
                let kind = error.kind();
                state.open = false;
                state.error = Some(error);
                Err(kind.into())
            }
        }
    }

    /// Nothing: encoders flush at will, readers want whole buffers. [`Sink::finish`] and [`Sink::ask`] flush.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes, then is full.
    struct Disk {
        room: usize,
        bytes: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            if self.room < data.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= data.len();
            self.bytes.extend_from_slice(data);
            Ok(data.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn passes_everything_on_in_order() -> io::Result<()> {
        let pieces = [1, CAPACITY - 2, 2, CAPACITY, 3 * CAPACITY, 5].map(|n| vec![n as u8; n]);
        let mut disk = Disk { room: usize::MAX, bytes: Vec::new() };
        let sink = Sink::new(&mut disk);
        for piece in &pieces {
            (&sink).write_all(piece)?;
        }
        sink.finish()?;
        assert_eq!(disk.bytes, pieces.concat());
        Ok(())
    }

    #[test]
    fn the_first_error_stays() {
        let mut disk = Disk { room: CAPACITY, bytes: Vec::new() };
        let sink = Sink::new(&mut disk);
        assert!((&sink).write_all(&vec![1; CAPACITY]).is_ok());
        assert!((&sink).write_all(&vec![2; CAPACITY]).is_err());
        assert!((&sink).write_all(b"3").is_err());
        let error = sink.finish().expect_err("the disk was full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.bytes.len(), CAPACITY);
    }

    #[test]
    fn an_error_of_the_last_bytes_is_not_lost() {
        let mut disk = Disk { room: 0, bytes: Vec::new() };
        let sink = Sink::new(&mut disk);
        assert!((&sink).write_all(b"few").is_ok());
        assert!(sink.finish().is_err());
    }

    #[test]
    fn shut_means_shut() {
        let mut out = Vec::new();
        let sink = Sink::new(&mut out);
        assert!((&sink).write_all(b"kept back").is_ok());
        sink.shut();
        assert!((&sink).write_all(b"more").is_err());
        assert!(sink.finish().is_ok(), "shutting is not the writer's fault");
        assert!(out.is_empty());
    }
}
