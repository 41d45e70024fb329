//! The state that the threads of a peer share with its senders: the peer's address, the connection,
//! and the queue.

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

/// Sends frames to a peer. Clones send to the same peer, also after its address has changed.
#[derive(Clone)]
pub struct PeerSender(pub(super) Arc<Link>);

impl PeerSender {
    /// Writes or queues a frame, which contains its length. Never waits. Returns `false` if the
    /// frame was dropped, because there is no connection or the queue is full.
    pub fn send(&self, frame: Bytes) -> bool {
        let sent = self.0.send(frame);
        if !sent {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    /// Returns the address to which the next connection goes.
    pub fn address(&self) -> SocketAddr {
        self.0.target().address
    }

    /// Returns whether there is a connection.
    pub fn is_connected(&self) -> bool {
        self.0.connected.load(Ordering::Acquire)
    }

    /// Returns the number of frames dropped so far.
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

/// The expected node, and its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The expected node; `None` while any node is accepted.
    pub(super) node: Option<NodeId>,
    pub(super) address: SocketAddr,
}

/// The target, and the node to which the link is connected.
struct TargetState {
    target: Target,
    /// The node that greeted on the current connection.
    connected_node: Option<NodeId>,
}

/// The connection, for the thread that holds the lock and may write.
#[derive(Default)]
pub(super) struct LinkWriter {
    /// `None` while there is no connection.
    stream: Option<Stream>,
    /// The rest of a partially written frame, which must be written next.
    pub(super) rest: Bytes,
}

/// The state that a peer's threads share with its senders.
pub(super) struct Link {
    state: Mutex<TargetState>,
    /// Contains a message if the address has changed since the peer thread last checked.
    address_changed: (Sender<()>, Receiver<()>),
    /// Set when the link should end.
    pub(super) ended: Stop,
    /// The connections to the peer, including those on which no greeting is complete.
    pub(super) sockets: Sockets,
    /// Locked by the thread that writes.
    writer: Mutex<LinkWriter>,
    queue: Sender<Bytes>,
    pub(super) queued: Receiver<Bytes>,
    /// The size of the frames that are queued and not yet written.
    queued_bytes: AtomicUsize,
    max_queued_bytes: usize,
    connected: AtomicBool,
    dropped: AtomicU64,
}

impl Link {
    /// Returns a link, and the sender that is dropped to end it.
    pub(super) fn new(target: Target, settings: &Settings) -> (Link, Sender<Infallible>) {
        let (queue, queued) = bounded(settings.max_queued_frames);
        let (alive, ended) = bounded(0);
        let link = Link {
            state: Mutex::new(TargetState { target, connected_node: None }),
            address_changed: bounded(1),
            ended: Stop(ended),
            sockets: Sockets::default(),
            writer: Mutex::default(),
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
        self.state.lock().target
    }

    /// Changes the address for the next connection. An attempt to connect that is under way is
    /// given up.
    pub(super) fn set_address(&self, address: SocketAddr) {
        let mut state = self.state.lock();
        if state.target.address != address {
            state.target.address = address;
            if state.connected_node.is_none() {
                self.sockets.close();
            }
            // One message is enough.
            let _ = self.address_changed.0.try_send(());
        }
    }

    /// Sets the expected node; a connection to another node ends.
    pub(super) fn set_node(&self, node: NodeId) {
        let mut state = self.state.lock();
        state.target.node = Some(node);
        if state.connected_node.is_some_and(|connected_node| connected_node != node) {
            self.sockets.close();
        }
    }

    /// Closes the connections of a link that should end.
    pub(super) fn end(&self) {
        let _state = self.state.lock();
        self.connected.store(false, Ordering::Release);
        self.sockets.end();
    }

    /// Starts to send on a connection on which this node has greeted. Returns `false` if the
    /// connection is no longer wanted.
    pub(super) fn open(&self, node: NodeId, stream: &Stream) -> bool {
        self.discard();
        *self.writer.lock() = LinkWriter { stream: Some(stream.clone()), rest: Bytes::new() };
        let mut state = self.state.lock();
        let is_wanted = state.target.node.is_none_or(|wanted| wanted == node);
        if is_wanted && !self.ended.is_set() {
            state.connected_node = Some(node);
            self.connected.store(true, Ordering::Release);
            return true;
        }
        false
    }

    /// Notes that there is no longer a connection.
    pub(super) fn close(&self) {
        self.state.lock().connected_node = None;
        self.connected.store(false, Ordering::Release);
        *self.writer.lock() = LinkWriter::default();
    }

    /// Reports an event of the peer to the node, unless the link should end.
    pub(super) fn report(&self, shared: &Shared, event: Event) -> Result<(), Stopped> {
        shared.deliver_until(event, &self.ended)
    }

    /// Returns whether the link or the transport should end.
    pub(super) fn is_over(&self, shared: &Shared) -> bool {
        self.ended.is_set() || shared.stop.is_set()
    }

    /// Waits for at most `time`, or until the peer's address changes. Returns whether it changed.
    pub(super) fn wait(&self, shared: &Shared, time: Duration) -> bool {
        select! {
            recv(self.address_changed.1) -> address_changed => address_changed.is_ok(),
            recv(self.ended.0) -> _ => false,
            recv(shared.stop.0) -> _ => false,
            default(time) => false,
        }
    }

    fn send(&self, frame: Bytes) -> bool {
        self.connected.load(Ordering::Acquire) && (self.write(&frame) || self.enqueue(frame))
    }

    /// Writes a small frame if nothing is queued and the system takes it without waiting. If the
    /// system takes only a part, the peer thread writes the rest.
    fn write(&self, frame: &Bytes) -> bool {
        if frame.len() > AT_ONCE_BYTES {
            return false;
        }
        // If the lock is taken, another thread is writing.
        let Some(mut writer) = self.writer.try_lock() else { return false };
        if !writer.rest.is_empty() || self.queued_bytes.load(Ordering::Acquire) > 0 {
            return false;
        }
        // If the connection failed, the peer thread finds out by itself.
        let written = writer.stream.as_ref().and_then(|stream| stream.write_at_once(frame).ok());
        let Some(written) = written.filter(|written| *written > 0) else { return false };
        writer.rest = frame.slice(written..);
        if !writer.rest.is_empty() {
            // An empty entry wakes the peer thread; a full queue wakes it too.
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

    /// Keeps other threads from writing.
    pub(super) fn lock_writer(&self) -> MutexGuard<'_, LinkWriter> {
        self.writer.lock()
    }

    /// Notes that `bytes` of the queued frames are written.
    pub(super) fn written(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Discards the queued frames: they are from before the connection.
    fn discard(&self) {
        for frame in self.queued.try_iter() {
            self.written(frame.len());
        }
    }
}
