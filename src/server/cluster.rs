//! The cluster of a node: its id and its members.
//!
//! The two are independent. The id is made once, when the cluster is formed, and stored with each
//! member's state; from then on it is only read. Two nodes belong to the same cluster if they have
//! the same id, even if the members have changed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::error::ServerError;
use crate::lpaxos::NodeId;
use crate::storage::Membership;
use crate::wire::Redirect;

/// The nodes of a cluster by their addresses.
pub(super) type Roster = BTreeMap<IpAddr, NodeId>;

/// A formed cluster, as a member knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cluster {
    /// Made when the cluster was formed; never 0.
    pub(super) id: u64,
    pub(super) roster: Roster,
}

impl Cluster {
    /// Returns the cluster of the node `me` from its stored membership.
    ///
    /// # Errors
    /// If the address of a member is invalid, or the node had another address than `my_ip`.
    pub(super) fn stored(
        membership: &Membership,
        me: NodeId,
        my_ip: IpAddr,
    ) -> Result<Cluster, ServerError> {
        let member = |(node, ip): &(NodeId, String)| match ip.parse() {
            Ok(ip) => Ok((ip, *node)),
            Err(_) => Err(ServerError::BadMember(ip.clone())),
        };
        let roster = membership.members.iter().map(member).collect::<Result<Roster, _>>()?;
        let cluster = Cluster { id: membership.cluster, roster };
        match cluster.address_of(me) {
            Some(was) if was != my_ip => Err(ServerError::OtherAddress { was }),
            _ => Ok(cluster),
        }
    }

    /// Returns the membership to store; `listed` are the addresses with which the node was started.
    pub(super) fn to_store(&self, listed: impl IntoIterator<Item = IpAddr>) -> Membership {
        Membership {
            cluster: self.id,
            listed: listed.into_iter().map(|ip| ip.to_string()).collect(),
            members: self.roster.iter().map(|(ip, node)| (*node, ip.to_string())).collect(),
        }
    }

    /// Returns the address of a member.
    pub(super) fn address_of(&self, node: NodeId) -> Option<IpAddr> {
        self.roster.iter().find(|(_, other)| **other == node).map(|(address, _)| *address)
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
        let mut cluster = Cluster { id: 7, roster: [(ip(1), NodeId(100))].into() };
        cluster.roster.insert(ip(2), NodeId(200));
        let stored = cluster.to_store([ip(1)]);
        assert_eq!(Cluster::stored(&stored, NodeId(100), ip(1)).expect("read"), cluster);
    }

    #[test]
    fn a_directory_with_another_or_an_invalid_address_is_refused() {
        let cluster = Cluster { id: 7, roster: [(ip(1), NodeId(100))].into() };
        let mut stored = cluster.to_store([ip(1)]);
        let moved = Cluster::stored(&stored, NodeId(100), ip(2));
        assert!(matches!(moved, Err(ServerError::OtherAddress { was }) if was == ip(1)));
        stored.members[0].1 = "here".to_owned();
        let odd = Cluster::stored(&stored, NodeId(100), ip(1));
        assert!(matches!(odd, Err(ServerError::BadMember(text)) if text == "here"));
    }
}
