//! The outgoing connections to the other nodes: by address while the cluster is being formed or
//! joined, and by node id afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use bytes::Bytes;

use super::admission::Callers;
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
    /// The listed nodes that are connected to by their addresses, as their ids are not known.
    sought: BTreeMap<IpAddr, PeerSender>,
    /// The other members, and the nodes that have opened a connection to this one.
    linked: BTreeMap<NodeId, Linked>,
    /// The peers that answered last that this node does not belong to their cluster.
    refused_by: BTreeSet<IpAddr>,
}

/// A connection to a node whose id is known.
struct Linked {
    address: IpAddr,
    is_member: bool,
    sender: PeerSender,
}

impl Links {
    pub(super) fn new(address: IpAddr, port: u16, listed: BTreeSet<IpAddr>, peers: Peers) -> Links {
        let (sought, linked) = (BTreeMap::new(), BTreeMap::new());
        Links { address, port, listed, peers, sought, linked, refused_by: BTreeSet::new() }
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the nodes to which this node connects when it starts.
    pub(super) fn listed(&self) -> &BTreeSet<IpAddr> {
        &self.listed
    }

    /// Starts to connect to the other listed nodes to which there is no connection by their id.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(super) fn seek(&mut self) -> io::Result<()> {
        let linked: BTreeSet<IpAddr> = self.linked.values().map(|linked| linked.address).collect();
        // The links that were sought there have become those of the nodes.
        self.sought.retain(|ip, _| !linked.contains(ip));
        for ip in self.listed.iter().filter(|ip| **ip != self.address && !linked.contains(ip)) {
            if !self.sought.contains_key(ip) {
                self.sought.insert(*ip, self.peers.seek((*ip, self.port).into())?);
            }
        }
        Ok(())
    }

    /// Ends the connections to nodes whose ids are not known.
    pub(super) fn stop_seeking(&mut self) {
        self.sought.clear();
        self.peers.stop_seeking();
    }

    /// Connects to the members, and to the nodes that have opened a connection to this one. Ends
    /// the connections to all other nodes whose ids are known. The node `me` is this one.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(super) fn follow(
        &mut self,
        me: NodeId,
        members: &BTreeMap<NodeId, IpAddr>,
        callers: &Callers,
    ) -> io::Result<()> {
        let addresses = callers.iter().map(|(node, caller)| (*node, caller.address));
        let mut wanted: BTreeMap<NodeId, IpAddr> = addresses.collect();
        wanted.extend(members);
        // While a node replaces another one at the same address, both ids have it. The one that
        // has called is there: a connection to the other one would reach it, and displace the
        // connection that it has.
        let is_taken = |node: &NodeId, ip: &IpAddr| {
            !callers.contains_key(node) && callers.values().any(|caller| caller.address == *ip)
        };
        wanted.retain(|node, ip| *node != me && *ip != self.address && !is_taken(node, ip));
        let ended: Vec<NodeId> =
            self.linked.keys().filter(|node| !wanted.contains_key(node)).copied().collect();
        ended.into_iter().for_each(|node| self.dismiss(node));
        for (node, address) in wanted {
            let sender = self.peers.connect(node, (address, self.port).into())?;
            let is_member = members.contains_key(&node);
            self.linked.insert(node, Linked { address, is_member, sender });
        }
        Ok(())
    }

    /// Ends the connections to and from a node that is not a member. When the node connects again,
    /// it is refused with the reason.
    pub(super) fn dismiss(&mut self, node: NodeId) {
        self.linked.remove(&node);
        self.peers.disconnect(node);
    }

    /// Notes that a peer admitted this node.
    pub(super) fn admitted_by(&mut self, peer: IpAddr) {
        self.refused_by.remove(&peer);
    }

    /// Notes that a peer refused this node as not belonging to its cluster. Returns whether the
    /// remaining members, this node included, are not a majority; before a cluster is formed, the
    /// remaining listed nodes.
    pub(super) fn note_refusal(&mut self, peer: IpAddr) -> bool {
        self.refused_by.insert(peer);
        let others = self.linked.values().filter(|linked| linked.is_member);
        let others: BTreeSet<IpAddr> = match self.linked.is_empty() {
            true => self.listed.iter().copied().filter(|ip| *ip != self.address).collect(),
            false => others.map(|linked| linked.address).collect(),
        };
        let (nodes, refusing) = (others.len() + 1, others.intersection(&self.refused_by).count());
        2 * (nodes - refusing) <= nodes
    }

    /// Returns the connections to the other members.
    pub(super) fn members(&self) -> Vec<PeerSender> {
        let members = self.linked.values().filter(|linked| linked.is_member);
        members.map(|linked| linked.sender.clone()).collect()
    }

    /// Sends messages of the protocol. A message that does not fit into a peer's queue is dropped:
    /// the protocol sends it again.
    pub(super) fn send(&self, messages: &[(NodeId, Message<Key, Value>)]) {
        for (to, frame) in frames(messages) {
            if let Some(linked) = self.linked.get(&to) {
                linked.sender.send(frame);
            }
        }
    }

    /// Sends a message to the nodes whose ids are not known.
    pub(super) fn send_to_sought(&self, message: &Message<Key, Value>) {
        let frame = encode_peer(message);
        for sender in self.sought.values() {
            sender.send(frame.clone());
        }
    }

    /// Sends an introduction to a node; returns whether there is a connection by its id.
    pub(super) fn send_introduction(&self, to: NodeId, introduction: &Introduction) -> bool {
        let linked = self.linked.get(&to);
        linked.inspect(|linked| _ = linked.sender.send(encode_introduction(introduction))).is_some()
    }

    /// Sends an introduction to all the other nodes.
    pub(super) fn send_introductions(&self, introduction: &Introduction) {
        let frame = encode_introduction(introduction);
        let linked = self.linked.values().map(|linked| &linked.sender);
        for sender in self.sought.values().chain(linked) {
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
