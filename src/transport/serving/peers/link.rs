//! What the threads of a peer and those that send to it share: where the peer is, the connection,
//! and what is queued for it.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use parking_lot::{Mutex, MutexGuard};

use crate::limits::AT_ONCE_BYTES;
use crate::numbers::NodeId;
use crate::transport::Event;
use crate::transport::links::Stream;
use crate::transport::serving::settings::Settings;
use crate::transport::serving::shared::{Shared, Stopped};
use crate::transport::serving::sockets::Sockets;
use crate::transport::serving::stop::Stop;

/// Sends frames to a peer. Clones send to the same peer, also after its address changed.
#[derive(Clone)]
pub struct PeerSender(pub(super) Arc<Link>);

impl PeerSender {
    /// Writes or queues a frame, which holds its length. Never waits: gives false where it was
    /// dropped, because there is no connection or too much is queued.
    pub fn send(&self, frame: Bytes) -> bool {
        let sent = self.0.send(frame);
        if !sent {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    /// The address to which the next connection goes.
    pub fn address(&self) -> SocketAddr {
        self.0.target().address
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

/// Where a peer is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Which node is to be there; none while any may be.
    pub(super) node: Option<NodeId>,
    pub(super) address: SocketAddr,
}

/// Where a peer is to be found, and which node is there.
struct TargetState {
    target: Target,
    /// The node that greeted on the connection that there is.
    met: Option<NodeId>,
}

/// A connection for those that write at once.
#[derive(Default)]
pub(super) struct Line {
    /// None where there is no connection.
    stream: Option<Stream>,
    /// The rest of a frame that was written in part: what comes next.
    pub(super) rest: Bytes,
}

/// What a peer's threads and those that send to it share.
pub(super) struct Link {
    place: Mutex<TargetState>,
    /// Holds a word where the address changed since the thread last looked.
    moved: (Sender<()>, Receiver<()>),
    /// Set once the link is to end.
    pub(super) ended: Stop,
    /// The connections to the peer, those on which nobody has greeted included.
    pub(super) sockets: Sockets,
    /// Locked by whichever thread writes.
    line: Mutex<Line>,
    queue: Sender<Bytes>,
    pub(super) queued: Receiver<Bytes>,
    /// The size of what is queued and not yet written.
    queued_bytes: AtomicUsize,
    max_queued_bytes: usize,
    connected: AtomicBool,
    dropped: AtomicU64,
}

impl Link {
    /// Returns a link, and what is dropped to end it.
    pub(super) fn new(target: Target, settings: &Settings) -> (Link, Sender<Infallible>) {
        let (queue, queued) = bounded(settings.max_queued_frames);
        let (alive, ended) = bounded(0);
        let link = Link {
            place: Mutex::new(TargetState { target, met: None }),
            moved: bounded(1),
            ended: Stop(ended),
            sockets: Sockets::default(),
            line: Mutex::default(),
            queue,
            queued,
            queued_bytes: AtomicUsize::new(0),
            max_queued_bytes: settings.max_queued_bytes,
            connected: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
        };
        (link, alive)
    }

    pub(super) fn target(&self) -> Target {
        self.place.lock().target
    }

    /// Changes where the next connection goes to. One that is being made is given up.
    pub(super) fn set_address(&self, address: SocketAddr) {
        let mut place = self.place.lock();
        if place.target.address != address {
            place.target.address = address;
            if place.met.is_none() {
                self.sockets.close();
            }
            // One word is as good as two.
            let _ = self.moved.0.try_send(());
        }
    }

    /// Says which node is to be there; a connection to another one ends.
    pub(super) fn name(&self, node: NodeId) {
        let mut place = self.place.lock();
        place.target.node = Some(node);
        if place.met.is_some_and(|met| met != node) {
            self.sockets.close();
        }
    }

    /// Closes what is open, for a link that is to end.
    pub(super) fn end(&self) {
        let _place = self.place.lock();
        self.connected.store(false, Ordering::Release);
        self.sockets.end();
    }

    /// Begins to send on a connection on which this node greeted. Returns false where that is not
    /// wanted any more.
    pub(super) fn open(&self, node: NodeId, stream: &Stream) -> bool {
        self.discard();
        *self.line.lock() = Line { stream: Some(stream.clone()), rest: Bytes::new() };
        let mut place = self.place.lock();
        let is_wanted = place.target.node.is_none_or(|wanted| wanted == node);
        if is_wanted && !self.ended.is_set() {
            place.met = Some(node);
            self.connected.store(true, Ordering::Release);
            return true;
        }
        false
    }

    /// Notes that there is no connection any more.
    pub(super) fn close(&self) {
        self.place.lock().met = None;
        self.connected.store(false, Ordering::Release);
        *self.line.lock() = Line::default();
    }

    /// Tells the node something of the peer, unless the link is to end.
    pub(super) fn tell(&self, shared: &Shared, event: Event) -> Result<(), Stopped> {
        shared.deliver_until(event, &self.ended)
    }

    /// Whether the link or the transport is to end.
    pub(super) fn is_over(&self, shared: &Shared) -> bool {
        self.ended.is_set() || shared.stop.is_set()
    }

    /// Waits, but no longer than until the peer has another address. Returns whether it has.
    pub(super) fn wait(&self, shared: &Shared, time: Duration) -> bool {
        select! {
            recv(self.moved.1) -> moved => moved.is_ok(),
            recv(self.ended.0) -> _ => false,
            recv(shared.stop.0) -> _ => false,
            default(time) => false,
        }
    }

    fn send(&self, frame: Bytes) -> bool {
        self.connected.load(Ordering::Acquire) && (self.write(&frame) || self.enqueue(frame))
    }

    /// Writes a small frame if nothing is before it and the system takes it without waiting. What
    /// it takes only in part, the peer's thread goes on with.
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

    /// Keeps others from writing at once.
    pub(super) fn lock_line(&self) -> MutexGuard<'_, Line> {
        self.line.lock()
    }

    /// Notes that so many bytes of what was queued are written.
    pub(super) fn written(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Throws away what is queued: it is from before the connection.
    fn discard(&self) {
        for frame in self.queued.try_iter() {
            self.written(frame.len());
        }
    }
}
