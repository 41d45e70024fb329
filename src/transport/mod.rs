//! Frames over TCP: one port for peers and clients, a few threads per connection, no runtime.
//!
//! | thread | does | ends when |
//! | --- | --- | --- |
//! | listener | accepts, refuses above the bounds | stopping |
//! | inbound, one per connection | reads the greeting; then a peer's messages, which become events, or a client's requests, which go to the [`Handler`] | the connection ends |
//! | post | writes the answers of a step of the node, as far as the clients' connections take them at once | stopping |
//! | replies, one per client | writes answers that nobody else does, those that are ready in one system call | all are written and no more can come, or the connection ends |
//! | keepalive | sends signs of life to clients that wait | stopping |
//! | peer, one per peer | connects, greets, writes what is queued, connects again | the node leaves the peer, or stopping |
//! | watch, one per connection to a peer | reads the peer's signs of life; without any, makes a new connection beside the old one | the connection ends |
//!
//! A connection to a peer carries messages one way; the peer answers on the connection that it opened
//! itself. So each direction has one reader, and one writer at a time, and a lost connection is the
//! sender's to renew.
//!
//! Nothing here waits for one connection on behalf of another: what is sent to a peer is written if the
//! system takes it without waiting, or queued, or dropped, what is answered to a client is queued (no
//! more than it may have unanswered), a slow reader is cut off after a time, and each thread can be
//! woken by closing its connection. A peer's messages wait for room in the node's queue, so that TCP
//! slows the peer down, but only those of its newest connection; clients never make it wait, as the
//! [`Handler`] answers that the node is busy.
//!
//! What a message means is not known here: the node decides who is let in, and the protocol sends
//! again what is lost.

mod admitted;
mod answers;
mod backoff;
mod checks;
mod clients;
mod desk;
mod dial;
mod frame;
mod greeting;
mod in_flight;
mod inbound;
mod keepalive;
mod keyed;
mod listener;
mod pace;
mod peer_seats;
mod peers;
mod post;
mod refusals;
mod repeats;
mod seats;
mod settings;
mod shared;
mod sockets;
mod stream;
mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crossbeam_channel::Sender;
use log::info;

use crate::numbers::NodeId;
use crate::security::{Rights, Security};
use crate::wire::{Accepted, ClientRequest, PeerFrame, PeerHello, Refusal, Welcome};

pub use answers::{Answers, Reply};
pub(crate) use backoff::Backoff;
pub use frame::{
    FrameError, FrameReader, Patience, Sink, Source, write_frames, write_frames_until,
};
pub use greeting::{GreetError, greet, greet_with};
pub use listener::BoundAddress;
pub use peers::{PeerSender, Peers};
pub use settings::Settings;
pub use stream::Stream;

use keepalive::Keepalive;
use listener::Listener;
use post::Post;
use shared::Shared;

pub(crate) use repeats::Repeats;
pub(crate) use shared::panic_message;

/// What the transport asks of the node. Called on the transport's threads, several at once; only
/// what is said to may take long.
pub trait Handler: Send + Sync + 'static {
    /// What the node says of itself when it connects to a peer; asked at each connection.
    fn hello(&self) -> PeerHello;

    /// Whether a peer that connected is let in.
    fn admit_peer(&self, hello: &PeerHello) -> Welcome;

    /// Whether a node of the cluster is at this address. Connections from there get a seat when those
    /// for connections that have not greeted are taken.
    fn is_node_address(&self, _address: IpAddr) -> bool {
        false
    }

    /// What the node says of itself to a client that was let in.
    fn admit_client(&self) -> Welcome;

    /// Whether the node that answers at the address of a peer is the one that should be there: `node`,
    /// where that is known.
    ///
    /// # Errors
    /// Why not; the connection is closed, and tried again.
    fn check_peer(
        &self,
        node: Option<NodeId>,
        address: SocketAddr,
        accepted: &Accepted,
    ) -> Result<(), Refusal>;

    /// A client that has these rights asks. It is called on the client's own reading thread, so parsing a program here
    /// costs only that client time; it must not wait for the node. The answer goes to `reply`, at
    /// once or later.
    fn request(&self, rights: Rights, request: ClientRequest, reply: Reply);

    /// A count that changes as long as the node makes progress with requests; it does not wait for
    /// the node. While it stands still, clients that wait get no signs of life.
    fn progress(&self) -> u64;
}

/// What the transport tells the node, in the order in which it came on each connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A peer that was let in sent this.
    Frame {
        /// The peer.
        from: NodeId,
        /// What it sent.
        frame: PeerFrame,
    },
    /// The node connected to a peer: frames given to its [`PeerSender`] are sent from now on. It comes
    /// again, without [`Event::Disconnected`], where a new connection takes the place of a silent one.
    Connected {
        /// The peer's address.
        address: SocketAddr,
        /// What the peer said of itself.
        accepted: Accepted,
    },
    /// The connection to a peer was lost; it is tried again.
    Disconnected {
        /// The peer.
        node: NodeId,
        /// Its address.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// A connection to a peer was refused; it is tried again. Told once until the refusal changes.
    Refused {
        /// The peer, where it is known.
        node: Option<NodeId>,
        /// Its address.
        address: SocketAddr,
        /// Why.
        refusal: Refusal,
        /// Whether the peer refused this node; else this node's [`Handler::check_peer`] did the peer.
        by_peer: bool,
    },
    /// A node was refused as one with its id is connected from another address: a data directory was
    /// copied. Told with each of its tries.
    Duplicate {
        /// The id of both.
        node: NodeId,
        /// From where one of them is connected; the own address where the id is the own.
        connected: IpAddr,
        /// From where the other one came.
        refused: IpAddr,
    },
    /// A thread panicked. The node cannot go on as if nothing were.
    ThreadDied {
        /// Its name.
        thread: String,
        /// What the panic said.
        reason: String,
    },
}

/// The running transport of a node.
pub struct Transport {
    shared: Arc<Shared>,
    listener: Listener,
}

impl Transport {
    /// Listens at `address`. Events go to `events`, whose capacity bounds what peers may send ahead;
    /// once the receiver is gone, who asks is told that the node is closing. What `security` asks for has
    /// to be shown by whoever connects, before the handler hears of him.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the system has no thread left.
    pub fn start<E: From<Event> + Send + 'static>(
        address: BoundAddress,
        settings: Settings,
        security: Security,
        handler: Arc<dyn Handler>,
        events: Sender<E>,
    ) -> io::Result<Transport> {
        let shared = Shared::new(settings, security, handler, events);
        let begin = || {
            let (post, keepalive) = (Post::start(&shared)?, Keepalive::start(&shared)?);
            Listener::start(&shared, address, post, keepalive)
        };
        let listener = begin().inspect_err(|_| {
            shared.stop();
            shared.join();
        })?;
        Ok(Transport { shared, listener })
    }

    /// Where clients and peers connect to.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Returns what changes what is asked of those who connect.
    pub fn doorkeeper(&self) -> Doorkeeper {
        Doorkeeper(Arc::clone(&self.shared))
    }

    /// Returns what makes and ends connections to peers.
    pub fn peers(&self) -> Peers {
        Peers(Arc::clone(&self.shared))
    }

    /// Sends the answers that were given, closes all connections, ends all threads, and frees the
    /// port. Dropping the transport does the same.
    pub fn stop(self) {
        drop(self);
    }
}

/// Changes what is asked of those who connect, from any thread.
#[derive(Clone)]
pub struct Doorkeeper(Arc<Shared>);

impl Doorkeeper {
    /// Asks for this from now on, of all who connect and where this node connects. Connections that
    /// are there stay, except those of clients whose token is not known any more, or may do less than
    /// when they came: nothing more is read of them, and they are closed after
    /// [`Settings::put_out_time`], for which this waits.
    pub fn set(&self, security: Security) {
        let shared = &self.0;
        let out = shared.admitted.set(security);
        if !out.is_empty() {
            let count = out.len();
            info!("{count} connections of clients end: their token is gone, or may do less");
            shared.stop.wait(shared.settings.put_out_time);
            shared.admitted.close(&out);
        }
    }
}

impl std::fmt::Debug for Doorkeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doorkeeper").finish_non_exhaustive()
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.shared.stop();
        self.listener.wake();
        self.shared.join();
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("address", &self.address()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
