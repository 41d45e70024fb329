//! One TCP connection, with or without TLS. The thread that reads it, the thread that writes it,
//! and threads that may close it share it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{MsgFlags, send};

use super::timeout::socket_timeout;
use super::tls::Tls;
use crate::security::Channel;

/// A connection. Clones are the same connection; it is closed with the last clone, or by
/// [`close`](Stream::close), which wakes the threads that are blocked in a read or a write.
#[derive(Clone, Debug)]
pub struct Stream {
    socket: Arc<TcpStream>,
    tls: Option<Arc<Tls>>,
}

impl Stream {
    /// Connects within `time`.
    ///
    /// # Errors
    /// If nothing listens at the address, or the time is over.
    pub fn connect(address: SocketAddr, time: Duration) -> io::Result<Stream> {
        Stream::new(TcpStream::connect_timeout(&address, socket_timeout(time))?)
    }

    /// Takes over a connection. It disables Nagle's algorithm, because frames are written whole.
    pub(crate) fn new(stream: TcpStream) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        Ok(Stream { socket: Arc::new(stream), tls: None })
    }

    /// Returns the same connection with TLS, after a handshake. Nothing may have been read or
    /// written before.
    ///
    /// # Errors
    /// If one side does not trust the other or does not speak TLS, or the handshake is not complete
    /// by `until`.
    pub fn secured(&self, session: rustls::Connection, until: Instant) -> io::Result<Stream> {
        self.set_write_timeout(until.saturating_duration_since(Instant::now()))?;
        let tls = Tls::handshake_on(session, &self.socket, until)?;
        Ok(Stream { socket: Arc::clone(&self.socket), tls: Some(Arc::new(tls)) })
    }

    /// Returns the value exported from the TLS session, which only its two ends know.
    pub(crate) fn channel(&self) -> Option<Channel> {
        self.tls.as_ref().map(|tls| tls.channel())
    }

    /// Returns whether the other side showed a certificate that names this address.
    pub(crate) fn is_node_at(&self, address: IpAddr) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_node_at(address))
    }

    /// Waits for the first byte, which stays in the stream; returns `None` at the end of the
    /// stream.
    pub(crate) fn peek(&self, until: Instant) -> io::Result<Option<u8>> {
        self.set_read_timeout(until.saturating_duration_since(Instant::now()))?;
        let mut byte = [0];
        let count = self.socket.peek(&mut byte)?;
        Ok((count > 0).then_some(byte[0]))
    }

    /// Sets how long one read may wait.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set_read_timeout(&self, time: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(socket_timeout(time)))
    }

    /// Sets how long one write may wait.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set_write_timeout(&self, time: Duration) -> io::Result<()> {
        self.socket.set_write_timeout(Some(socket_timeout(time)))
    }

    /// Returns whether [`write_at_once`](Stream::write_at_once) can write: with TLS it would have
    /// to wait for locks.
    pub(crate) fn writes_at_once(&self) -> bool {
        self.tls.is_none()
    }

    /// Writes what the system takes without waiting; returns the number of bytes. No other thread
    /// may be writing.
    ///
    /// # Errors
    /// If the connection cannot be used further.
    pub(crate) fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        if !self.writes_at_once() {
            return Ok(0);
        }
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let sent = send(self.socket.as_raw_fd(), bytes, flags).map_err(io::Error::from);
        match sent {
            Err(e)
                if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
            {
                Ok(0)
            }
            sent => sent,
        }
    }

    /// Returns the descriptor that a poll can watch for input.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Returns the IP address of the other end; `None` if the connection has ended.
    #[cfg(feature = "server")]
    pub(crate) fn peer_ip(&self) -> Option<IpAddr> {
        self.socket.peer_addr().ok().map(|peer| peer.ip().to_canonical())
    }

    /// Returns the address of the other end, for the log.
    pub(crate) fn named(&self) -> String {
        self.socket
            .peer_addr()
            .map_or_else(|_| "an unknown address".to_owned(), |peer| peer.to_string())
    }

    /// Ends both directions.
    pub fn close(&self) {
        self.end(Shutdown::Both);
    }

    /// Ends reading: blocked and later reads return the end of the stream once the buffer is empty.
    pub(crate) fn close_reading(&self) {
        self.end(Shutdown::Read);
    }

    /// Ends writing: the other side reads what was written, and then the end of the stream.
    pub fn close_writing(&self) {
        if let Some(tls) = &self.tls {
            // An error means that the connection is no longer open.
            let _ = tls.end_writing(&self.socket);
        }
        self.end(Shutdown::Write);
    }

    fn end(&self, what: Shutdown) {
        // The only error is that the connection is no longer open, which is the intended result.
        let _ = self.socket.shutdown(what);
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.tls {
            None => (&*self.socket).read(buffer),
            Some(tls) => tls.read(&self.socket, buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[io::IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match &self.tls {
            None => (&*self.socket).write_vectored(slices),
            Some(tls) => tls.write(&self.socket, slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
