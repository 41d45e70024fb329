//! A leader without other nodes, for tests.

use crate::kv::Store;
use crate::lpaxos::{Config, Durable, MemberSet, Node, NodeId};

/// Returns a node that leads a cluster of one. Its time is 1,000 ms.
pub(super) fn lone_leader() -> Node<Store> {
    let (me, members) = (NodeId(1), MemberSet::of_voters([NodeId(1)]));
    let (config, durable) = (Config::default(), Durable::default());
    let mut node = Node::new(me, members, config, Store::default(), durable, 1, 0);
    for now_ms in 1..=1_000 {
        node.tick(now_ms);
        while let Some(write) = node.output().write {
            node.written(write.token, 0);
        }
    }
    assert!(node.leads().is_some());
    node
}
