//! The status of a node, built from what its parts report.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::cluster::Cluster;
use super::syncs::Syncs;
use crate::kv::{Key, Store, Value};
use crate::limits::MAX_NODES;
use crate::lpaxos::{Durable, MemberRole, Node, NodeId, Slot};
use crate::storage;
use crate::wire::{ListedMember, MemberList, MemberStatus, NodeStatus, Notice, Sizes, WaitingNode};

/// Returns the status of a node that belongs to no cluster yet.
pub(super) fn of_forming(
    me: NodeId,
    durable: &Durable<Key, Value>,
    sizes: Sizes,
    uptime_ms: u64,
    notices: Vec<Notice>,
) -> NodeStatus {
    let replica = &durable.replica;
    NodeStatus {
        node: me,
        cluster: None,
        version: env!("CARGO_PKG_VERSION").to_string(),
        uptime_ms,
        leader: None,
        promised: durable.promised,
        slot: durable.accepted_slot(),
        complete: replica.complete(),
        floor: replica.floor(),
        entries: u64::try_from(replica.entry_count()).unwrap_or(u64::MAX),
        sizes,
        members: Vec::new(),
        notices,
    }
}

/// Returns the status of a member of a cluster.
pub(super) fn of_member(
    me: NodeId,
    node: &Node<Store>,
    cluster: &Cluster,
    port: u16,
    sizes: Sizes,
    uptime_ms: u64,
    notices: Vec<Notice>,
) -> NodeStatus {
    let members = cluster.members.iter().map(|(member, ip)| {
        let (reachable, complete) = node.peer(*member);
        let complete = complete.unwrap_or_default();
        let (address, hears_this_node) = ((*ip, port).into(), node.is_heard_by(*member));
        MemberStatus { node: *member, address, reachable, complete, hears_this_node }
    });
    NodeStatus {
        cluster: Some(cluster.id),
        leader: node.leader().and_then(|leader| cluster.locate(leader, port)),
        members: members.collect(),
        ..of_forming(me, node.durable(), sizes, uptime_ms, notices)
    }
}

/// Returns the members as this node knows them. `waiting` are the nodes that wait to be added.
pub(super) fn member_list(
    me: NodeId,
    node: &Node<Store>,
    cluster: &Cluster,
    port: u16,
    waiting: impl IntoIterator<Item = (NodeId, IpAddr)>,
) -> MemberList {
    let members = node.members().iter().map(|member| {
        let (reachable, complete) = node.peer(member.node);
        let ip = cluster.address_of(member.node).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        ListedMember {
            node: member.node,
            address: (ip, port).into(),
            is_learner: member.role == MemberRole::Learner,
            replaces: member.replaces,
            reachable,
            complete: complete.unwrap_or_default(),
        }
    });
    let waiting = waiting.into_iter().take(MAX_NODES);
    MemberList {
        node: me,
        cluster: Some(cluster.id),
        version: members_version(node),
        leader: node.leader().and_then(|leader| cluster.locate(leader, port)),
        members: members.collect(),
        waiting: waiting
            .map(|(node, ip)| WaitingNode { node, address: (ip, port).into() })
            .collect(),
    }
}

/// Returns the slot of the decree that set the members of the node; zero while they are the
/// founders.
pub(super) fn members_version(node: &Node<Store>) -> Slot {
    node.durable().replica.members().map_or(Slot::ZERO, |entry| entry.version)
}

/// Returns the memory and disk space of the node, and the durations of its syncs.
pub(super) fn sizes(memory_bytes: u64, storage: &storage::Status, syncs: &Syncs) -> Sizes {
    let storage::Status { disk_bytes, uncovered_bytes, .. } = *storage;
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let (last_sync_us, longest_sync_us) = (micros(syncs.last), micros(syncs.longest));
    let replay_bytes = uncovered_bytes;
    Sizes { memory_bytes, disk_bytes, replay_bytes, last_sync_us, longest_sync_us }
}
