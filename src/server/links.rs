//! The outgoing connections to the other nodes: by address while the cluster is being formed, and
//! by node id afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use bytes::Bytes;

use super::cluster::Roster;
use crate::kv::{Key, Value};
use crate::lpaxos::{Message, NodeId};
use crate::transport::{PeerSender, Peers};
use crate::wire::{Introduction, encode_introduction, encode_peer};

/// The connections to the other nodes.
pub(super) struct Links {
    address: IpAddr,
    port: u16,
    listed: BTreeSet<IpAddr>,
    peers: Peers,
    /// The other listed nodes, until the cluster is formed.
    sought: BTreeMap<IpAddr, PeerSender>,
    /// The other members.
    members: BTreeMap<NodeId, PeerSender>,
    /// The peers that answered last that this node does not belong to their cluster.
    refused_by: BTreeSet<IpAddr>,
}

impl Links {
    pub(super) fn new(address: IpAddr, port: u16, listed: BTreeSet<IpAddr>, peers: Peers) -> Links {
        let (sought, members) = (BTreeMap::new(), BTreeMap::new());
        Links { address, port, listed, peers, sought, members, refused_by: BTreeSet::new() }
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the node list with which the node was started.
    pub(super) fn listed(&self) -> &BTreeSet<IpAddr> {
        &self.listed
    }

    /// Starts to connect to the other listed nodes. Their ids are not known yet.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(super) fn seek(&mut self) -> io::Result<()> {
        for ip in self.listed.iter().filter(|ip| **ip != self.address) {
            self.sought.insert(*ip, self.peers.seek((*ip, self.port).into())?);
        }
        Ok(())
    }

    /// Starts to connect to the members. Connections to nodes that are not members are closed.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(super) fn form(&mut self, roster: &Roster) -> io::Result<()> {
        for (ip, node) in roster.iter().filter(|(ip, _)| **ip != self.address) {
            self.members.insert(*node, self.peers.connect(*node, (*ip, self.port).into())?);
        }
        self.sought.clear();
        self.peers.stop_seeking();
        Ok(())
    }

    /// Ends the connections to and from a node that is not a member. When the node connects again,
    /// it is refused with the reason.
    pub(super) fn dismiss(&mut self, node: NodeId) {
        self.members.remove(&node);
        self.peers.disconnect(node);
    }

    /// Notes that a peer admitted this node.
    pub(super) fn admitted_by(&mut self, peer: IpAddr) {
        self.refused_by.remove(&peer);
    }

    /// Notes that a peer refused this node as not belonging to its cluster. Returns whether the
    /// remaining listed nodes, this node included, are not a majority.
    pub(super) fn note_refusal(&mut self, peer: IpAddr) -> bool {
        self.refused_by.insert(peer);
        2 * (self.listed.len() - self.refused_by.len()) <= self.listed.len()
    }

    /// Returns the connections to the other members.
    pub(super) fn members(&self) -> Vec<PeerSender> {
        self.members.values().cloned().collect()
    }

    /// Sends messages of the protocol. A message that does not fit into a peer's queue is dropped:
    /// the protocol sends it again.
    pub(super) fn send(&self, messages: &[(NodeId, Message<Key, Value>)]) {
        for (to, frame) in frames(messages) {
            if let Some(sender) = self.members.get(&to) {
                sender.send(frame);
            }
        }
    }

    /// Sends an introduction to a member; returns whether the node is a member.
    pub(super) fn send_introduction(&self, to: NodeId, introduction: &Introduction) -> bool {
        let member = self.members.get(&to);
        member.inspect(|member| _ = member.send(encode_introduction(introduction))).is_some()
    }

    /// Sends an introduction to all the other nodes.
    pub(super) fn send_introductions(&self, introduction: &Introduction) {
        let frame = encode_introduction(introduction);
        for sender in self.sought.values().chain(self.members.values()) {
            sender.send(frame.clone());
        }
    }
}

/// Encodes messages; a message that goes to several peers in a row is encoded once.
fn frames(messages: &[(NodeId, Message<Key, Value>)]) -> impl Iterator<Item = (NodeId, Bytes)> {
    let mut last: Option<(&Message<Key, Value>, Bytes)> = None;
    messages.iter().map(move |(to, message)| {
        let frame = match &last {
            Some((same, frame)) if *same == message => frame.clone(),
            _ => encode_peer(message),
        };
        last = Some((message, frame.clone()));
        (*to, frame)
    })
}
