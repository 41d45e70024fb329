//! What nodes tell each other (`proto/peer.proto`).

use std::net::IpAddr;

use bytes::Bytes;

use super::frame::frame;
use super::peer_encode;
use crate::blob::{Key, Value};
use crate::limits::MAX_PEER_FRAME_BYTES;
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

/// A message of the protocol as a frame. One frame may go to several peers.
///
/// # Panics
/// When the message is above [`MAX_PEER_FRAME_BYTES`]: the core bounds batches and pages so that it
/// cannot be.
pub fn encode_peer(message: &Message<Key, Value>) -> Bytes {
    Bytes::from(frame(&peer_encode::core(message), MAX_PEER_FRAME_BYTES))
}

/// An introduction as a frame.
pub fn encode_introduction(introduction: &Introduction) -> Bytes {
    Bytes::from(frame(&peer_encode::introduction(introduction), MAX_PEER_FRAME_BYTES))
}
