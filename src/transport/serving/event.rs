//! The events that the transport reports to the node.

use std::net::{IpAddr, SocketAddr};

use crate::numbers::NodeId;
use crate::wire::{Admitted, PeerFrame, Refusal};

/// An event for the node. The events of one connection are in the order in which they happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An admitted peer sent this frame.
    Frame {
        /// The peer.
        from: NodeId,
        /// The frame.
        frame: PeerFrame,
    },
    /// The node connected to a peer: frames given to its [`PeerSender`](super::PeerSender) are sent
    /// from now on. It is reported again, without [`Event::Disconnected`], when a new connection
    /// replaces a silent one.
    Connected {
        /// The peer's address.
        address: SocketAddr,
        /// What the peer said about itself.
        admitted: Admitted,
    },
    /// The connection to a peer was lost; the transport tries to connect again.
    Disconnected {
        /// The peer.
        node: NodeId,
        /// Its address.
        address: SocketAddr,
        /// The reason.
        reason: String,
    },
    /// A connection to a peer was refused; the transport tries again. Reported once until the
    /// refusal changes.
    Refused {
        /// The peer, if it is known.
        node: Option<NodeId>,
        /// Its address.
        address: SocketAddr,
        /// The reason.
        refusal: Refusal,
        /// Whether the peer refused this node. Otherwise this node's
        /// [`Handler::check_peer`](super::Handler::check_peer) refused the peer.
        by_peer: bool,
    },
    /// A node was refused because a node with the same id is connected from another address: a data
    /// directory was copied. Reported at each attempt of the refused node.
    Duplicate {
        /// The id of both.
        node: NodeId,
        /// The address from which the id is connected; this node's address if the id is its own.
        connected: IpAddr,
        /// The address of the refused node.
        refused: IpAddr,
    },
    /// A thread panicked. The node must end.
    ThreadDied {
        /// The name of the thread.
        thread: String,
        /// The message of the panic.
        reason: String,
    },
}
