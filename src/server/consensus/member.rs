//! A node of a formed cluster.

use std::sync::Arc;

use super::diary::Diary;
use super::room::Room;
use crate::kv::Store;
use crate::lpaxos::{Node, NodeId};
use crate::server::gate::Cluster;
use crate::server::notices::Notices;
use crate::wire::Shortage;

/// The node, and what it goes by.
pub(super) struct Member {
    pub(super) node: Node<Store>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) room: Room,
    diary: Diary,
}

impl Member {
    pub(super) fn new(node: Node<Store>, cluster: Arc<Cluster>) -> Member {
        Member { node, cluster, room: Room::default(), diary: Diary::default() }
    }

    /// Returns what a client is told where no majority is reached: the members that are not heard.
    pub(super) fn shortage(&self) -> Shortage {
        let heard = |member: &NodeId| self.node.peer(*member).0;
        let unheard = self.cluster.roster.iter().filter(|(_, member)| !heard(member));
        Shortage { waiting_for: unheard.map(|(ip, _)| *ip).collect(), ..Shortage::default() }
    }

    /// Looks whether a majority of the cluster has room.
    pub(super) fn look_for_room(&mut self, notices: &Notices) {
        self.room.look(&self.node, &self.cluster.roster, notices);
    }

    /// Logs what is news of the node's life.
    pub(super) fn log_news(&mut self, me: NodeId) {
        self.diary.write(me, &self.node, &self.cluster);
    }
}
