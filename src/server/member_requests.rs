//! What a request of a client to change the members means, in the present state of the leader.
//!
//! Clients name nodes by their addresses, the protocol by their ids. A node that is to be added has
//! no place in the state yet: the leader knows its id only once the node has connected and waits.
//! Requests are idempotent, because a client that lost the answer asks again.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::lpaxos::{MemberChange, MemberSet, NodeId};
use crate::wire::{MemberName, MemberRequest, MembersUnchangedReason};

/// What the leader knows when it looks at a request.
pub(super) struct Known<'a> {
    pub(super) members: &'a MemberSet,
    /// The addresses of the members.
    pub(super) addresses: &'a BTreeMap<NodeId, IpAddr>,
    /// The nodes that wait to be added, in the order in which they connected.
    pub(super) waiting: &'a [(NodeId, IpAddr)],
    /// Whether the leader and a member hear each other.
    pub(super) is_heard: &'a dyn Fn(NodeId) -> bool,
}

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Propose this change.
    Propose(MemberChange),
    /// The change is made already.
    Done,
    /// Wait until a node waits at the address.
    Wait,
    /// The change cannot be made.
    Fail(MembersUnchangedReason, String),
}

/// Returns what the request means.
pub(super) fn meaning(request: &MemberRequest, known: &Known<'_>) -> Meaning {
    match request {
        MemberRequest::Add { address, replaces } => add(*address, *replaces, known),
        MemberRequest::Remove(name) => match known.find(*name) {
            Ok(node) => Meaning::Propose(MemberChange::Remove(node)),
            Err(fail) => fail,
        },
    }
}

fn add(address: IpAddr, replaces: Option<MemberName>, known: &Known<'_>) -> Meaning {
    let old = replaces.map(|name| known.find_replaced(name));
    let waiting = known.waiting.iter().rev().find(|(_, at)| *at == address);
    let here: Vec<NodeId> = known.at(address).collect();
    if let Some((node, _)) = waiting {
        return match old {
            None if !here.is_empty() => in_use(address),
            Some(Err(fail)) => fail,
            old => Meaning::Propose(MemberChange::Add {
                node: *node,
                address: address.to_string(),
                replaces: old.and_then(Result::ok),
            }),
        };
    }
    let is_done = |node: &NodeId| {
        let replaced = known.members.get(*node).and_then(|member| member.replaces);
        (known.is_heard)(*node)
            && match &old {
                None => true,
                Some(Ok(old)) => replaced == Some(*old),
                // It is no longer a member: it was replaced.
                Some(Err(_)) => replaced.is_none(),
            }
    };
    match old {
        _ if here.iter().any(is_done) => Meaning::Done,
        None if !here.is_empty() => in_use(address),
        Some(Err(fail)) => fail,
        _ => Meaning::Wait,
    }
}

fn in_use(address: IpAddr) -> Meaning {
    let message = format!(
        "a member has the address {address}: to put another node in its place, replace the member"
    );
    Meaning::Fail(MembersUnchangedReason::AddressInUse, message)
}

impl Known<'_> {
    /// Returns the members with this address.
    fn at(&self, address: IpAddr) -> impl Iterator<Item = NodeId> {
        self.addresses.iter().filter(move |(_, at)| **at == address).map(|(node, _)| *node)
    }

    /// Returns the member with this name; otherwise why the request fails.
    fn find(&self, name: MemberName) -> Result<NodeId, Meaning> {
        let found: Vec<NodeId> = match name {
            MemberName::Node(node) => self.members.get(node).map(|_| node).into_iter().collect(),
            MemberName::Address(address) => self.at(address).collect(),
        };
        self.only(name, &found)
    }

    /// Returns the member with this name, where a member that replaces another one with the same
    /// name does not count.
    fn find_replaced(&self, name: MemberName) -> Result<NodeId, Meaning> {
        let MemberName::Address(address) = name else { return self.find(name) };
        let all: Vec<NodeId> = self.at(address).collect();
        let is_new = |node: &NodeId| {
            let replaced = self.members.get(*node).and_then(|member| member.replaces);
            replaced.is_some_and(|old| all.contains(&old))
        };
        let found: Vec<NodeId> = all.iter().filter(|node| !is_new(node)).copied().collect();
        self.only(name, &found)
    }

    fn only(&self, name: MemberName, found: &[NodeId]) -> Result<NodeId, Meaning> {
        match found {
            [node] => Ok(*node),
            [] => {
                let message = format!("{name} is not a member");
                Err(Meaning::Fail(MembersUnchangedReason::NotAMember, message))
            }
            several => {
                let ids: Vec<String> = several.iter().map(NodeId::to_string).collect();
                let ids = ids.join(" and ");
                let message = format!("{name} is not one member, but {ids}: name one by its id");
                Err(Meaning::Fail(MembersUnchangedReason::SeveralMembers, message))
            }
        }
    }
}

/// Returns why no node was added, when the time of the request is over. `own` is the address of
/// this node.
pub(super) fn no_node_waits(request: &MemberRequest, own: IpAddr) -> Meaning {
    let address = match request {
        MemberRequest::Add { address, .. } => address.to_string(),
        MemberRequest::Remove(name) => name.to_string(),
    };
    let message = format!(
        "no node waits at {address}: start one there with --my-ip {address} --join {own} and an \
         empty data directory, and repeat the request"
    );
    Meaning::Fail(MembersUnchangedReason::NoNodeWaits, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lpaxos::{Member, MemberRole};

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    /// The members (id, last number of the address, the replaced member), the waiting nodes, and
    /// the members that are not heard.
    struct Case(Vec<(u64, u8, Option<u64>)>, Vec<(u64, u8)>, Vec<u64>);

    impl Case {
        fn meaning(&self, request: &MemberRequest) -> Meaning {
            let Case(members, waiting, unheard) = self;
            let member = |(node, at, old): &(u64, u8, Option<u64>)| Member {
                node: NodeId(*node),
                address: ip(*at).to_string(),
                role: if old.is_some() { MemberRole::Learner } else { MemberRole::Voter },
                replaces: old.map(NodeId),
            };
            let set = MemberSet::new(members.iter().map(member).collect()).expect("valid");
            let addresses = members.iter().map(|(node, at, _)| (NodeId(*node), ip(*at))).collect();
            let waiting: Vec<_> =
                waiting.iter().map(|(node, at)| (NodeId(*node), ip(*at))).collect();
            let is_heard = |node: NodeId| !unheard.contains(&node.0);
            let (members, addresses, is_heard) = (&set, &addresses, &is_heard);
            meaning(request, &Known { members, addresses, waiting: &waiting, is_heard })
        }

        fn reason(&self, request: &MemberRequest) -> MembersUnchangedReason {
            match self.meaning(request) {
                Meaning::Fail(reason, _) => reason,
                other => panic!("{other:?}"),
            }
        }
    }

    fn addition(at: u8, replaces: Option<u8>) -> MemberRequest {
        let replaces = replaces.map(|old| MemberName::Address(ip(old)));
        MemberRequest::Add { address: ip(at), replaces }
    }

    fn proposed(node: u64, at: u8, replaces: Option<u64>) -> Meaning {
        let (node, replaces) = (NodeId(node), replaces.map(NodeId));
        Meaning::Propose(MemberChange::Add { node, address: ip(at).to_string(), replaces })
    }

    #[test]
    fn the_node_that_waits_at_the_address_is_added() {
        let case = Case(vec![(1, 1, None)], vec![(7, 2), (8, 3)], vec![]);
        assert_eq!(case.meaning(&addition(2, None)), proposed(7, 2, None));
        assert_eq!(case.meaning(&addition(4, None)), Meaning::Wait);
        assert_eq!(case.meaning(&addition(1, None)), Meaning::Done);
        let twice = Case(vec![(1, 1, None)], vec![(7, 2), (8, 2)], vec![]);
        assert_eq!(twice.meaning(&addition(2, None)), proposed(8, 2, None), "it came last");
    }

    #[test]
    fn a_node_at_the_address_of_a_member_is_added_only_in_its_place() {
        let case = Case(vec![(1, 1, None), (2, 2, None)], vec![(7, 2)], vec![2]);
        assert_eq!(case.reason(&addition(2, None)), MembersUnchangedReason::AddressInUse);
        assert_eq!(case.meaning(&addition(2, Some(2))), proposed(7, 2, Some(2)));
        let early = Case(vec![(1, 1, None), (2, 2, None)], vec![], vec![2]);
        assert_eq!(early.reason(&addition(2, None)), MembersUnchangedReason::AddressInUse);
        assert_eq!(early.meaning(&addition(2, Some(2))), Meaning::Wait);
        let soon = Case(vec![(1, 1, None), (2, 2, None)], vec![], vec![]);
        assert_eq!(soon.meaning(&addition(2, Some(2))), Meaning::Wait, "member 2 may be ending");
    }

    #[test]
    fn a_repeated_replacement_is_done() {
        let under_way = Case(vec![(1, 1, None), (2, 2, None), (7, 2, Some(2))], vec![], vec![2]);
        assert_eq!(under_way.meaning(&addition(2, Some(2))), Meaning::Done);
        let over = Case(vec![(1, 1, None), (7, 3, None)], vec![], vec![]);
        assert_eq!(over.meaning(&addition(3, Some(2))), Meaning::Done);
    }

    #[test]
    fn a_name_that_fits_no_member_or_several_fails() {
        let case = Case(vec![(1, 1, None), (2, 2, None), (7, 2, Some(2))], vec![(8, 3)], vec![]);
        let remove = |name| MemberRequest::Remove(name);
        let several = case.reason(&remove(MemberName::Address(ip(2))));
        assert_eq!(several, MembersUnchangedReason::SeveralMembers);
        let none = MembersUnchangedReason::NotAMember;
        assert_eq!(case.reason(&remove(MemberName::Address(ip(9)))), none);
        assert_eq!(case.reason(&remove(MemberName::Node(NodeId(9)))), none);
        assert_eq!(case.reason(&addition(3, Some(9))), none);
        let one = remove(MemberName::Node(NodeId(7)));
        let removed = Meaning::Propose(MemberChange::Remove(NodeId(7)));
        assert_eq!(case.meaning(&one), removed);
    }
}
