//! Connections that this node opens to its peers.
//!
//! Each peer has one thread, which connects, greets and writes what is queued, and while there is a
//! connection a second one, which reads it. Where nothing is queued and the system takes a small frame
//! without waiting, whoever sends it writes it: waking a thread for it would take longer. A peer says
//! nothing on the connection but that it is there, so the second thread is there to see at once when it
//! is closed (a blocked read wakes at that, where a writer would learn it only at its next write but
//! one), and to see within a bounded time when packets are lost without a word.

use std::fmt;
use std::io;
use std::mem::take;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded, select, tick};
use log::{debug, warn};
use parking_lot::Mutex;

use super::Event;
use super::backoff::Backoff;
use super::frame::{EMPTY_FRAME, FrameError, FrameReader, write_frames};
use super::greeting::{GreetError, greet};
use super::keyed;
use super::shared::Shared;
use super::stream::{CloseOnDrop, Stream};
use crate::limits::{AT_ONCE_BYTES, COALESCED_BYTES, COALESCED_FRAMES};
use crate::wire::{Accepted, Refusal, Role};

/// Sends frames to a peer. Clones send to the same peer.
#[derive(Clone)]
pub struct PeerSender(Arc<Link>);

impl PeerSender {
    /// Writes or queues a frame, which holds its length. Never waits: gives false where it was dropped,
    /// because there is no connection or too much is queued.
    pub fn send(&self, frame: Bytes) -> bool {
        let sent = self.0.send(frame);
        if !sent {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    /// The peer's address.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Whether there is a connection.
    pub fn is_connected(&self) -> bool {
        self.0.connected.load(Ordering::Acquire)
    }

    /// How many frames were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for PeerSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerSender")
            .field("address", &self.address())
            .field("connected", &self.is_connected())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

/// A connection for those who write at once.
#[derive(Default)]
struct Line {
    /// None where there is no connection.
    stream: Option<Stream>,
    /// The rest of a frame that was written in part: what comes next.
    rest: Bytes,
}

/// What a peer's thread and those who send to it share.
struct Link {
    address: SocketAddr,
    /// Locked by whoever writes.
    line: Mutex<Line>,
    queue: Sender<Bytes>,
    queued: Receiver<Bytes>,
    /// The size of what is queued and not yet written.
    queued_bytes: AtomicUsize,
    max_queued_bytes: usize,
    connected: AtomicBool,
    dropped: AtomicU64,
}

impl Link {
    fn send(&self, frame: Bytes) -> bool {
        self.connected.load(Ordering::Acquire) && (self.write(&frame) || self.enqueue(frame))
    }

    /// Writes a small frame if nothing is before it and the system takes it without waiting. What it
    /// takes only in part, the peer's thread goes on with.
    fn write(&self, frame: &Bytes) -> bool {
        if frame.len() > AT_ONCE_BYTES {
            return false;
        }
        // Else its thread is writing.
        let Some(mut line) = self.line.try_lock() else { return false };
        if !line.rest.is_empty() || self.queued_bytes.load(Ordering::Acquire) > 0 {
            return false;
        }
        // Its thread finds out by itself when the connection is of no more use.
        let written = line.stream.as_ref().and_then(|stream| stream.write_at_once(frame).ok());
        let Some(written) = written.filter(|written| *written > 0) else { return false };
        line.rest = frame.slice(written..);
        if !line.rest.is_empty() {
            // An empty frame, to wake it; a full queue does that too.
            let _ = self.queue.try_send(Bytes::new());
        }
        true
    }

    fn enqueue(&self, frame: Bytes) -> bool {
        let bytes = frame.len();
        let before = self.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        let queued = before + bytes <= self.max_queued_bytes && self.queue.try_send(frame).is_ok();
        if !queued {
            self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
        }
        queued
    }

    /// Throws away what is queued: it is from before the connection.
    fn discard(&self) {
        for frame in self.queued.try_iter() {
            self.queued_bytes.fetch_sub(frame.len(), Ordering::AcqRel);
        }
    }
}

/// Begins to connect to the peer at `address`.
pub(super) fn start(shared: &Arc<Shared>, address: SocketAddr) -> io::Result<PeerSender> {
    let (queue, queued) = bounded(shared.settings.max_queued_frames);
    let link = Arc::new(Link {
        address,
        line: Mutex::default(),
        queue,
        queued,
        queued_bytes: AtomicUsize::new(0),
        max_queued_bytes: shared.settings.max_queued_bytes,
        connected: AtomicBool::new(false),
        dropped: AtomicU64::new(0),
    });
    let sender = PeerSender(Arc::clone(&link));
    shared.spawn(&format!("peer {}", address.ip()), move |shared| run(shared, &link))?;
    Ok(sender)
}

/// How a try to connect ended.
enum End {
    /// Nobody answered.
    Unreachable(String),
    /// There is no TLS between the two.
    Distrust(String),
    /// One side does not want the other.
    Refused { refusal: Refusal, by_peer: bool },
    /// There was a connection.
    Lost(String),
}

/// Connects again and again until the transport stops.
fn run(shared: &Arc<Shared>, link: &Link) {
    let settings = &shared.settings;
    let address = link.address;
    let mut backoff = Backoff::new(settings.least_backoff, settings.most_backoff);
    let mut refused: Option<Refusal> = None;
    let mut distrust = String::new();
    loop {
        let begun = Instant::now();
        let end = connect(shared, link);
        if shared.stop.is_set() {
            return;
        }
        let event = match end {
            End::Unreachable(reason) => {
                debug!("no connection to {address}: {reason}");
                None
            }
            End::Distrust(reason) => {
                // The other node may only be starting; what stays wrong is said once.
                if distrust != reason {
                    warn!("no TLS with {address}: {reason}");
                    distrust = reason;
                }
                None
            }
            End::Refused { refusal, .. } if refused.as_ref() == Some(&refusal) => None,
            End::Refused { refusal, by_peer } => {
                match by_peer {
                    true => warn!("{address} refuses this node: {refusal}"),
                    false => warn!("this node refuses {address}: {refusal}"),
                }
                refused = Some(refusal.clone());
                Some(Event::Refused { address, refusal, by_peer })
            }
            End::Lost(reason) => {
                debug!("the connection to {address} is lost: {reason}");
                refused = None;
                distrust.clear();
                // One that is lost at once each time is as good as none.
                if begun.elapsed() > settings.most_backoff {
                    backoff.reset();
                }
                Some(Event::Disconnected { address, reason })
            }
        };
        let told = event.map_or(Ok(()), |event| shared.deliver(event));
        if told.is_err() || shared.stop.wait(backoff.next()) {
            return;
        }
    }
}

/// Connects once, and stays as long as the connection does.
fn connect(shared: &Arc<Shared>, link: &Link) -> End {
    let settings = &shared.settings;
    let stream = match Stream::connect(link.address, settings.connect_time) {
        Ok(stream) => stream,
        Err(error) => return End::Unreachable(error.to_string()),
    };
    let Some(_registered) = shared.register(&stream) else {
        return End::Unreachable("stopping".to_owned());
    };
    // TLS and all that follows it.
    let until = Instant::now() + settings.greeting_time;
    let stream = match &shared.security.tls {
        Some(tls) => {
            let session = tls.connect(link.address.ip()).map_err(io::Error::other);
            match session.and_then(|session| stream.secured(session, until)) {
                Ok(stream) => stream,
                Err(error) => return End::Distrust(error.to_string()),
            }
        }
        None => stream,
    };
    let hello = shared.handler.hello();
    let time = until.saturating_duration_since(Instant::now());
    let greeted = match &shared.security.cluster_key {
        Some(key) => keyed::greet(&stream, key, &hello, link.address.ip(), time),
        None => greet(&stream, &Role::Peer(hello), time),
    };
    let (reader, accepted) = match greeted {
        Ok(greeted) => greeted,
        Err(GreetError::Refused(refusal)) => return End::Refused { refusal, by_peer: true },
        Err(GreetError::NotBelieved(refusal)) => return End::Refused { refusal, by_peer: false },
        Err(error) => return End::Unreachable(error.to_string()),
    };
    if let Err(refusal) = shared.handler.check_peer(link.address, &accepted) {
        return End::Refused { refusal, by_peer: false };
    }
    let lost = converse(shared, link, &stream, reader, accepted);
    link.connected.store(false, Ordering::Release);
    *link.line.lock() = Line::default();
    End::Lost(lost.to_string())
}

/// Writes what is queued until the connection ends; gives why it did.
fn converse(
    shared: &Shared,
    link: &Link,
    stream: &Stream,
    reader: FrameReader<Stream>,
    accepted: Accepted,
) -> FrameError {
    debug!("connected to node {} at {}", accepted.node, link.address);
    let (alarm, alarmed) = bounded(1);
    thread::scope(|scope| {
        let _close = CloseOnDrop(stream);
        let watching = thread::Builder::new()
            .name(format!("watch {}", link.address.ip()))
            .spawn_scoped(scope, move || {
                let error = watch(shared, reader);
                // The writer is gone already when this fails.
                let _ = alarm.send(error);
            });
        if let Err(error) =
            watching.and_then(|_| stream.set_write_timeout(shared.settings.write_time))
        {
            return FrameError::Io(error);
        }
        link.discard();
        link.line.lock().stream = Some(stream.clone());
        link.connected.store(true, Ordering::Release);
        if shared.deliver(Event::Connected { address: link.address, accepted }).is_err() {
            return FrameError::Closed;
        }
        write_queued(shared, link, stream, &alarmed)
    })
}

/// Reads the peer's signs of life, which are empty frames; gives why there are no more.
fn watch(shared: &Shared, mut reader: FrameReader<Stream>) -> FrameError {
    loop {
        if let Err(error) = reader.read(0, shared.settings.for_keepalive()) {
            return error;
        }
    }
}

fn write_queued(
    shared: &Shared,
    link: &Link,
    stream: &Stream,
    alarmed: &Receiver<FrameError>,
) -> FrameError {
    let keepalive = tick(shared.settings.keepalive_time);
    let mut frames = Vec::new();
    loop {
        let (mut first, mut is_due) = (None, false);
        select! {
            recv(link.queued) -> frame => first = frame.ok(),
            recv(keepalive) -> _ => is_due = true,
            recv(alarmed) -> error => return error.unwrap_or(FrameError::Closed),
            recv(shared.stop.0) -> _ => return FrameError::Closed,
        }
        let mut line = link.line.lock();
        frames.push(take(&mut line.rest));
        let mut queued = 0;
        while let Some(frame) = first.take().or_else(|| link.queued.try_recv().ok()) {
            queued += frame.len();
            frames.push(frame);
            if queued >= COALESCED_BYTES || frames.len() >= COALESCED_FRAMES {
                break;
            }
        }
        if is_due {
            frames.push(Bytes::from_static(&EMPTY_FRAME));
        }
        let written = write_frames(&mut stream.clone(), &frames, shared.settings.write_time);
        // Only now: as long as something is queued, nobody else writes.
        link.queued_bytes.fetch_sub(queued, Ordering::AcqRel);
        drop(line);
        frames.clear();
        if let Err(error) = written {
            return FrameError::Io(error);
        }
    }
}
