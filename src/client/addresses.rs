//! The addresses of nodes that the client knows.
//!
//! A client is started with some addresses. The first list of members that it receives takes their
//! place, and each later one takes the place of the list before; so the client follows a cluster
//! whose nodes are replaced one by one. The addresses that the client was started with remain as a
//! last resort.
//!
//! A list counts only if it is of the same cluster as the first one, and not older than the last
//! one: a node that was removed, or cut off from the others, still knows an old list.

use std::net::SocketAddr;

use crate::limits::MAX_CLIENT_ADDRESSES;
use crate::numbers::Slot;
use crate::wire::MemberList;

/// The addresses of nodes.
#[derive(Debug)]
pub(super) struct Addresses {
    /// The addresses that the client was started with.
    configured: Vec<SocketAddr>,
    /// The members, and nodes that were learned since; at first the configured addresses.
    known: Vec<SocketAddr>,
    /// The cluster, and the version of its member list; `None` before the first list.
    list: Option<(u64, Slot)>,
    /// The index in `known` at which the next search begins.
    next: usize,
}

impl Addresses {
    /// Returns the addresses of a client that was started with these.
    pub(super) fn new(configured: Vec<SocketAddr>) -> Addresses {
        Addresses { known: configured.clone(), configured, list: None, next: 0 }
    }

    /// Returns all addresses: the known ones, then the configured ones that are not among them.
    pub(super) fn all(&self) -> impl Iterator<Item = SocketAddr> {
        self.known.iter().copied().chain(self.last_resort())
    }

    /// Whether this is one of the addresses.
    pub(super) fn contains(&self, address: SocketAddr) -> bool {
        self.all().any(|known| known == address)
    }

    /// Whether a node of this cluster is of another cluster than the member list.
    pub(super) fn is_foreign(&self, cluster: Option<u64>) -> bool {
        let (Some(cluster), Some((own, _))) = (cluster, self.list) else { return false };
        cluster != own
    }

    /// Adds an address, unless it is known or there are [`MAX_CLIENT_ADDRESSES`].
    pub(super) fn add(&mut self, address: SocketAddr) {
        if !self.contains(address) && self.known.len() < MAX_CLIENT_ADDRESSES {
            self.known.push(address);
        }
    }

    /// Takes a list of the members. Returns whether it counts.
    pub(super) fn take(&mut self, list: &MemberList) -> bool {
        let Some(cluster) = list.cluster.filter(|cluster| !self.is_foreign(Some(*cluster))) else {
            return false;
        };
        let is_old = self.list.is_some_and(|(_, version)| list.version < version);
        // The node does not know the address of every member at all times.
        let is_known = |address: &SocketAddr| !address.ip().is_unspecified();
        let of = |is_learner: bool| {
            let members = list.members.iter().filter(move |member| member.is_learner == is_learner);
            members.map(|member| member.address).filter(is_known)
        };
        let mut members = Vec::new();
        for address in of(false).chain(of(true)) {
            // During a replacement, two members may have the same address.
            if !members.contains(&address) {
                members.push(address);
            }
        }
        if is_old || members.is_empty() {
            return false;
        }
        self.list = Some((cluster, list.version));
        if self.known != members {
            (self.known, self.next) = (members, 0);
        }
        true
    }

    /// Makes the next search begin after this address.
    pub(super) fn pass(&mut self, address: SocketAddr) {
        let index = self.known.iter().position(|known| *known == address);
        self.next = index.map_or(0, |index| index + 1);
    }

    /// Returns the addresses in the order in which a search tries them.
    pub(super) fn in_order(&self) -> impl Iterator<Item = SocketAddr> {
        let begin = self.next.checked_rem(self.known.len()).unwrap_or(0);
        let (last, first) = self.known.split_at(begin);
        first.iter().chain(last).copied().chain(self.last_resort())
    }

    /// Returns the configured addresses that are not known otherwise.
    fn last_resort(&self) -> impl Iterator<Item = SocketAddr> {
        self.configured.iter().copied().filter(|address| !self.known.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::NodeId;
    use crate::wire::ListedMember;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn list(cluster: Option<u64>, version: u64, ports: &[u16]) -> MemberList {
        let member = |port: &u16| ListedMember {
            node: NodeId(u64::from(*port)),
            address: address(*port),
            is_learner: false,
            replaces: None,
            reachable: true,
            complete: Slot(0),
        };
        MemberList {
            node: NodeId(1),
            cluster,
            version: Slot(version),
            leader: None,
            members: ports.iter().map(member).collect(),
            waiting: Vec::new(),
        }
    }

    fn in_order(addresses: &Addresses) -> Vec<u16> {
        addresses.in_order().map(|address| address.port()).collect()
    }

    #[test]
    fn a_list_replaces_the_list_before_and_the_configured_addresses_come_last() {
        let mut addresses = Addresses::new(vec![address(1), address(2)]);
        assert!(addresses.take(&list(Some(9), 0, &[1, 2, 3])));
        assert_eq!(in_order(&addresses), [1, 2, 3]);
        addresses.pass(address(2));
        assert_eq!(in_order(&addresses), [3, 1, 2]);
        assert!(addresses.take(&list(Some(9), 7, &[3, 4])));
        assert_eq!(in_order(&addresses), [3, 4, 1, 2]);
        addresses.pass(address(3));
        assert_eq!(in_order(&addresses), [4, 3, 1, 2]);
        assert!(addresses.contains(address(1)) && !addresses.contains(address(5)));
    }

    #[test]
    fn an_older_list_and_one_of_another_cluster_change_nothing() {
        let mut addresses = Addresses::new(vec![address(1)]);
        assert!(!addresses.take(&list(None, 0, &[5])), "the node belongs to no cluster");
        assert!(!addresses.take(&list(Some(9), 0, &[])), "the node does not know the members");
        assert!(addresses.take(&list(Some(9), 7, &[2, 3])));
        assert!(!addresses.take(&list(Some(9), 6, &[1, 2])));
        assert!(!addresses.take(&list(Some(8), 100, &[4])));
        assert!(!addresses.take(&list(None, 100, &[5])));
        assert_eq!(in_order(&addresses), [2, 3, 1]);
        assert!(addresses.is_foreign(Some(8)));
        assert!(!addresses.is_foreign(Some(9)) && !addresses.is_foreign(None));
    }

    #[test]
    fn voters_come_before_learners_and_each_address_once() {
        let mut addresses = Addresses::new(Vec::new());
        let mut members = list(Some(9), 3, &[2, 3, 4, 4]);
        members.members[0].is_learner = true;
        members.members.push(ListedMember {
            address: SocketAddr::from(([0, 0, 0, 0], 5)),
            ..members.members[1]
        });
        assert!(addresses.take(&members));
        assert_eq!(in_order(&addresses), [3, 4, 2]);
    }

    #[test]
    fn the_number_of_addresses_is_bounded() {
        let mut addresses = Addresses::new(vec![address(1)]);
        (1..1000).for_each(|port| addresses.add(address(port)));
        assert_eq!(addresses.all().count(), MAX_CLIENT_ADDRESSES);
    }
}
