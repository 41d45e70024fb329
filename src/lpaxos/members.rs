//! The member set: the nodes of a cluster, and which of them vote (P12).
//!
//! The protocol reads the member set to count votes. It is also an entry of the replicated state:
//! its version is the slot of the decree that set it, and it merges as every entry does (P5, P12).
//! The set of the founders, agreed at the bootstrap, is in use until the first leader has written
//! it as an entry.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::numbers::{NodeId, Slot};

/// The most nodes that a member set can have; a set of votes has one bit for each.
pub const MAX_MEMBERS: usize = 64;

/// The most bytes that the address of a member can have: a host name of 253 bytes, and a port.
pub const MAX_MEMBER_ADDRESS_BYTES: usize = 264;

/// About how many bytes a member takes in a message besides its address.
pub(crate) const MEMBER_BYTES: usize = 24;

/// The role of a member in votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRole {
    /// Its vote counts.
    Voter,
    /// It receives all that a voter receives, and its vote does not count.
    Learner,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its identity.
    pub node: NodeId,
    /// The address at which it was last known to listen. The core passes it on uninterpreted.
    pub address: String,
    /// Whether its vote counts.
    pub role: MemberRole,
    /// The member that this one is to replace: the leader removes that one once this one is a
    /// voter.
    pub replaces: Option<NodeId>,
}

impl Member {
    /// Returns a voter that replaces no other.
    pub fn voter(node: NodeId, address: String) -> Member {
        Member { node, address, role: MemberRole::Voter, replaces: None }
    }
}

/// The nodes of a cluster in ascending order of their ids. A clone costs a reference count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSet(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    members: Vec<Member>,
    voters: Vec<NodeId>,
}

impl MemberSet {
    /// Returns the set of these members; `None` if an id is zero or occurs twice, if an address is
    /// longer than [`MAX_MEMBER_ADDRESS_BYTES`], if there are more than [`MAX_MEMBERS`] members, if
    /// none of them is a voter, if one replaces itself, or if two replace the same one.
    pub fn new(mut members: Vec<Member>) -> Option<MemberSet> {
        members.sort_by_key(|member| member.node);
        let is_voter = |member: &&Member| member.role == MemberRole::Voter;
        let voters: Vec<_> = members.iter().filter(is_voter).map(|member| member.node).collect();
        let mut replaced: Vec<_> = members.iter().filter_map(|member| member.replaces).collect();
        replaced.sort_unstable();
        let is_valid = members.is_sorted_by(|a, b| a.node < b.node)
            && members.len() <= MAX_MEMBERS
            && members.iter().all(|member| {
                member.node != NodeId(0)
                    && member.address.len() <= MAX_MEMBER_ADDRESS_BYTES
                    && member.replaces != Some(member.node)
            })
            && replaced.is_sorted_by(|a, b| a < b)
            && !voters.is_empty();
        is_valid.then(|| MemberSet(Arc::new(Inner { members, voters })))
    }

    /// Returns a set of voters with these ids and without addresses. Repeated ids count once.
    ///
    /// # Panics
    /// When there are no ids, an id is zero, or there are more than [`MAX_MEMBERS`].
    pub fn of_voters(nodes: impl IntoIterator<Item = NodeId>) -> MemberSet {
        let mut nodes: Vec<NodeId> = nodes.into_iter().collect();
        nodes.sort_unstable();
        nodes.dedup();
        let voter = |node| Member::voter(node, String::new());
        let members = nodes.into_iter().map(voter).collect();
        MemberSet::new(members).expect("a cluster has between 1 and 64 voters")
    }

    /// Returns the set of a node that does not know of any member yet: it has no majority, so the
    /// node neither stands nor counts.
    pub fn unknown() -> MemberSet {
        MemberSet(Arc::new(Inner { members: Vec::new(), voters: Vec::new() }))
    }

    /// Returns all members in ascending order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.0.members.iter()
    }

    /// Returns the ids of all members except `node`, in ascending order.
    pub fn others(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        self.iter().map(|member| member.node).filter(move |other| *other != node)
    }

    /// Whether `node` is a member.
    pub fn contains(&self, node: NodeId) -> bool {
        self.0.members.binary_search_by_key(&node, |member| member.node).is_ok()
    }

    /// Returns the member with this id.
    pub fn get(&self, node: NodeId) -> Option<&Member> {
        let at = self.0.members.binary_search_by_key(&node, |member| member.node).ok()?;
        Some(&self.0.members[at])
    }

    /// Whether `node` is a voter.
    pub fn is_voter(&self, node: NodeId) -> bool {
        self.voter_index(node).is_some()
    }

    /// Whether the voters without `refusing` are fewer than a majority.
    pub(super) fn leaves_no_majority(&self, refusing: &BTreeSet<NodeId>) -> bool {
        let others = self.voters().iter().filter(|voter| !refusing.contains(voter));
        others.count() < self.majority()
    }

    /// Returns about how many bytes the set takes in a message.
    pub fn size(&self) -> usize {
        self.iter().map(|member| MEMBER_BYTES + member.address.len()).sum()
    }

    /// Returns the ids of the voters in ascending order.
    pub fn voters(&self) -> &[NodeId] {
        &self.0.voters
    }

    /// Returns how many voters a majority needs: any two majorities share a voter.
    pub fn majority(&self) -> usize {
        self.0.voters.len() / 2 + 1
    }

    /// Whether the voters among `nodes` are a majority. Each node must occur at most once.
    pub fn is_majority(&self, nodes: impl IntoIterator<Item = NodeId>) -> bool {
        let votes = nodes.into_iter().filter(|node| self.voter_index(*node).is_some()).count();
        votes >= self.majority()
    }

    /// Returns the voter at `index` modulo the number of voters, in ascending order of ids; `None`
    /// if no voter is known.
    pub fn voter_at(&self, index: u64) -> Option<NodeId> {
        let count = u64::try_from(self.0.voters.len()).unwrap_or(u64::MAX);
        let place = usize::try_from(index.checked_rem(count)?).ok()?;
        self.0.voters.get(place).copied()
    }

    fn voter_index(&self, voter: NodeId) -> Option<usize> {
        self.0.voters.binary_search(&voter).ok()
    }
}

/// The member set as an entry of the replicated state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberEntry {
    /// The set.
    pub members: MemberSet,
    /// The slot of the decree that set it; never zero, which stands for the set of the founders.
    pub version: Slot,
}

/// The votes for one proposal, one `Confirm` round or one recovery.
///
/// They are counted by the voters of the member set that was in use at its beginning, whatever set
/// a later decree sets (P12).
#[derive(Clone, Debug)]
pub(super) struct VoteSet {
    members: MemberSet,
    /// One bit for each voter, by its index.
    voted: u64,
}

const _: () = assert!(MAX_MEMBERS <= u64::BITS as usize, "every voter has a bit");

impl VoteSet {
    /// Returns a set without votes.
    pub(super) fn new(members: MemberSet) -> VoteSet {
        VoteSet { members, voted: 0 }
    }

    /// Returns the set whose voters count.
    pub(super) fn members(&self) -> &MemberSet {
        &self.members
    }

    /// Counts the vote of a node, if the node is a voter.
    pub(super) fn insert(&mut self, node: NodeId) {
        self.voted |= self.bit(node);
    }

    /// Whether a vote of this node was counted.
    pub(super) fn contains(&self, node: NodeId) -> bool {
        self.voted & self.bit(node) != 0
    }

    /// Whether `node` is a voter that did not vote.
    pub(super) fn lacks(&self, node: NodeId) -> bool {
        self.voted & self.bit(node) != self.bit(node)
    }

    /// Returns the voters that did not vote, in ascending order of ids.
    pub(super) fn missing(&self) -> impl Iterator<Item = NodeId> {
        self.members.voters().iter().copied().filter(|voter| !self.contains(*voter))
    }

    /// Whether a majority voted.
    pub(super) fn has_majority(&self) -> bool {
        self.count() >= self.members.majority()
    }

    fn count(&self) -> usize {
        self.voted.count_ones() as usize
    }

    fn bit(&self, node: NodeId) -> u64 {
        self.members.voter_index(node).map_or(0, |index| 1 << index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(node: u64, role: MemberRole) -> Member {
        Member { role, ..Member::voter(NodeId(node), String::new()) }
    }

    #[test]
    fn two_majorities_always_intersect() {
        for count in 1..=9 {
            let members = MemberSet::of_voters((1..=count).map(NodeId));
            let voters = members.voters().len();
            assert!(2 * members.majority() > voters);
            assert!(2 * (members.majority() - 1) <= voters);
        }
    }

    #[test]
    fn unknown_members_have_no_majority() {
        let members = MemberSet::unknown();
        let mut votes = VoteSet::new(members.clone());
        votes.insert(NodeId(1));
        assert!(!votes.has_majority() && !members.is_majority([NodeId(1)]));
        assert_eq!(members.voter_at(3), None);
    }

    #[test]
    fn an_invalid_member_set_is_rejected() {
        let (voter, learner) = (MemberRole::Voter, MemberRole::Learner);
        assert!(MemberSet::new(vec![member(2, voter), member(1, learner)]).is_some());
        assert_eq!(MemberSet::new(vec![member(1, voter), member(1, learner)]), None);
        assert_eq!(MemberSet::new(vec![member(1, learner)]), None);
        assert_eq!(MemberSet::new(vec![member(0, voter)]), None);
        let address = "x".repeat(MAX_MEMBER_ADDRESS_BYTES + 1);
        assert_eq!(MemberSet::new(vec![Member { address, ..member(1, voter) }]), None);
        let replaces =
            |node: u64, old: u64| Member { replaces: Some(NodeId(old)), ..member(node, learner) };
        let set = |members: &[Member]| MemberSet::new([&[member(9, voter)], members].concat());
        assert!(set(&[replaces(1, 9), replaces(2, 5)]).is_some());
        assert_eq!(set(&[replaces(1, 9), replaces(2, 9)]), None);
        assert_eq!(set(&[replaces(1, 1)]), None);
        assert_eq!(MemberSet::new((1..66).map(|node| member(node, voter)).collect()), None);
    }

    #[test]
    fn a_vote_of_a_learner_does_not_count() {
        let (voter, learner) = (MemberRole::Voter, MemberRole::Learner);
        let all = vec![member(4, learner), member(3, voter), member(2, voter), member(1, voter)];
        let members = MemberSet::new(all).expect("a valid member set");
        let mut votes = VoteSet::new(members.clone());
        for (node, is_chosen) in [(1, false), (4, false), (1, false), (9, false), (3, true)] {
            votes.insert(NodeId(node));
            assert_eq!(votes.has_majority(), is_chosen, "after {node}");
        }
        assert!(votes.contains(NodeId(3)) && !votes.contains(NodeId(4)));
        assert!(members.leaves_no_majority(&[1, 2].map(NodeId).into()));
        assert!(!members.leaves_no_majority(&[1, 4, 9].map(NodeId).into()));
        assert!(!members.is_majority([1, 4, 9].map(NodeId)));
        assert!(members.is_majority([1, 2].map(NodeId)));
        assert!(members.contains(NodeId(4)) && members.others(NodeId(4)).count() == 3);
    }
}
