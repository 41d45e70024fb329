//! Which cluster a node belongs to: its id, and its members.
//!
//! The two are apart. The id is made once, when the cluster is formed, stored with each member's
//! state, and from then on only read: two nodes are of one cluster if they have the same id,
//! whatever the members are by then.

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
    /// Reads the cluster of the node `me` from what is stored.
    ///
    /// # Errors
    /// When a member's address is none, or the node had another address than `my_ip`.
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

    /// Returns what is stored; `listed` are the addresses that the node was started with.
    pub(super) fn to_store(&self, listed: impl IntoIterator<Item = IpAddr>) -> Membership {
        Membership {
            cluster: self.id,
            listed: listed.into_iter().map(|ip| ip.to_string()).collect(),
            members: self.roster.iter().map(|(ip, node)| (*node, ip.to_string())).collect(),
        }
    }

    /// Returns where a member is listed.
    pub(super) fn address_of(&self, node: NodeId) -> Option<IpAddr> {
        self.roster.iter().find(|(_, other)| **other == node).map(|(address, _)| *address)
    }

    /// Returns where clients find a member.
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
    fn the_id_is_read_as_it_was_stored_whatever_the_members_are() {
        let mut cluster = Cluster { id: 7, roster: [(ip(1), NodeId(100))].into() };
        cluster.roster.insert(ip(2), NodeId(200));
        let stored = cluster.to_store([ip(1)]);
        assert_eq!(Cluster::stored(&stored, NodeId(100), ip(1)).expect("read"), cluster);
    }

    #[test]
    fn a_directory_of_another_address_or_without_one_is_refused() {
        let cluster = Cluster { id: 7, roster: [(ip(1), NodeId(100))].into() };
        let mut stored = cluster.to_store([ip(1)]);
        let moved = Cluster::stored(&stored, NodeId(100), ip(2));
        assert!(matches!(moved, Err(ServerError::OtherAddress { was }) if was == ip(1)));
        stored.members[0].1 = "here".to_owned();
        let odd = Cluster::stored(&stored, NodeId(100), ip(1));
        assert!(matches!(odd, Err(ServerError::BadMember(text)) if text == "here"));
    }
}
