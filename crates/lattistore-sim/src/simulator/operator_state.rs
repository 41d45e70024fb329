//! What the operators of a run did, and what came of it.

use std::collections::{BTreeMap, BTreeSet};

use lattistore::lpaxos::{Ballot, MemberSet, NodeId, ProposalId, Slot};

/// What operators did, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Operator {
    /// How many changes were asked for.
    pub(super) asked: usize,
    /// Changes that were asked for and not answered, with the node that was asked.
    pub(super) open: BTreeMap<usize, usize>,
    /// The sets that were proposed, with their slots: each may be chosen yet.
    pub(super) proposed: Vec<(Slot, MemberSet)>,
    /// When a disk was last lost, in microseconds.
    pub(super) lost_us: Option<u64>,
    /// The ballot in which each member was added.
    pub(super) added_in: BTreeMap<NodeId, Ballot>,
    /// Proposals of changes for which it was drawn what goes wrong.
    pub(super) directed: BTreeSet<ProposalId>,
    /// A voter that is cut off until the next change of the voters.
    pub(super) away: Option<usize>,
}
