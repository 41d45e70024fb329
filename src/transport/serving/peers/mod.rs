//! Connections that this node opens to its peers.
//!
//! A peer is identified by its node id, and its address may change: a frame for it goes to the node
//! that greeted with that id, whatever its address is. Only while a cluster is being formed, ids
//! are unknown; then a node is sought at an address, and gets its id later ([`Peers::seek`],
//! [`Peers::connect`]).
//!
//! Each peer has one thread, the peer thread, which connects, greets and writes queued frames; a
//! second one, the watch thread, reads each connection. A small frame is written by the sending
//! thread itself, if nothing is queued and the system takes the frame without waiting: to wake
//! another thread would take longer. A peer sends only keepalives on this connection, so the watch
//! thread has two tasks. It notices at once when the connection is closed (a blocked read wakes at
//! that, whereas a writer would notice it only at its second write), and it notices within a
//! bounded time when packets are lost.
//!
//! After lost packets, TCP waits longer and longer before it sends again, so a connection may be
//! blocked for seconds although the network works again. Therefore the watch thread opens a new
//! connection when an expected keepalive is overdue by `Waits::keepalive`. The old connection stays
//! if a keepalive arrives on it before the new connection is made; otherwise the new one replaces
//! it as soon as the peer has greeted on it. If neither happens, the old connection ends after
//! [`PEER_SILENCE_TIME`](crate::limits::PEER_SILENCE_TIME). The watch thread closes a connection
//! that is given up, which wakes a peer thread that is blocked in a write.
//!
//! | per peer | at most |
//! | --- | --- |
//! | threads | 2 |
//! | descriptors | 1, and [`MAX_CONNECT_ATTEMPTS`] while it dials |
//!
//! | file | content |
//! | --- | --- |
//! | `link.rs` | the state that a peer's threads share with its senders |
//! | `redial.rs` | the loop of the peer thread |
//! | `greet.rs` | one attempt to connect |
//! | `conversation.rs` | the use of a connection by the peer thread |
//! | `watch.rs` | the watch thread |
//! | `waits.rs` | the timeouts of a peer |
//!
//! [`MAX_CONNECT_ATTEMPTS`]: crate::limits::MAX_CONNECT_ATTEMPTS

mod conversation;
mod greet;
mod link;
mod redial;
mod waits;
mod watch;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use super::shared::Shared;
use crate::numbers::NodeId;
use link::{Link, Target};

pub use link::PeerSender;

/// The links to all peers.
#[derive(Default)]
struct Links {
    by_node: BTreeMap<NodeId, Running>,
    /// Links to nodes that are not known yet.
    by_address: BTreeMap<SocketAddr, Running>,
}

/// A link with a running peer thread.
struct Running {
    link: Arc<Link>,
    /// Dropped to end the link.
    alive: Sender<Infallible>,
}

/// Makes and ends the connections to peers, from any thread; never waits for a connection.
#[derive(Clone)]
pub struct Peers {
    shared: Arc<Shared>,
    links: Arc<Mutex<Links>>,
}

impl Peers {
    /// Returns the peers of a transport that has no peers yet.
    pub(super) fn new(shared: &Arc<Shared>) -> Peers {
        Peers { shared: Arc::clone(shared), links: Arc::default() }
    }

    /// Starts to connect to the unknown node at `address` until the transport stops.
    /// [`Peers::connect`] sets its id.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn seek(&self, address: SocketAddr) -> io::Result<PeerSender> {
        let mut links = self.links.lock();
        if let Some(running) = links.by_address.get(&address) {
            return Ok(running.sender());
        }
        let running = self.start(Target { node: None, address })?;
        let sender = running.sender();
        links.by_address.insert(address, running);
        Ok(sender)
    }

    /// Starts to connect to the node `id` at `address`, until [`Peers::disconnect`] or until the
    /// transport stops. An existing connection to the node stays, also one that was sought at this
    /// address; for a known node this is [`Peers::set_address`].
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn connect(&self, id: NodeId, address: SocketAddr) -> io::Result<PeerSender> {
        let mut links = self.links.lock();
        if let Some(running) = links.by_node.get(&id) {
            running.link.set_address(address);
            return Ok(running.sender());
        }
        let running = match links.by_address.remove(&address) {
            Some(sought) => {
                sought.link.set_node(id);
                sought
            }
            None => self.start(Target { node: Some(id), address })?,
        };
        let sender = running.sender();
        links.by_node.insert(id, running);
        Ok(sender)
    }

    /// Ends the connections to sought nodes for which no id was set.
    pub fn stop_seeking(&self) {
        let sought = std::mem::take(&mut self.links.lock().by_address);
        sought.into_values().for_each(Running::end);
    }

    /// Changes the address of the node `id` for its next connection; an existing connection stays.
    /// Returns whether the node is known.
    pub fn set_address(&self, id: NodeId, address: SocketAddr) -> bool {
        let links = self.links.lock();
        let running = links.by_node.get(&id);
        running.inspect(|running| running.link.set_address(address)).is_some()
    }

    /// Ends the connections to and from the node `id`, and no longer connects to it; returns before
    /// the threads have ended. Afterwards no event of the node is reported, except those that are
    /// already queued, unless the node connects again and the handler admits it.
    pub fn disconnect(&self, id: NodeId) {
        let named = self.links.lock().by_node.remove(&id);
        if let Some(running) = named {
            running.end();
        }
        self.shared.peer_slots.clear(id);
    }

    fn start(&self, target: Target) -> io::Result<Running> {
        let (link, alive) = Link::new(target, &self.shared.settings);
        let link = Arc::new(link);
        let running = Running { link: Arc::clone(&link), alive };
        let name = format!("peer {}", target.address.ip());
        self.shared.spawn(&name, move |shared| redial::run(shared, &link))?;
        Ok(running)
    }
}

impl Running {
    fn sender(&self) -> PeerSender {
        PeerSender(Arc::clone(&self.link))
    }

    fn end(self) {
        drop(self.alive);
        self.link.end();
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let links = self.links.lock();
        let named = links.by_node.iter().map(|(id, running)| (id, running.sender()));
        f.debug_map().entries(named).finish()
    }
}
