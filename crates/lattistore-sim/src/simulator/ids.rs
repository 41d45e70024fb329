//! The ids of the simulated nodes: the place of a computer, counted from 0, and one more.

use lattistore::lpaxos::NodeId;

/// Returns the id of the node at an index.
pub(super) fn node_id(place: usize) -> NodeId {
    NodeId(u64::try_from(place).unwrap_or(u64::MAX) + 1)
}

/// Returns the index of a node.
pub(super) fn place_of(node: NodeId) -> usize {
    usize::try_from(node.0 - 1).unwrap_or(usize::MAX)
}
