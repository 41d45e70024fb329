//! TLS between a socket and the threads that read and write it.
//!
//! Three locks, which are always taken in this order, so that no deadlock can occur:
//!
//! | lock | guards | while the socket blocks |
//! | --- | --- | --- |
//! | `incoming` | received bytes that are not decrypted yet: one reader at a time | held |
//! | `outgoing` | encrypted bytes that are not sent yet, in their order | held |
//! | `session` | keys and state, for work in memory only | never held |
//!
//! So a reader that waits for bytes does not keep a writer from encrypting and sending, and a
//! writer that waits for the other side to read does not keep a reader from decrypting. What the
//! reading side has to send (alerts, key updates) leaves with the next write, or at once if no
//! thread is writing.
//!
//! The end of the stream without `close_notify` counts the same as with it: frames have lengths, so
//! a truncated frame is noticed, and nothing is concluded from an end between two frames.

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::Instant;

use parking_lot::Mutex;
use rustls::{CertificateError, Connection, Error, InvalidMessage};

use super::timeout::socket_timeout;
use crate::limits::{COALESCED_BYTES, TLS_READ_BYTES};
use crate::security::{Channel, names_address};

/// The label by which the proofs of the cluster key are bound to a session (RFC 8446, 7.5). It has
/// no other use.
const EXPORTER: &[u8] = b"EXPORTER-lattistore-cluster-key";

/// TLS on one connection.
#[derive(Debug)]
pub(super) struct Tls {
    incoming: Mutex<Incoming>,
    outgoing: Mutex<Vec<u8>>,
    session: Mutex<Connection>,
    /// The value exported from this session, which only its two ends know.
    channel: Channel,
}

/// The bytes `buffer[start..end]` were received and are not decrypted yet.
#[derive(Debug)]
struct Incoming {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Incoming {
    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Waits for bytes; returns `false` at the end of the stream.
    fn fill(&mut self, mut socket: &TcpStream) -> io::Result<bool> {
        let count = socket.read(&mut self.buffer)?;
        (self.start, self.end) = (0, count);
        Ok(count > 0)
    }

    /// Waits for bytes, but since `begun` no longer than the socket's read timeout in total.
    fn fill_since(&mut self, begun: Instant, socket: &TcpStream) -> io::Result<bool> {
        let Some(time) = socket.read_timeout()? else { return self.fill(socket) };
        let left = time.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        socket.set_read_timeout(Some(socket_timeout(left)))?;
        let filled = self.fill(socket);
        socket.set_read_timeout(Some(time))?;
        filled
    }

    /// Gives received bytes to the session, as many as it takes at once.
    fn feed(&mut self, session: &mut Connection) -> io::Result<()> {
        let count = session.read_tls(&mut &self.buffer[self.start..self.end])?;
        if count == 0 {
            // The other side ended the session before.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.start += count;
        session.process_new_packets().map(drop).map_err(failed)
    }
}

impl Tls {
    /// Performs the handshake, and verifies the certificate of the other side. The socket's write
    /// timeout must be set; its read timeout is changed.
    ///
    /// # Errors
    /// If one side does not trust the other or does not speak TLS, or the handshake is not complete
    /// by `until`.
    pub(super) fn handshake_on(
        mut session: Connection,
        socket: &TcpStream,
        until: Instant,
    ) -> io::Result<Tls> {
        session.set_buffer_limit(Some(COALESCED_BYTES));
        let mut tls = Tls {
            incoming: Mutex::new(Incoming { buffer: vec![0; TLS_READ_BYTES], start: 0, end: 0 }),
            outgoing: Mutex::new(Vec::new()),
            session: Mutex::new(session),
            channel: Channel::default(),
        };
        tls.handshake(socket, until)?;
        let exported = tls.session.lock().export_keying_material(tls.channel, EXPORTER, None);
        tls.channel = exported.map_err(failed)?;
        Ok(tls)
    }

    fn handshake(&self, socket: &TcpStream, until: Instant) -> io::Result<()> {
        let mut incoming = self.incoming.lock();
        loop {
            self.send_pending(socket)?;
            if !self.session.lock().is_handshaking() {
                return Ok(());
            }
            if incoming.is_empty() {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(handshake_timeout());
                }
                socket.set_read_timeout(Some(socket_timeout(left)))?;
                match incoming.fill(socket) {
                    Ok(true) => {}
                    Ok(false) => {
                        let end = "the other side ended the connection instead of agreeing on TLS";
                        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, end));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Err(handshake_timeout());
                    }
                    Err(error) => return Err(error),
                }
            }
            let fed = incoming.feed(&mut self.session.lock());
            if fed.is_err() {
                // Tells the other side the reason, if it still reads.
                let _ = self.send_pending(socket);
            }
            fed?;
        }
    }

    /// Returns the value exported from this session, which only its two ends know.
    pub(super) fn channel(&self) -> Channel {
        self.channel
    }

    /// Returns whether the other side showed a certificate that names this address.
    pub(super) fn is_node_at(&self, address: IpAddr) -> bool {
        let session = self.session.lock();
        let shown = session.peer_certificates().and_then(|chain| chain.first());
        shown.is_some_and(|certificate| names_address(certificate, address))
    }

    /// Reads what the other side wrote, within the socket's read timeout even if it needs several
    /// records.
    pub(super) fn read(&self, socket: &TcpStream, to: &mut [u8]) -> io::Result<usize> {
        let mut incoming = self.incoming.lock();
        let begun = Instant::now();
        let mut waited = false;
        loop {
            let mut session = self.session.lock();
            match session.reader().read(to) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if !incoming.is_empty() {
                let fed = incoming.feed(&mut session);
                let wants_write = session.wants_write();
                drop(session);
                if wants_write {
                    self.send_pending_unless_locked(socket);
                }
                fed?;
                continue;
            }
            drop(session);
            // The first read waits for the socket's own timeout.
            let received = match std::mem::replace(&mut waited, true) {
                false => incoming.fill(socket)?,
                true => incoming.fill_since(begun, socket)?,
            };
            if !received {
                return Ok(0);
            }
        }
    }

    /// Writes a part of `from`, which has been sent when this returns. It may take twice the
    /// socket's write timeout, if a part is sent in time and the rest is not.
    pub(super) fn write(&self, socket: &TcpStream, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut outgoing = self.outgoing.lock();
        let count = {
            let mut session = self.session.lock();
            let count = session.writer().write_vectored(from)?;
            encrypted(&mut session, &mut outgoing)?;
            count
        };
        send(socket, &mut outgoing)?;
        Ok(count)
    }

    /// Tells the other side that nothing further will be sent.
    pub(super) fn end_writing(&self, socket: &TcpStream) -> io::Result<()> {
        self.session.lock().send_close_notify();
        self.send_pending(socket)
    }

    /// Sends what the session has to send.
    fn send_pending(&self, socket: &TcpStream) -> io::Result<()> {
        let mut outgoing = self.outgoing.lock();
        encrypted(&mut self.session.lock(), &mut outgoing)?;
        send(socket, &mut outgoing)
    }

    /// Does the same for a reader, which does not wait for a writer: a writer that is active sends
    /// it along, or the next writer does.
    fn send_pending_unless_locked(&self, socket: &TcpStream) {
        if let Some(mut outgoing) = self.outgoing.try_lock() {
            let taken = encrypted(&mut self.session.lock(), &mut outgoing);
            // If the connection failed, reading will report it.
            let _ = taken.and_then(|()| send(socket, &mut outgoing));
        }
    }
}

/// Moves the encrypted bytes of the session into `outgoing`.
fn encrypted(session: &mut Connection, outgoing: &mut Vec<u8>) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(outgoing)?;
    }
    Ok(())
}

/// Sends everything in `outgoing`.
fn send(mut socket: &TcpStream, outgoing: &mut Vec<u8>) -> io::Result<()> {
    let mut sent = 0;
    let mut begun = None;
    let result = loop {
        if sent == outgoing.len() {
            break Ok(());
        }
        match socket.write(&outgoing[sent..]) {
            Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
        // Reads the clock only if one call was not enough.
        if sent < outgoing.len() {
            let begun = *begun.get_or_insert_with(Instant::now);
            match socket.write_timeout() {
                Ok(Some(time)) if begun.elapsed() > time => {
                    break Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        }
    };
    outgoing.drain(..sent);
    if outgoing.capacity() > 2 * COALESCED_BYTES {
        outgoing.shrink_to(COALESCED_BYTES);
    }
    result
}

/// Returns the error of a handshake that took too long.
fn handshake_timeout() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake was not finished in time")
}

/// Describes a TLS error for people.
fn failed(error: Error) -> io::Error {
    let why = match &error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the other side does not speak TLS, and this side does".to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the certificate of the other side does not name its address".to_owned(),
        Error::InvalidCertificate(why) => {
            format!("the certificate of the other side is not trusted: {why}")
        }
        Error::AlertReceived(why) => {
            format!("the other side does not trust this one, or ended TLS: {why:?}")
        }
        other => format!("TLS failed: {other}"),
    };
    io::Error::new(io::ErrorKind::InvalidData, why)
}
