//! The frames between nodes (`proto/peer.proto`).

use std::net::IpAddr;

use crate::blob::{Key, Value};
use crate::lpaxos::{Message, NodeId};

/// A frame from a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerFrame {
    /// A message to form a cluster (docs/protocol.md, Bootstrap).
    Introduction(Introduction),
    /// A message of LPaxos.
    Core(Message<Key, Value>),
}

/// What a node knows of a cluster that is being formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The address under which the node lists name the sender.
    pub address: IpAddr,
    /// The id of the sender.
    pub node: NodeId,
    /// The node list that it was started with.
    pub listed: Vec<IpAddr>,
    /// The nodes that it knows of, itself included.
    pub known: Vec<(IpAddr, NodeId)>,
    /// The cluster that it belongs to, if any; not zero.
    pub cluster: Option<u64>,
}
