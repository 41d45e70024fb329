//! The connections that peers opened to this node: one for each node id.
//!
//! A connection belongs to the node whose id greeted on it. A node that opens another connection
//! gave the first one up, so the newest counts. Two connections of one id from different addresses
//! are two processes with one identity, because a data directory was copied: both would promise in
//! the name of one node, so the second is refused.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;

use crossbeam_channel::{Sender, bounded};
use parking_lot::Mutex;

use super::stop::Stop;
use crate::limits::MAX_NODES;
use crate::numbers::NodeId;
use crate::transport::links::Stream;
use crate::wire::{Reason, Refusal};

/// The place of a connection among all in the order in which they were accepted. Their threads may
/// run in another order, for instance after a pause of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Arrival(pub(super) u64);

/// The connection of each peer.
#[derive(Default)]
pub(super) struct PeerSeats(Mutex<HashMap<NodeId, PeerSeat>>);

/// A peer's place.
struct PeerSeat {
    arrival: Arrival,
    /// Where the lists name the peer, as it says.
    address: IpAddr,
    stream: Stream,
    /// Dropped when the connection is the peer's no more.
    _current: Sender<Infallible>,
}

/// Why a peer gets no seat.
#[derive(Debug)]
pub(super) enum NoSeat {
    /// As many peers are connected as may be.
    Full,
    /// The peer has a newer connection: it gave this one up.
    Older,
    /// A node with the same id is connected from this address.
    Duplicate(IpAddr),
}

impl PeerSeats {
    /// Makes this the peer's connection, and gives what tells that it is so no more; an older one
    /// from the same address is closed.
    pub(super) fn enter(
        &self,
        node: NodeId,
        address: IpAddr,
        stream: &Stream,
        arrival: Arrival,
    ) -> Result<Stop, NoSeat> {
        let mut seats = self.0.lock();
        match seats.get(&node) {
            Some(seat) if seat.address != address => return Err(NoSeat::Duplicate(seat.address)),
            Some(seat) if seat.arrival > arrival => return Err(NoSeat::Older),
            None if seats.len() >= MAX_NODES => return Err(NoSeat::Full),
            _ => {}
        }
        let (current, replaced) = bounded(0);
        let seat = PeerSeat { arrival, address, stream: stream.clone(), _current: current };
        if let Some(older) = seats.insert(node, seat) {
            older.stream.close();
        }
        Ok(Stop(replaced))
    }

    /// Frees the peer's seat if this connection has it.
    pub(super) fn leave(&self, node: NodeId, arrival: Arrival) {
        let mut seats = self.0.lock();
        if seats.get(&node).is_some_and(|seat| seat.arrival == arrival) {
            seats.remove(&node);
        }
    }

    /// Closes the peer's connection, whichever it is, and frees its seat.
    pub(super) fn clear(&self, node: NodeId) {
        if let Some(seat) = self.0.lock().remove(&node) {
            seat.stream.close();
        }
    }
}

impl NoSeat {
    /// Returns what to tell the node `node` at `address`.
    pub(super) fn refusal(&self, node: NodeId, address: IpAddr) -> Refusal {
        match self {
            NoSeat::Full => {
                let message = "this node has as many nodes connected as it may: try again later";
                Refusal::new(Reason::TooManyConnections, message)
            }
            NoSeat::Older => {
                let message = "this node has a newer connection from you";
                Refusal::new(Reason::TooManyConnections, message)
            }
            NoSeat::Duplicate(other) => Refusal::new(
                Reason::DuplicateNode,
                format!(
                    "node {node} connects from {address} while it is there at {other} too: one data \
                     directory is a copy of the other; stop one of the two for good, or, if the \
                     node has moved, wait until the old one is gone"
                ),
            ),
        }
    }
}
