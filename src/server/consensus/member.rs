//! A node of a formed cluster.

use std::sync::Arc;
use std::time::Instant;

use log::info;

use crate::kv::Store;
use crate::lpaxos::{Node, NodeId, Output};
use crate::server::gate::Cluster;
use crate::server::gathering::Gathering;

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
    pub(super) fn output(&mut self, now: Instant, queued: usize) -> Output<Store> {
        self.gather(now, queued);
        let output = self.node.output();
        // What is proposed here may be chosen by the next time. The same time, as nothing but a proposal
        // may end the waiting now: nobody would wake for what is held no more.
        self.gather(now, queued);
        output
    }

    /// Has the next proposal wait for those who were just answered, if that is worth it.
    fn gather(&mut self, now: Instant, queued: usize) {
        if self.node.leads().is_none() {
            self.gathering = Gathering::default();
            return;
        }
        let (in_flight, waiting) = (self.node.in_flight(), self.node.waiting() + queued);
        let waits = self.gathering.look(now, in_flight, waiting);
        self.node.hold(waits);
    }

    /// How many requests are waited for beside what the node was given, and until when.
    pub(super) fn missing(&self) -> Option<(usize, Instant)> {
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
