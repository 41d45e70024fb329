//! Connections that this node opens to its peers.
//!
//! A peer is known by its node id, and its address may change: what is sent to it goes to the node
//! that greeted with that id, wherever it is. Only while a cluster is formed the ids are not known
//! yet; then a node is sought at an address, and named once its id is known.
//!
//! Each peer has one thread, which connects, greets and writes what is queued, and while there is a
//! connection a second one, which reads it. Where nothing is queued and the system takes a small
//! frame without waiting, the thread that sends it writes it: waking a thread for it would take
//! longer. A peer says nothing on the connection but that it is there, so the second thread is
//! there to see at once when it is closed (a blocked read wakes at that, where a writer would learn
//! it only at its next write but one), and to see within a bounded time when packets are lost
//! without a word.
//!
//! After lost packets TCP waits longer each time before it sends again, so a connection may be of
//! no use for seconds although its link is whole again. Therefore the second thread, when the peer
//! was asked and gives no sign for some hundred milliseconds, opens a new connection beside the old
//! one. The old one stays if it is heard again before the new one is made; else the new one takes
//! its place as soon as the peer has greeted on it. If neither comes about, the old one ends after
//! [`PEER_SILENCE_TIME`](crate::limits::PEER_SILENCE_TIME). It is the second thread that closes a
//! connection that is given up, which wakes the first one where that waits for the system.
//!
//! | per peer | at most |
//! | --- | --- |
//! | threads | 2 |
//! | descriptors | 1, and [`MAX_TRIES`](crate::limits::MAX_TRIES) while nothing comes of it |
//!
//! | file | holds |
//! | --- | --- |
//! | `link.rs` | what the threads of a peer and those that send to it share |
//! | `redial.rs` | the first thread: again and again |
//! | `greet.rs` | one try to connect |
//! | `conversation.rs` | the use of a connection |
//! | `watch.rs` | the second thread |
//! | `waits.rs` | for how long a peer is waited for |

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
    /// Those whose node is not known yet.
    by_address: BTreeMap<SocketAddr, Running>,
}

/// A link whose thread runs.
struct Running {
    link: Arc<Link>,
    /// Dropped to end it.
    alive: Sender<Infallible>,
}

/// Makes and ends the connections to peers, from any thread; never waits for one.
#[derive(Clone)]
pub struct Peers {
    shared: Arc<Shared>,
    links: Arc<Mutex<Links>>,
}

impl Peers {
    /// The peers of a transport that has none yet.
    pub(super) fn new(shared: &Arc<Shared>) -> Peers {
        Peers { shared: Arc::clone(shared), links: Arc::default() }
    }

    /// Begins to connect to whichever node is at `address`, and goes on until the transport stops.
    /// [`Peers::connect`] names it.
    ///
    /// # Errors
    /// When the system has no thread left.
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

    /// Begins to connect to the node `id` at `address`, and goes on until [`Peers::disconnect`], or
    /// until the transport stops. A connection to it that there is, also one that was sought at
    /// this address, stays; for a node that is known, this is [`Peers::set_address`].
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn connect(&self, id: NodeId, address: SocketAddr) -> io::Result<PeerSender> {
        let mut links = self.links.lock();
        if let Some(running) = links.by_node.get(&id) {
            running.link.set_address(address);
            return Ok(running.sender());
        }
        let running = match links.by_address.remove(&address) {
            Some(sought) => {
                sought.link.name(id);
                sought
            }
            None => self.start(Target { node: Some(id), address })?,
        };
        let sender = running.sender();
        links.by_node.insert(id, running);
        Ok(sender)
    }

    /// Ends the connections to nodes that are sought and were not named.
    pub fn stop_seeking(&self) {
        let sought = std::mem::take(&mut self.links.lock().by_address);
        sought.into_values().for_each(Running::end);
    }

    /// Changes the address of the node `id`: the next connection goes there, one that there is
    /// stays. Returns whether the node is known.
    pub fn set_address(&self, id: NodeId, address: SocketAddr) -> bool {
        let links = self.links.lock();
        let running = links.by_node.get(&id);
        running.inspect(|running| running.link.set_address(address)).is_some()
    }

    /// Ends the connections to the node `id` and from it, and connects to it no more; it returns
    /// before the threads have ended. Nothing is heard of the node afterwards, except what waits in
    /// the queue of events already, unless it connects anew and the handler lets it in.
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
