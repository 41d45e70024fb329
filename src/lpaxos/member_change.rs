//! Changes of the member set: what an operator asks for, and the set that comes of it (P12).

use std::fmt;

use super::members::{MAX_MEMBERS, Member, MemberRole, MemberSet};
use crate::numbers::NodeId;

/// A change that an operator asks for. It is idempotent: a change that is made already is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// Add a node as a learner. The leader promotes it to a voter once it is level.
    Add {
        /// The node.
        node: NodeId,
        /// Where it listens.
        address: String,
        /// The member that the leader removes once the node is a voter.
        replaces: Option<NodeId>,
    },
    /// Remove a member. Of a learner this withdraws its addition.
    Remove(NodeId),
    /// Note that a member listens elsewhere.
    Move {
        /// The member.
        node: NodeId,
        /// Where it listens.
        address: String,
    },
}

/// The reason for which a change is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberChangeError {
    /// The node is not a member.
    NotAMember(NodeId),
    /// The node is a member already, with another address or purpose.
    AlreadyAMember(NodeId),
    /// Another member replaces that one already.
    AlreadyReplaced {
        /// The member to be replaced.
        old: NodeId,
        /// The member that replaces it.
        by: NodeId,
    },
    /// There are [`MAX_MEMBERS`] members.
    TooManyMembers,
    /// The member is the last voter.
    LastVoter(NodeId),
    /// The leader and the nodes that it hears would be no majority of the voters that remain.
    NoMajority,
    /// The id or the address cannot be that of a member.
    Unsound,
}

impl fmt::Display for MemberChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemberChangeError::NotAMember(node) => write!(f, "node {node} is not a member"),
            MemberChangeError::AlreadyAMember(node) => {
                write!(f, "node {node} is a member already, with another address or purpose")
            }
            MemberChangeError::AlreadyReplaced { old, by } => {
                write!(f, "node {by} replaces node {old} already: remove {by} first")
            }
            MemberChangeError::TooManyMembers => {
                write!(
                    f,
                    "the cluster has {MAX_MEMBERS} members, which is the most that it may have"
                )
            }
            MemberChangeError::LastVoter(node) => {
                write!(f, "node {node} is the last voter: add another node first")
            }
            MemberChangeError::NoMajority => f.write_str(
                "the nodes that the leader hears would be no majority of the voters that remain: \
                 start a stopped member or add one first",
            ),
            MemberChangeError::Unsound => f.write_str("the id or the address is not valid"),
        }
    }
}

impl std::error::Error for MemberChangeError {}

impl MemberChange {
    /// Returns the set after the change; the same set where the change is made already.
    ///
    /// # Errors
    /// Why the change cannot be made of this set.
    pub fn apply(&self, set: &MemberSet) -> Result<MemberSet, MemberChangeError> {
        match self {
            MemberChange::Add { node, address, replaces } => {
                add(set, *node, address.clone(), *replaces)
            }
            MemberChange::Remove(node) => remove(set, *node),
            MemberChange::Move { node, address } => {
                let member = set.get(*node).ok_or(MemberChangeError::NotAMember(*node))?;
                with(set, Member { address: address.clone(), ..member.clone() })
            }
        }
    }
}

fn add(
    set: &MemberSet,
    node: NodeId,
    address: String,
    replaces: Option<NodeId>,
) -> Result<MemberSet, MemberChangeError> {
    if let Some(member) = set.get(node) {
        let is_same = member.address == address
            && (member.replaces == replaces || replaces.is_some_and(|old| !set.contains(old)));
        return match is_same {
            true => Ok(set.clone()),
            false => Err(MemberChangeError::AlreadyAMember(node)),
        };
    }
    if let Some(old) = replaces {
        if !set.contains(old) {
            return Err(MemberChangeError::NotAMember(old));
        }
        if let Some(other) = set.iter().find(|member| member.replaces == Some(old)) {
            return Err(MemberChangeError::AlreadyReplaced { old, by: other.node });
        }
    }
    if set.iter().count() >= MAX_MEMBERS {
        return Err(MemberChangeError::TooManyMembers);
    }
    with(set, Member { node, address, role: MemberRole::Learner, replaces })
}

/// Returns the set without `node`; the set as it is where that is not a member.
fn remove(set: &MemberSet, node: NodeId) -> Result<MemberSet, MemberChangeError> {
    if set.voters() == [node] {
        return Err(MemberChangeError::LastVoter(node));
    }
    let rest = set
        .iter()
        .filter(|member| member.node != node)
        .cloned()
        .map(|member| Member { replaces: member.replaces.filter(|old| *old != node), ..member });
    MemberSet::new(rest.collect()).ok_or(MemberChangeError::Unsound)
}

/// Returns the set with the learner as a voter.
pub(super) fn promote(set: &MemberSet, learner: &Member) -> Option<MemberSet> {
    with(set, Member { role: MemberRole::Voter, ..learner.clone() }).ok()
}

/// Returns the set with this member, in place of the one with its id if there is one.
fn with(set: &MemberSet, member: Member) -> Result<MemberSet, MemberChangeError> {
    let others = set.iter().filter(|other| other.node != member.node).cloned();
    let members = others.chain([member.clone()]).collect();
    MemberSet::new(members).ok_or(MemberChangeError::Unsound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(set: &MemberSet) -> Vec<u64> {
        set.iter().map(|member| member.node.0).collect()
    }

    fn addition(node: u64, replaces: Option<u64>) -> MemberChange {
        let (node, address) = (NodeId(node), format!("host{node}"));
        MemberChange::Add { node, address, replaces: replaces.map(NodeId) }
    }

    #[test]
    fn an_added_node_is_a_learner_and_a_repeated_addition_changes_nothing() {
        let set = MemberSet::of_voters([1, 2, 3].map(NodeId));
        let added = addition(4, None).apply(&set).expect("added");
        assert_eq!(added.get(NodeId(4)).map(|member| member.role), Some(MemberRole::Learner));
        assert_eq!(added.voters(), set.voters());
        assert_eq!(addition(4, None).apply(&added), Ok(added.clone()));
        let elsewhere = MemberChange::Add { node: NodeId(4), address: "x".into(), replaces: None };
        assert_eq!(elsewhere.apply(&added), Err(MemberChangeError::AlreadyAMember(NodeId(4))));
    }

    #[test]
    fn a_member_is_replaced_by_one_node_only_and_its_removal_is_noted() {
        let set = MemberSet::of_voters([1, 2, 3].map(NodeId));
        let set = addition(4, Some(2)).apply(&set).expect("added");
        let error = MemberChangeError::AlreadyReplaced { old: NodeId(2), by: NodeId(4) };
        assert_eq!(addition(5, Some(2)).apply(&set), Err(error));
        assert_eq!(addition(5, Some(9)).apply(&set), Err(MemberChangeError::NotAMember(NodeId(9))));
        let learner = set.get(NodeId(4)).expect("a member").clone();
        let set = promote(&set, &learner).expect("sound");
        assert_eq!(set.voters().len(), 4);
        let set = MemberChange::Remove(NodeId(2)).apply(&set).expect("removed");
        assert_eq!(ids(&set), [1, 3, 4]);
        assert_eq!(set.get(NodeId(4)).and_then(|member| member.replaces), None);
        assert_eq!(addition(4, Some(2)).apply(&set), Ok(set.clone()), "it is done");
    }

    #[test]
    fn the_last_voter_stays() {
        let set = addition(2, None).apply(&MemberSet::of_voters([NodeId(1)])).expect("added");
        let last = MemberChangeError::LastVoter(NodeId(1));
        assert_eq!(MemberChange::Remove(NodeId(1)).apply(&set), Err(last));
        let without = MemberChange::Remove(NodeId(2)).apply(&set).expect("removed");
        assert_eq!(ids(&without), [1]);
        assert_eq!(MemberChange::Remove(NodeId(7)).apply(&without), Ok(without.clone()));
    }

    #[test]
    fn an_address_changes_of_a_member_only() {
        let set = MemberSet::of_voters([1, 2].map(NodeId));
        let moved = MemberChange::Move { node: NodeId(2), address: "there".into() };
        let set = moved.apply(&set).expect("moved");
        assert_eq!(set.get(NodeId(2)).map(|member| member.address.as_str()), Some("there"));
        let other = MemberChange::Move { node: NodeId(3), address: "there".into() };
        assert_eq!(other.apply(&set), Err(MemberChangeError::NotAMember(NodeId(3))));
    }
}
