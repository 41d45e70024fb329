//! A node of a formed cluster.

use std::sync::Arc;

use super::member_log::MemberLog;
use super::room::Room;
use crate::kv::Store;
use crate::lpaxos::{Node, NodeId};
use crate::server::cluster::Cluster;
use crate::server::notices::Notices;
use crate::wire::Shortage;

/// The node, its cluster, and what is logged about it.
pub(super) struct Member {
    pub(super) node: Node<Store>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) room: Room,
    log: MemberLog,
}

impl Member {
    pub(super) fn new(node: Node<Store>, cluster: Arc<Cluster>) -> Member {
        Member { node, cluster, room: Room::default(), log: MemberLog::default() }
    }

    /// Returns what a client is told while no majority is reached: the members that are not heard.
    pub(super) fn shortage(&self) -> Shortage {
        let heard = |member: &NodeId| self.node.peer(*member).0;
        let unheard = self.cluster.roster.iter().filter(|(_, member)| !heard(member));
        Shortage { waiting_for: unheard.map(|(ip, _)| *ip).collect(), ..Shortage::default() }
    }

    /// Checks whether a majority of the cluster has room for a larger state.
    pub(super) fn look_for_room(&mut self, notices: &Notices) {
        self.room.look(&self.node, &self.cluster.roster, notices);
    }

    /// Logs what changed at the node.
    pub(super) fn log_news(&mut self, me: NodeId) {
        self.log.write(me, &self.node, &self.cluster);
    }
}
