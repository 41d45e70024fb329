//! What nodes tell each other (`proto/peer.proto`).

use std::net::IpAddr;

use crate::blob::{Key, Value};
use crate::lpaxos::{Message, NodeId};

/// A frame from a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerFrame {
    /// What nodes tell each other to found a cluster (docs/protocol.md, Bootstrap).
    Introduction(Introduction),
    /// A message of the protocol.
    Core(Message<Key, Value>),
}

/// What a node knows of the cluster that is to be founded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The address under which node lists name the sender.
    pub address: IpAddr,
    /// The sender.
    pub node: NodeId,
    /// The node list that it was started with.
    pub listed: Vec<IpAddr>,
    /// The nodes that it heard of, itself included.
    pub known: Vec<(IpAddr, NodeId)>,
    /// The cluster that it belongs to; not zero.
    pub cluster: Option<u64>,
}
