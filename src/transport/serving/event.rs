//! What the transport tells the node that it serves.

use std::net::{IpAddr, SocketAddr};

use crate::numbers::NodeId;
use crate::wire::{Admitted, PeerFrame, Refusal};

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
    /// The node connected to a peer: frames given to its [`PeerSender`](super::PeerSender) are sent
    /// from now on. It comes again, without [`Event::Disconnected`], where a new connection takes the
    /// place of a silent one.
    Connected {
        /// The peer's address.
        address: SocketAddr,
        /// What the peer said of itself.
        admitted: Admitted,
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
        /// Whether the peer refused this node; else this node's
        /// [`Handler::check_peer`](super::Handler::check_peer) refused the peer.
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
