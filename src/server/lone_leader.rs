//! A leader without other nodes, for tests.

use crate::kv::Store;
use crate::lpaxos::{Config, Durable, Members, Node, NodeId};

/// Returns a node that leads a cluster of one. Its time is 1,000 ms.
pub(super) fn lone_leader() -> Node<Store> {
    let (me, members) = (NodeId(1), Members::new(vec![NodeId(1)]));
    let (config, durable) = (Config::default(), Durable::default());
    let mut node = Node::new(me, members, config, Store::default(), durable, 1, 0);
    for now_ms in 1..=1_000 {
        node.tick(now_ms);
        while !node.output().records.is_empty() {
            node.written();
        }
    }
    assert!(node.leads().is_some());
    node
}
