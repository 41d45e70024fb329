//! A connection, and the operations that are on their way over it.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use super::wire::{Duplex, Wire};
use super::workload::{Kind, Operation};

/// A system that gives no sign for so long has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 256 << 10;

/// The operations on their way, by id.
pub(super) struct Open {
    /// All operations before it are answered.
    pub(super) first: u64,
    asked: VecDeque<Option<(Kind, Instant)>>,
    pub(super) count: usize,
}

impl Open {
    pub(super) fn new() -> Open {
        Open { first: 0, asked: VecDeque::new(), count: 0 }
    }

    pub(super) fn begin(&mut self, kind: Kind, at: Instant) -> u64 {
        self.asked.push_back(Some((kind, at)));
        self.count += 1;
        self.first + self.asked.len() as u64 - 1
    }

    pub(super) fn end(&mut self, id: u64) -> Option<(Kind, Instant)> {
        let place = usize::try_from(id.checked_sub(self.first)?).ok()?;
        let asked = self.asked.get_mut(place)?.take()?;
        self.count -= 1;
        while self.asked.front().is_some_and(Option::is_none) {
            self.asked.pop_front();
            self.first += 1;
        }
        Some(asked)
    }
}

/// One connection that one thread uses.
pub(super) struct Lane<W: Wire> {
    stream: W::Duplex,
    pub(super) wire: W,
    pub(super) open: Open,
    out: Vec<u8>,
    buffer: Vec<u8>,
    end: usize,
    pub(super) done: Vec<(u64, Result<(), String>)>,
}

impl<W: Wire> Lane<W> {
    pub(super) fn new(stream: W::Duplex, wire: W) -> Result<Lane<W>, String> {
        stream.set_read_timeout(PATIENCE).map_err(|error| error.to_string())?;
        let (out, done) = (Vec::new(), Vec::new());
        Ok(Lane { stream, wire, open: Open::new(), out, buffer: Vec::new(), end: 0, done })
    }

    pub(super) fn ask(&mut self, operation: &Operation<'_>) {
        let id = self.open.begin(operation.kind, Instant::now());
        self.wire.ask(id, operation, &mut self.out);
    }

    /// Sends what is to be sent, and takes what comes next.
    pub(super) fn exchange(&mut self) -> Result<(), String> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).map_err(|error| error.to_string())?;
            self.out.clear();
        }
        self.end += read(&self.stream, &mut self.buffer, self.end)?;
        let came = &self.buffer[..self.end];
        let used = self.wire.take(came, &mut self.done, &mut self.out)?;
        self.buffer.copy_within(used..self.end, 0);
        self.end -= used;
        Ok(())
    }
}

/// Reads once, behind the `end` bytes that are there; gives how much came.
pub(super) fn read(from: &impl Duplex, buffer: &mut Vec<u8>, end: usize) -> Result<usize, String> {
    if buffer.len() - end < READ_BYTES / 2 {
        buffer.resize(end + READ_BYTES, 0);
    }
    match from.read(&mut buffer[end..]) {
        Ok(0) => Err("the system closed the connection".to_owned()),
        Ok(count) => Ok(count),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(format!("no answer for {} s", PATIENCE.as_secs()))
        }
        Err(error) => Err(error.to_string()),
    }
}
