//! TLS between a socket and those who read and write it on threads of their own.
//!
//! Three locks, always taken in this order, so that no two threads wait for each other:
//!
//! | lock | keeps | while the socket blocks |
//! | --- | --- | --- |
//! | `incoming` | what came and is not decrypted: one reader at a time | held |
//! | `outgoing` | what is encrypted and not sent: it leaves in the order in which it was encrypted | held |
//! | `session` | keys and state: for work in memory only | never held |
//!
//! So a reader that waits for bytes keeps no writer from encrypting and sending, and a writer whose
//! other side does not read keeps no reader from decrypting. What the reading side has to send (alerts,
//! new keys) leaves with what is written next, or at once where nobody is writing.
//!
//! The end of the stream without a word (`close_notify`) is as good as one with it: frames have
//! lengths, so what is cut off within one is seen, and nothing is concluded from an end between two.

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::Instant;

use parking_lot::Mutex;
use rustls::{CertificateError, Connection, Error, InvalidMessage};

use super::timeout::socket_timeout;
use crate::limits::{COALESCED_BYTES, TLS_READ_BYTES};
use crate::security::{Channel, names_address};

/// What the proofs of the cluster key are bound to a session by; no other use of it is made.
const EXPORTER: &[u8] = b"EXPORTER-lattistore-cluster-key";

/// TLS on one connection.
#[derive(Debug)]
pub(super) struct Tls {
    incoming: Mutex<Incoming>,
    outgoing: Mutex<Vec<u8>>,
    session: Mutex<Connection>,
    /// What both ends of this session know and nobody else does.
    channel: Channel,
}

/// `buffer[start..end]` came and was not decrypted yet.
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

    /// Waits for bytes; false at the end of the stream.
    fn fill(&mut self, mut socket: &TcpStream) -> io::Result<bool> {
        let count = socket.read(&mut self.buffer)?;
        (self.start, self.end) = (0, count);
        Ok(count > 0)
    }

    /// The same for one that waits since `begun`, and no longer than the socket's read timeout in all.
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

    /// Decrypts of what came as much as the session takes at once.
    fn feed(&mut self, session: &mut Connection) -> io::Result<()> {
        let count = session.read_tls(&mut &self.buffer[self.start..self.end])?;
        if count == 0 {
            // It has said that it will say no more.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.start += count;
        session.process_new_packets().map(drop).map_err(failed)
    }
}

impl Tls {
    /// Agrees with the other side on keys, and checks what it shows. The socket's write timeout was
    /// set; its read timeout is changed.
    ///
    /// # Errors
    /// When one side does not trust the other, or speaks no TLS, or it is not done by `until`.
    pub(super) fn agree(
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
                    return Err(late());
                }
                socket.set_read_timeout(Some(socket_timeout(left)))?;
                match incoming.fill(socket) {
                    Ok(true) => {}
                    Ok(false) => {
                        let end = "the other side ended the connection instead of agreeing on TLS";
                        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, end));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(late()),
                    Err(error) => return Err(error),
                }
            }
            let fed = incoming.feed(&mut self.session.lock());
            if fed.is_err() {
                // It is told why, if it still hears.
                let _ = self.send_pending(socket);
            }
            fed?;
        }
    }

    /// What both ends of this session know and nobody else does.
    pub(super) fn channel(&self) -> Channel {
        self.channel
    }

    /// Whether the other side showed a certificate that names this address.
    pub(super) fn is_node_at(&self, address: IpAddr) -> bool {
        let session = self.session.lock();
        let shown = session.peer_certificates().and_then(|chain| chain.first());
        shown.is_some_and(|certificate| names_address(certificate, address))
    }

    /// Reads what the other side wrote, within the socket's read timeout, however many records come.
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
                    self.send_if_nobody_does(socket);
                }
                fed?;
                continue;
            }
            drop(session);
            // The first time the socket's own timeout will do.
            let came = match std::mem::replace(&mut waited, true) {
                false => incoming.fill(socket)?,
                true => incoming.fill_since(begun, socket)?,
            };
            if !came {
                return Ok(0);
            }
        }
    }

    /// Writes some of this; it has left when this returns. It may take twice the socket's write
    /// timeout, where some of it leaves in time and the rest does not.
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

    /// Tells the other side that nothing more will come.
    pub(super) fn end_writing(&self, socket: &TcpStream) -> io::Result<()> {
        self.session.lock().send_close_notify();
        self.send_pending(socket)
    }

    /// Sends what the session wants to send.
    fn send_pending(&self, socket: &TcpStream) -> io::Result<()> {
        let mut outgoing = self.outgoing.lock();
        encrypted(&mut self.session.lock(), &mut outgoing)?;
        send(socket, &mut outgoing)
    }

    /// The same for a reader, who does not wait for a writer: it takes this along, or the next does.
    fn send_if_nobody_does(&self, socket: &TcpStream) {
        if let Some(mut outgoing) = self.outgoing.try_lock() {
            let taken = encrypted(&mut self.session.lock(), &mut outgoing);
            // Reading finds out by itself that the connection failed.
            let _ = taken.and_then(|()| send(socket, &mut outgoing));
        }
    }
}

/// Moves what the session has to send.
fn encrypted(session: &mut Connection, outgoing: &mut Vec<u8>) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(outgoing)?;
    }
    Ok(())
}

/// Sends all that is there.
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
        // The clock is read only where one call was not enough.
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

/// The handshake took too long.
fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "TLS was begun and not agreed on in time")
}

/// What went wrong, in words for people.
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
