//! How a node says it is.

use bytes::Bytes;

use super::gate::Cluster;
use crate::kv::Store;
use crate::lpaxos::{Durable, Node, NodeId};
use crate::wire::{MemberStatus, NodeStatus};

/// A node that belongs to no cluster yet.
pub(super) fn of_forming(
    me: NodeId,
    durable: &Durable<Bytes, Bytes>,
    uptime_ms: u64,
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
        members: Vec::new(),
    }
}

/// A member of a cluster.
pub(super) fn of_member(
    me: NodeId,
    node: &Node<Store>,
    cluster: &Cluster,
    port: u16,
    uptime_ms: u64,
) -> NodeStatus {
    let members = cluster.roster.iter().map(|(ip, member)| {
        let (reachable, complete) = node.peer(*member);
        let complete = complete.unwrap_or_default();
        MemberStatus { node: *member, address: (*ip, port).into(), reachable, complete }
    });
    NodeStatus {
        cluster: Some(cluster.id),
        leader: node.leader().and_then(|leader| cluster.locate(leader, port)),
        members: members.collect(),
        ..of_forming(me, node.durable(), uptime_ms)
    }
}
