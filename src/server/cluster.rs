//! The cluster of a node: its id, and the addresses of its members.
//!
//! The two are independent. The id is made once, when the cluster is formed, and stored with each
//! member's state; from then on it is only read. Two nodes belong to the same cluster if they have
//! the same id, even if the members have changed.
//!
//! The members are an entry of the replicated state (P12). Until the first leader has written it,
//! they are the founders, which the data directory holds. A node that waits to be added has the id
//! and knows no members until another node tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::error::ServerError;
use crate::lpaxos::{Member, MemberSet, NodeId};
use crate::storage::Membership;
use crate::wire::Redirect;

/// The nodes that form a cluster, by their addresses.
pub(super) type Roster = BTreeMap<IpAddr, NodeId>;

/// A formed cluster, as a node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cluster {
    /// Made when the cluster was formed; never 0.
    pub(super) id: u64,
    /// The addresses of the members. Two members share one while one of them replaces the other.
    pub(super) members: BTreeMap<NodeId, IpAddr>,
}

impl Cluster {
    /// Returns the cluster that these nodes form.
    pub(super) fn founded(id: u64, roster: &Roster) -> Cluster {
        Cluster { id, members: roster.iter().map(|(address, node)| (*node, *address)).collect() }
    }

    /// Returns the cluster with this id and these members. A member whose address is not an IP
    /// address is left out: this release cannot connect to it.
    pub(super) fn of(id: u64, members: &MemberSet) -> Cluster {
        let address = |member: &Member| Some((member.node, member.address.parse().ok()?));
        Cluster { id, members: members.iter().filter_map(address).collect() }
    }

    /// Returns the cluster from the stored membership. It has no members if the node waits to be
    /// added.
    ///
    /// # Errors
    /// If the address of a member is invalid.
    pub(super) fn stored(membership: &Membership) -> Result<Cluster, ServerError> {
        let member = |(node, ip): &(NodeId, String)| match ip.parse() {
            Ok(ip) => Ok((*node, ip)),
            Err(_) => Err(ServerError::BadMember(ip.clone())),
        };
        let members = membership.members.iter().map(member).collect::<Result<_, _>>()?;
        Ok(Cluster { id: membership.cluster, members })
    }

    /// Returns the membership to store; `listed` are the addresses with which the node was started.
    /// A node that was added to a formed cluster stores none of them with the members: so a start
    /// knows that these are not the founders.
    pub(super) fn to_store(&self, listed: impl IntoIterator<Item = IpAddr>) -> Membership {
        Membership {
            cluster: self.id,
            listed: listed.into_iter().map(|ip| ip.to_string()).collect(),
            members: self.members.iter().map(|(node, ip)| (*node, ip.to_string())).collect(),
        }
    }

    /// Returns the members as the voters that found the cluster; [`MemberSet::unknown`] if no
    /// member is known.
    pub(super) fn founders(&self) -> MemberSet {
        let voters = self.members.iter().map(|(node, ip)| Member::voter(*node, ip.to_string()));
        // More founders than a member set holds are refused before.
        MemberSet::new(voters.collect()).unwrap_or_else(MemberSet::unknown)
    }

    /// Returns the members by their addresses.
    pub(super) fn roster(&self) -> Roster {
        self.members.iter().map(|(node, address)| (*address, *node)).collect()
    }

    /// Returns the addresses of the members.
    pub(super) fn addresses(&self) -> BTreeSet<IpAddr> {
        self.members.values().copied().collect()
    }

    /// Returns the address of a member.
    pub(super) fn address_of(&self, node: NodeId) -> Option<IpAddr> {
        self.members.get(&node).copied()
    }

    /// Returns the address at which clients reach a member.
    pub(super) fn locate(&self, leader: NodeId, port: u16) -> Option<Redirect> {
        Some(Redirect { leader, address: (self.address_of(leader)?, port).into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn the_id_stays_the_same_when_the_members_change() {
        let mut cluster = Cluster { id: 7, members: [(NodeId(100), ip(1))].into() };
        cluster.members.insert(NodeId(200), ip(2));
        let stored = cluster.to_store([ip(1)]);
        assert_eq!(Cluster::stored(&stored).expect("read"), cluster);
    }

    #[test]
    fn a_directory_with_an_invalid_address_is_refused() {
        let cluster = Cluster { id: 7, members: [(NodeId(100), ip(1))].into() };
        let mut stored = cluster.to_store([ip(1)]);
        stored.members[0].1 = "here".to_owned();
        let odd = Cluster::stored(&stored);
        assert!(matches!(odd, Err(ServerError::BadMember(text)) if text == "here"));
    }

    #[test]
    fn two_members_may_share_an_address() {
        let member = |node| Member::voter(NodeId(node), ip(1).to_string());
        let set = MemberSet::new(vec![member(100), member(200)]).expect("two voters");
        let cluster = Cluster::of(7, &set);
        assert_eq!(cluster.founders(), set);
        assert_eq!(cluster.addresses(), [ip(1)].into());
    }

    #[test]
    fn a_node_that_waits_to_be_added_knows_no_members() {
        let cluster = Cluster { id: 7, members: BTreeMap::new() };
        assert_eq!(cluster.founders(), MemberSet::unknown());
    }
}
