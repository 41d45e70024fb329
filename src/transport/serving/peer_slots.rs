//! The connections that peers opened to this node: one for each node id.
//!
//! A connection belongs to the node with the id in its greeting. A node that opens another
//! connection has given up the first one, so the newest counts. Two connections with one id from
//! different addresses are two processes with one identity, because a data directory was copied:
//! both would promise in the name of one node, so the second is refused.

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

/// The sequence number of an accepted connection. The threads of connections may run in another
/// order, for instance after a pause of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Arrival(pub(super) u64);

/// The connection of each peer.
#[derive(Default)]
pub(super) struct PeerSlots(Mutex<HashMap<NodeId, PeerSlot>>);

/// The slot of a peer.
struct PeerSlot {
    arrival: Arrival,
    /// The peer's address in the node lists, as the peer says.
    address: IpAddr,
    stream: Stream,
    /// Dropped when another connection replaces this one.
    _current: Sender<Infallible>,
}

/// Why a peer gets no slot.
#[derive(Debug)]
pub(super) enum NoSlot {
    /// [`MAX_NODES`] peers are connected.
    Full,
    /// The peer has a newer connection, so it has given this one up.
    Older,
    /// A node with the same id is connected from this address.
    Duplicate(IpAddr),
}

impl PeerSlots {
    /// Makes this the peer's connection, and returns a signal for when it is replaced. An older
    /// connection from the same address is closed.
    pub(super) fn enter(
        &self,
        node: NodeId,
        address: IpAddr,
        stream: &Stream,
        arrival: Arrival,
    ) -> Result<Stop, NoSlot> {
        let mut slots = self.0.lock();
        match slots.get(&node) {
            Some(slot) if slot.address != address => return Err(NoSlot::Duplicate(slot.address)),
            Some(slot) if slot.arrival > arrival => return Err(NoSlot::Older),
            None if slots.len() >= MAX_NODES => return Err(NoSlot::Full),
            _ => {}
        }
        let (current, replaced) = bounded(0);
        let slot = PeerSlot { arrival, address, stream: stream.clone(), _current: current };
        if let Some(older) = slots.insert(node, slot) {
            older.stream.close();
        }
        Ok(Stop(replaced))
    }

    /// Frees the peer's slot if this connection has it.
    pub(super) fn leave(&self, node: NodeId, arrival: Arrival) {
        let mut slots = self.0.lock();
        if slots.get(&node).is_some_and(|slot| slot.arrival == arrival) {
            slots.remove(&node);
        }
    }

    /// Closes the peer's current connection, and frees its slot.
    pub(super) fn clear(&self, node: NodeId) {
        if let Some(slot) = self.0.lock().remove(&node) {
            slot.stream.close();
        }
    }
}

impl NoSlot {
    /// Returns the refusal of the node `node` at `address`.
    pub(super) fn refusal(&self, node: NodeId, address: IpAddr) -> Refusal {
        match self {
            NoSlot::Full => {
                let message =
                    "this node has the maximum number of nodes connected: try again later";
                Refusal::new(Reason::TooManyConnections, message)
            }
            NoSlot::Older => {
                let message = "this node has a newer connection from you";
                Refusal::new(Reason::TooManyConnections, message)
            }
            NoSlot::Duplicate(other) => Refusal::new(
                Reason::DuplicateNode,
                format!(
                    "node {node} connects from {address} while it is connected from {other} too: \
                     one data directory is a copy of the other; stop one of the two for good, \
                     or, if the node has moved, wait until the old connection has ended"
                ),
            ),
        }
    }
}
