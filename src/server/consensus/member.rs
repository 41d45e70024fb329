//! A node of a formed cluster.

use std::sync::Arc;
use std::time::Instant;

use log::info;

use crate::kv::Store;
use crate::lpaxos::{Node, NodeId, Output};
use crate::server::gate::Cluster;
use crate::server::gathering::{Awaited, Gathering};

/// The node, and what it goes by.
pub(super) struct Member {
    pub(super) node: Node<Store>,
    pub(super) cluster: Arc<Cluster>,
    /// What was last logged of who leads.
    leader: Option<NodeId>,
    gathering: Gathering,
}

impl Member {
    pub(super) fn new(node: Node<Store>, cluster: Arc<Cluster>) -> Member {
        Member { node, cluster, leader: None, gathering: Gathering::default() }
    }

    /// [`Node::output`], where `queued` requests wait that the node was not given.
    pub(super) fn output(&mut self, queued: usize) -> Output<Store> {
        self.gather(queued);
        let output = self.node.output();
        // Who is alone has chosen by the next time what it proposes now.
        self.gather(queued);
        output
    }

    /// Has the next proposal wait for those who were just answered, if that is worth it.
    fn gather(&mut self, queued: usize) {
        let (in_flight, waiting) = (self.node.in_flight(), self.node.waiting() + queued);
        let awaited = self.gathering.look(Instant::now(), in_flight, waiting);
        self.node.hold(awaited.is_some() && self.node.has_room());
    }

    /// What is waited for beside what the node was given.
    pub(super) fn awaited(&self) -> Option<Awaited> {
        self.gathering.missing(self.node.waiting())
    }

    /// Logs who leads, where that is news.
    pub(super) fn log_leader(&mut self, me: NodeId) {
        let leader = self.node.leader();
        if leader == self.leader {
            return;
        }
        self.leader = leader;
        match leader {
            Some(leader) if leader == me => info!("this node leads"),
            Some(leader) => match self.cluster.address_of(leader) {
                Some(address) => info!("following the leader at {address}"),
                None => info!("following the leader {leader}"),
            },
            None => info!("no leader is known"),
        }
    }
}
