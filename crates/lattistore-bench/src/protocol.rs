//! The interface of a system that can be measured: a [`ByteStream`], and a [`Protocol`] on it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::workload::Operation;

/// A bidirectional stream of bytes. Two threads may use it, one to read and one to write.
pub(crate) trait ByteStream: Send + Sync {
    /// Reads once; returns zero at the end of the stream.
    fn read(&self, to: &mut [u8]) -> io::Result<usize>;

    /// Writes all bytes.
    fn write_all(&self, bytes: &[u8]) -> io::Result<()>;

    /// Sets the longest time that one read may wait.
    fn set_read_timeout(&self, time: Duration) -> io::Result<()>;

    /// Closes both directions.
    fn close(&self);
}

impl ByteStream for TcpStream {
    fn read(&self, to: &mut [u8]) -> io::Result<usize> {
        let mut this = self;
        Read::read(&mut this, to)
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let mut this = self;
        Write::write_all(&mut this, bytes)
    }

    fn set_read_timeout(&self, time: Duration) -> io::Result<()> {
        TcpStream::set_read_timeout(self, Some(time))
    }

    fn close(&self) {
        // The only error is that the stream is already closed.
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// The protocol state of one connection.
pub(crate) trait Protocol: Send {
    /// The stream of the connection.
    type Stream: ByteStream;

    /// Whether the protocol allows another operation in flight, besides the limit by `depth`.
    fn has_room(&self) -> bool;

    /// Appends the request for an operation.
    fn encode(&mut self, id: u64, operation: &Operation<'_>, to: &mut Vec<u8>);

    /// Decodes what arrived: adds the operations that are done, appends what is to be sent next,
    /// and returns how many bytes it used.
    ///
    /// # Errors
    /// If the connection can no longer be used.
    fn decode(
        &mut self,
        received: &[u8],
        done: &mut Vec<(u64, Result<(), String>)>,
        to: &mut Vec<u8>,
    ) -> Result<usize, String>;
}

/// A function that makes connections.
pub(crate) type Connect<'a, P> =
    dyn Fn() -> Result<(<P as Protocol>::Stream, P), String> + Sync + 'a;
