//! The outgoing connections to the other listed nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bytes::Bytes;

use super::cluster::Roster;
use crate::kv::{Key, Value};
use crate::lpaxos::{Message, NodeId};
use crate::transport::PeerSender;
use crate::wire::{Introduction, encode_introduction, encode_peer};

/// The senders of the connections, by address and, once the cluster is formed, by node.
pub(super) struct Links {
    address: IpAddr,
    port: u16,
    listed: BTreeSet<IpAddr>,
    by_address: BTreeMap<IpAddr, PeerSender>,
    by_node: BTreeMap<NodeId, PeerSender>,
    /// Peers that said last that this node is none of theirs.
    refused_by: BTreeSet<IpAddr>,
}

impl Links {
    pub(super) fn new(
        address: IpAddr,
        port: u16,
        listed: BTreeSet<IpAddr>,
        by_address: BTreeMap<IpAddr, PeerSender>,
    ) -> Links {
        let (by_node, refused_by) = (BTreeMap::new(), BTreeSet::new());
        Links { address, port, listed, by_address, by_node, refused_by }
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The list the node was started with.
    pub(super) fn listed(&self) -> &BTreeSet<IpAddr> {
        &self.listed
    }

    /// Learns which node is at which address.
    pub(super) fn form(&mut self, roster: &Roster) {
        let sender =
            |(ip, node): (&IpAddr, &NodeId)| Some((*node, self.by_address.get(ip)?.clone()));
        self.by_node = roster.iter().filter_map(sender).collect();
    }

    /// Notes that a peer let this node in.
    pub(super) fn let_in_by(&mut self, peer: IpAddr) {
        self.refused_by.remove(&peer);
    }

    /// Notes that a peer says that this node is none of theirs; gives whether so many do that this
    /// node is of no majority.
    pub(super) fn refused_by(&mut self, peer: IpAddr) -> bool {
        self.refused_by.insert(peer);
        2 * (self.listed.len() - self.refused_by.len()) <= self.listed.len()
    }

    /// The connections to the other members.
    pub(super) fn members(&self) -> Vec<PeerSender> {
        self.by_node.values().cloned().collect()
    }

    /// Sends messages of the protocol. What does not fit into a peer's queue is dropped: the protocol
    /// sends it again.
    pub(super) fn send(&self, messages: &[(NodeId, Message<Key, Value>)]) {
        for (to, frame) in frames(messages) {
            if let Some(sender) = self.by_node.get(&to) {
                sender.send(frame);
            }
        }
    }

    pub(super) fn send_introduction(&self, to: IpAddr, introduction: &Introduction) {
        if let Some(sender) = self.by_address.get(&to) {
            sender.send(encode_introduction(introduction));
        }
    }

    pub(super) fn send_introductions(&self, introduction: &Introduction) {
        let frame = encode_introduction(introduction);
        for sender in self.by_address.values() {
            sender.send(frame.clone());
        }
    }
}

/// Encodes messages; one that goes to several peers in a row is encoded once.
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
