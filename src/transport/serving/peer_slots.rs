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
pub(super) struct PeerSlots(Mutex<HashMap<NodeId, PeerSlot>>);

/// A peer's place.
struct PeerSlot {
    arrival: Arrival,
    /// Where the lists name the peer, as it says.
    address: IpAddr,
    stream: Stream,
    /// Dropped when the connection is the peer's no more.
    _current: Sender<Infallible>,
}

/// Why a peer gets no slot.
#[derive(Debug)]
pub(super) enum NoSlot {
    /// As many peers are connected as may be.
    Full,
    /// The peer has a newer connection: it gave this one up.
    Older,
    /// A node with the same id is connected from this address.
    Duplicate(IpAddr),
}

impl PeerSlots {
    /// Makes this the peer's connection, and gives what tells that it is so no more; an older one
    /// from the same address is closed.
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

    /// Closes the peer's connection, whichever it is, and frees its slot.
    pub(super) fn clear(&self, node: NodeId) {
        if let Some(slot) = self.0.lock().remove(&node) {
            slot.stream.close();
        }
    }
}

impl NoSlot {
    /// Returns what to tell the node `node` at `address`.
    pub(super) fn refusal(&self, node: NodeId, address: IpAddr) -> Refusal {
        match self {
            NoSlot::Full => {
                let message = "this node has as many nodes connected as it may: try again later";
                Refusal::new(Reason::TooManyConnections, message)
            }
            NoSlot::Older => {
                let message = "this node has a newer connection from you";
                Refusal::new(Reason::TooManyConnections, message)
            }
            NoSlot::Duplicate(other) => Refusal::new(
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
