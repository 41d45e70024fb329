//! A connection, and its operations in flight.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use super::protocol::{ByteStream, Protocol};
use super::workload::{Kind, Operation};

/// A system that sends nothing for this time has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 256 << 10;

/// The operations in flight, by id.
pub(super) struct InFlight {
    /// The first operation in flight: all before it are answered.
    pub(super) first: u64,
    operations: VecDeque<Option<(Kind, Instant)>>,
    pub(super) count: usize,
}

impl InFlight {
    pub(super) fn new() -> InFlight {
        InFlight { first: 0, operations: VecDeque::new(), count: 0 }
    }

    pub(super) fn begin(&mut self, kind: Kind, at: Instant) -> u64 {
        self.operations.push_back(Some((kind, at)));
        self.count += 1;
        self.first + self.operations.len() as u64 - 1
    }

    pub(super) fn end(&mut self, id: u64) -> Option<(Kind, Instant)> {
        let index = usize::try_from(id.checked_sub(self.first)?).ok()?;
        let operation = self.operations.get_mut(index)?.take()?;
        self.count -= 1;
        while self.operations.front().is_some_and(Option::is_none) {
            self.operations.pop_front();
            self.first += 1;
        }
        Some(operation)
    }
}

/// A connection that one thread uses.
pub(super) struct Connection<P: Protocol> {
    stream: P::Stream,
    pub(super) protocol: P,
    pub(super) in_flight: InFlight,
    out: Vec<u8>,
    buffer: Vec<u8>,
    end: usize,
    pub(super) done: Vec<(u64, Result<(), String>)>,
}

impl<P: Protocol> Connection<P> {
    pub(super) fn new(stream: P::Stream, protocol: P) -> Result<Connection<P>, String> {
        stream.set_read_timeout(PATIENCE).map_err(|error| error.to_string())?;
        let (out, done) = (Vec::new(), Vec::new());
        Ok(Connection {
            stream,
            protocol,
            in_flight: InFlight::new(),
            out,
            buffer: Vec::new(),
            end: 0,
            done,
        })
    }

    pub(super) fn send(&mut self, operation: &Operation<'_>) {
        let id = self.in_flight.begin(operation.kind, Instant::now());
        self.protocol.encode(id, operation, &mut self.out);
    }

    /// Sends what is encoded, and decodes what arrives next.
    pub(super) fn exchange(&mut self) -> Result<(), String> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).map_err(|error| error.to_string())?;
            self.out.clear();
        }
        self.end += read(&self.stream, &mut self.buffer, self.end)?;
        let received = &self.buffer[..self.end];
        let used = self.protocol.decode(received, &mut self.done, &mut self.out)?;
        self.buffer.copy_within(used..self.end, 0);
        self.end -= used;
        Ok(())
    }
}

/// Reads once, behind the first `end` bytes of the buffer; returns how many bytes arrived.
pub(super) fn read(
    from: &impl ByteStream,
    buffer: &mut Vec<u8>,
    end: usize,
) -> Result<usize, String> {
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
