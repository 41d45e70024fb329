//! One TCP connection, shared by the thread that reads it, the thread that writes it, and whoever
//! wants it closed.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// The shortest timeout a socket takes: zero would mean none.
const LEAST_TIMEOUT: Duration = Duration::from_millis(1);

/// A connection. Clones are the same connection; it is closed with the last of them, or by
/// [`close`](Stream::close), which wakes whoever is blocked in reading or writing it.
#[derive(Clone, Debug)]
pub struct Stream(Arc<TcpStream>);

impl Stream {
    /// Connects within `time`.
    ///
    /// # Errors
    /// When nobody listens there, or the time is over.
    pub fn connect(address: SocketAddr, time: Duration) -> io::Result<Stream> {
        Stream::new(TcpStream::connect_timeout(&address, time.max(LEAST_TIMEOUT))?)
    }

    /// Takes a connection. Frames are written whole, so there is nothing for Nagle to wait for.
    pub(super) fn new(stream: TcpStream) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        Ok(Stream(Arc::new(stream)))
    }

    /// How long one read may wait.
    pub(super) fn set_read_timeout(&self, time: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(time.max(LEAST_TIMEOUT)))
    }

    /// How long one write may wait.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_write_timeout(&self, time: Duration) -> io::Result<()> {
        self.0.set_write_timeout(Some(time.max(LEAST_TIMEOUT)))
    }

    /// The other end.
    pub(super) fn peer(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    /// Ends both directions.
    pub fn close(&self) {
        self.end(Shutdown::Both);
    }

    /// Ends reading: blocked and later reads give the end of the stream once the buffer is empty.
    pub(super) fn close_reading(&self) {
        self.end(Shutdown::Read);
    }

    /// Ends writing: the other side reads what was written, and then the end of the stream.
    pub fn close_writing(&self) {
        self.end(Shutdown::Write);
    }

    fn end(&self, what: Shutdown) {
        // The only error is that the connection is not open any more, which is what is wanted.
        let _ = self.0.shutdown(what);
    }

    /// Whether the two are the same connection.
    pub(super) fn is(&self, other: &Stream) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        (&*self.0).write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Closes the connection when dropped, in a panic too, so that no thread waits for one that is gone.
#[derive(Debug)]
pub(super) struct CloseOnDrop<'a>(pub(super) &'a Stream);

impl CloseOnDrop<'_> {
    /// Leaves the connection open after all.
    pub(super) fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
