//! The status of a node, built from what its parts report.

use std::time::Duration;

use super::cluster::Cluster;
use super::syncs::Syncs;
use crate::kv::{Key, Store, Value};
use crate::lpaxos::{Durable, Node, NodeId};
use crate::storage;
use crate::wire::{MemberStatus, NodeStatus, Notice, Sizes};

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
    let members = cluster.roster.iter().map(|(ip, member)| {
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

/// Returns the memory and disk space of the node, and the durations of its syncs.
pub(super) fn sizes(memory_bytes: u64, storage: &storage::Status, syncs: &Syncs) -> Sizes {
    let storage::Status { disk_bytes, uncovered_bytes, .. } = *storage;
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let (last_sync_us, longest_sync_us) = (micros(syncs.last), micros(syncs.longest));
    let replay_bytes = uncovered_bytes;
    Sizes { memory_bytes, disk_bytes, replay_bytes, last_sync_us, longest_sync_us }
}
