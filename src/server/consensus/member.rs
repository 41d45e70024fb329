//! A node of a formed cluster.

use std::sync::Arc;
use std::time::Instant;

use super::member_log::MemberLog;
use super::room::Room;
use crate::kv::Store;
use crate::lpaxos::{Node, NodeId, Slot};
use crate::server::admission::Callers;
use crate::server::cluster::Cluster;
use crate::server::notices::Notices;
use crate::wire::Shortage;

/// The node, its cluster, and what is logged about it.
pub(super) struct Member {
    pub(super) node: Node<Store>,
    pub(super) cluster: Arc<Cluster>,
    /// The nodes that formed the cluster; without members at a node that was added later.
    pub(super) founders: Arc<Cluster>,
    pub(super) role: Role,
    /// The version of the members that `cluster` has; `None` before they were read.
    pub(super) version: Option<Slot>,
    /// The nodes that had opened a connection to this one at the last tick.
    pub(super) callers: Callers,
    pub(super) room: Room,
    log: MemberLog,
}

/// What the node is to its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It was never a member, and waits to be added. The next line of the log is due at the time.
    Waiting(Instant),
    /// It is a member.
    Member,
    /// It was a member, and the members of this slot are without it.
    Removed {
        /// The slot of the decree that set the members.
        slot: Slot,
        /// The node ends at this time at the latest.
        end: Instant,
    },
}

impl Member {
    pub(super) fn new(
        node: Node<Store>,
        cluster: Arc<Cluster>,
        founders: Arc<Cluster>,
        role: Role,
    ) -> Member {
        let (version, callers) = (None, Callers::new());
        let (room, log) = (Room::default(), MemberLog::default());
        Member { node, cluster, founders, role, version, callers, room, log }
    }

    /// Returns what a client is told while no majority is reached: the members that are not heard.
    pub(super) fn shortage(&self) -> Shortage {
        let heard = |member: &NodeId| self.node.peer(*member).0;
        let unheard = self.cluster.members.iter().filter(|(member, _)| !heard(member));
        let (waiting_for, message) = match self.role {
            Role::Member => (unheard.map(|(_, ip)| *ip).collect(), String::new()),
            Role::Waiting(_) => (Vec::new(), "it waits to be added to the cluster".to_owned()),
            Role::Removed { slot, .. } => {
                (Vec::new(), format!("it was removed from the cluster by slot {slot}"))
            }
        };
        Shortage { waiting_for, message, ..Shortage::default() }
    }

    /// Whether a majority of the members that removed this node holds the decree that did, so that
    /// they no longer need this node.
    pub(super) fn is_dispensable(&self, slot: Slot) -> bool {
        let members = self.node.members();
        let is_level = |voter: &NodeId| self.node.peer(*voter).1.is_some_and(|at| at >= slot);
        members.is_majority(members.voters().iter().copied().filter(is_level))
    }

    /// Checks whether a majority of the cluster has room for a larger state.
    pub(super) fn look_for_room(&mut self, notices: &Notices) {
        self.room.look(&self.node, &self.cluster, notices);
    }

    /// Logs what changed at the node.
    pub(super) fn log_news(&mut self, me: NodeId) {
        self.log.write(me, &self.node, &self.cluster);
    }
}
