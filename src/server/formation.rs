//! The formation of a cluster, once: the bootstrap of `docs/protocol.md`.
//!
//! Every node tells every other node its address, its id, the node list with which it was started,
//! and the ids that it has heard so far. When a node has heard every listed node, all lists are
//! equal, and all nodes have heard the same ids, then that set of (address, id) pairs is the
//! cluster. A node that once reported a complete set never reports another one, so two different
//! clusters can have no member in common.
//!
//! This file has no side effects: its caller passes in what is received and sends what it returns;
//! the server makes the result durable.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::cluster::{Cluster, Roster};
use super::formation_error::{FormationError, join};
use crate::lpaxos::NodeId;
use crate::wire::Introduction;

/// Compares the list of the node `here` with that of the node `there`.
///
/// # Errors
/// If they differ.
pub(super) fn compare_lists(
    (here, list_here): (IpAddr, &BTreeSet<IpAddr>),
    (there, list_there): (IpAddr, &BTreeSet<IpAddr>),
) -> Result<(), FormationError> {
    if list_here == list_there {
        return Ok(());
    }
    let only_here = list_here.difference(list_there).copied().collect();
    let only_there = list_there.difference(list_here).copied().collect();
    Err(FormationError::ListsDiffer { here, there, only_here, only_there })
}

/// Returns the id of the cluster that these nodes form: a hash (FNV-1a) of the members, never 0.
/// All of them compute the same id. It is stored, and from then on only read: the members may
/// change, the id does not.
fn new_cluster_id(members: &Roster) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut mix = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for (address, node) in members {
        address.to_string().bytes().for_each(&mut mix);
        mix(0);
        node.0.to_be_bytes().into_iter().for_each(&mut mix);
    }
    hash.max(1)
}

/// A cluster that is being formed, from the view of one node.
#[derive(Debug)]
pub(super) struct Formation {
    address: IpAddr,
    node: NodeId,
    listed: BTreeSet<IpAddr>,
    /// The nodes heard so far, including this one.
    known: Roster,
    /// The nodes that each other node last said it has heard.
    reports: BTreeMap<IpAddr, Roster>,
    /// The cluster, as reported by a node that already belongs to it.
    formed: Option<Cluster>,
}

impl Formation {
    /// Returns the formation of a node that was started with the list `listed`, which contains
    /// `address`.
    pub(super) fn new(address: IpAddr, node: NodeId, listed: BTreeSet<IpAddr>) -> Formation {
        let known = Roster::from([(address, node)]);
        Formation { address, node, listed, known, reports: BTreeMap::new(), formed: None }
    }

    /// Returns what to tell the other nodes.
    pub(super) fn introduction(&self) -> Introduction {
        introduction(self.address, self.node, &self.listed, &self.known, None)
    }

    /// Returns the listed nodes that were not heard yet.
    pub(super) fn missing(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.listed.iter().copied().filter(|address| !self.known.contains_key(address))
    }

    /// Returns in one line what this node waits for: the listed nodes that it has not heard, or the
    /// nodes that have not heard all others yet.
    pub(super) fn waits_for(&self) -> String {
        let missing: BTreeSet<IpAddr> = self.missing().collect();
        if !missing.is_empty() {
            return format!("waiting for {}", join(&missing));
        }
        let others = self.listed.iter().filter(|address| **address != self.address);
        let behind = others.filter(|address| self.reports.get(address) != Some(&self.known));
        let behind: BTreeSet<IpAddr> = behind.copied().collect();
        format!("waiting for {} to have heard all the others", join(&behind))
    }

    /// Takes the introduction of another node. A node that is not listed does not count, and no
    /// other node can speak for this one.
    ///
    /// # Errors
    /// If the nodes cannot form a cluster.
    pub(super) fn hear(&mut self, received: &Introduction) -> Result<(), FormationError> {
        let address = received.address;
        let roster: Roster = received.known.iter().copied().collect();
        let own_id_there = roster.get(&self.address);
        if received.cluster.is_some() && own_id_there.is_some_and(|node| *node != self.node) {
            return Err(FormationError::LostIdentity { address });
        }
        let listed_there = received.listed.iter().copied().collect();
        compare_lists((self.address, &self.listed), (address, &listed_there))?;
        if address == self.address || !self.listed.contains(&address) {
            return Ok(());
        }
        let same = self.known.iter().find(|(at, node)| **node == received.node && **at != address);
        if let Some((first, _)) = same {
            return Err(FormationError::Copied { first: *first, second: address });
        }
        let is_whole = self.missing().next().is_none();
        match self.known.get(&address) {
            Some(known) if *known != received.node && is_whole => {
                return Err(FormationError::Replaced { address });
            }
            _ => self.known.insert(address, received.node),
        };
        // A node of the formed cluster can be trusted about it: the cluster was formed with this
        // node's own report.
        let is_sound = roster.get(&address) == Some(&received.node);
        if let Some(id) = received.cluster
            && own_id_there == Some(&self.node)
            && is_sound
        {
            self.formed = Some(Cluster::founded(id, &roster));
        }
        self.reports.insert(address, roster);
        Ok(())
    }

    /// Returns the cluster, once its members are agreed.
    pub(super) fn cluster(&self) -> Option<Cluster> {
        if self.formed.is_some() {
            return self.formed.clone();
        }
        let mut others = self.listed.iter().filter(|address| **address != self.address);
        let agreed = others.all(|address| self.reports.get(address) == Some(&self.known));
        (agreed && self.missing().next().is_none())
            .then(|| Cluster::founded(new_cluster_id(&self.known), &self.known))
    }
}

/// Returns the introduction of a node to nodes that do not know the cluster yet.
pub(super) fn introduction(
    address: IpAddr,
    node: NodeId,
    listed: &BTreeSet<IpAddr>,
    known: &Roster,
    cluster: Option<u64>,
) -> Introduction {
    let listed = listed.iter().copied().collect();
    let known = known.iter().map(|(address, node)| (*address, *node)).collect();
    Introduction { address, node, listed, known, cluster }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    fn list(lasts: &[u8]) -> BTreeSet<IpAddr> {
        lasts.iter().map(|last| ip(*last)).collect()
    }

    fn node(last: u8, listed: &[u8]) -> Formation {
        Formation::new(ip(last), NodeId(u64::from(last) * 100), list(listed))
    }

    fn tell(from: &Formation, to: &mut Formation) {
        to.hear(&from.introduction()).expect("the lists are equal");
    }

    #[test]
    fn the_missing_nodes_are_named() {
        let (mut a, mut b) = (node(1, &[1, 2, 3]), node(2, &[1, 2, 3]));
        assert_eq!(a.waits_for(), "waiting for 127.0.0.2, 127.0.0.3");
        tell(&b, &mut a);
        assert_eq!(a.waits_for(), "waiting for 127.0.0.3");
        tell(&node(3, &[1, 2, 3]), &mut a);
        let behind = "waiting for 127.0.0.2, 127.0.0.3 to have heard all the others";
        assert_eq!(a.waits_for(), behind);
        tell(&node(3, &[1, 2, 3]), &mut b);
        tell(&a, &mut b);
        tell(&b, &mut a);
        assert_eq!(a.waits_for(), "waiting for 127.0.0.3 to have heard all the others");
    }

    #[test]
    fn one_node_is_a_cluster_of_one() {
        let alone = node(1, &[1]);
        let cluster = alone.cluster().expect("it is formed");
        assert_eq!(cluster.roster(), Roster::from([(ip(1), NodeId(100))]));
    }

    #[test]
    fn a_cluster_forms_only_after_all_nodes_report_the_same_complete_set() {
        let (mut a, mut b) = (node(1, &[1, 2]), node(2, &[1, 2]));
        tell(&a, &mut b);
        assert_eq!(b.cluster(), None, "a has not reported b");
        tell(&b, &mut a);
        assert!(a.cluster().is_some(), "a knows b, and b reported a");
        tell(&a, &mut b);
        assert_eq!(a.cluster(), b.cluster());
    }

    #[test]
    fn different_lists_are_named_on_both_sides() {
        let (mut a, mut b) = (node(1, &[1, 2, 3]), node(2, &[1, 2]));
        let at_a = a.hear(&b.introduction()).expect_err("they differ").to_string();
        let at_b = b.hear(&a.introduction()).expect_err("they differ").to_string();
        assert!(at_a.contains("127.0.0.3 is listed at 127.0.0.1 but not at 127.0.0.2"), "{at_a}");
        assert!(at_b.contains("127.0.0.3 is listed at 127.0.0.1 but not at 127.0.0.2"), "{at_b}");
    }

    #[test]
    fn two_nodes_with_one_identity_form_no_cluster() {
        let mut a = node(1, &[1, 2, 3]);
        tell(&node(2, &[1, 2, 3]), &mut a);
        let copy = Formation::new(ip(3), NodeId(200), list(&[1, 2, 3]));
        let copied = FormationError::Copied { first: ip(2), second: ip(3) };
        assert_eq!(a.hear(&copy.introduction()), Err(copied));
        let copy = Formation::new(ip(3), NodeId(100), list(&[1, 2, 3]));
        let copied = FormationError::Copied { first: ip(1), second: ip(3) };
        assert_eq!(a.hear(&copy.introduction()), Err(copied));
    }

    #[test]
    fn the_formed_cluster_refuses_a_node_that_lost_its_identity() {
        let mut again = Formation::new(ip(2), NodeId(999), list(&[1, 2]));
        let known = Roster::from([(ip(1), NodeId(100)), (ip(2), NodeId(200))]);
        let received = introduction(ip(1), NodeId(100), &list(&[1, 2]), &known, Some(7));
        assert_eq!(again.hear(&received), Err(FormationError::LostIdentity { address: ip(1) }));
    }

    #[test]
    fn a_node_that_missed_the_formation_joins_the_formed_cluster() {
        let mut late = node(2, &[1, 2, 3]);
        let known =
            Roster::from([(ip(1), NodeId(100)), (ip(2), NodeId(200)), (ip(3), NodeId(300))]);
        let received = introduction(ip(1), NodeId(100), &list(&[1, 2, 3]), &known, Some(7));
        late.hear(&received).expect("it is a member");
        let cluster = Cluster::founded(7, &known);
        assert_eq!(late.cluster(), Some(cluster), "the id is the reported one");
    }

    #[test]
    fn the_id_of_a_new_cluster_is_the_same_in_every_release() {
        let known =
            Roster::from([(ip(1), NodeId(100)), (ip(2), NodeId(200)), (ip(3), NodeId(300))]);
        assert_eq!(new_cluster_id(&known), 0xde43_9d1e_bc0d_0fc2);
        assert_ne!(new_cluster_id(&Roster::new()), 0);
    }

    #[test]
    fn a_node_that_is_not_listed_does_not_count() {
        let (mut a, b) = (node(1, &[1, 2]), node(2, &[1, 2]));
        tell(&Formation::new(ip(9), NodeId(900), list(&[1, 2])), &mut a);
        assert_eq!(a.introduction().known, vec![(ip(1), NodeId(100))]);
        tell(&b, &mut a);
        let mut b = b;
        tell(&a, &mut b);
        tell(&b, &mut a);
        assert!(a.cluster().is_some(), "the cluster is formed");
    }

    #[test]
    fn no_other_node_can_introduce_this_node() {
        let mut a = node(1, &[1, 2]);
        tell(&Formation::new(ip(1), NodeId(900), list(&[1, 2])), &mut a);
        tell(&node(2, &[1, 2]), &mut a);
        assert!(a.introduction().known.contains(&(ip(1), NodeId(100))));
    }

    #[test]
    fn an_id_may_change_until_the_set_is_complete_and_is_an_error_after() {
        let (mut a, b) = (node(1, &[1, 2, 3]), node(2, &[1, 2, 3]));
        tell(&b, &mut a);
        let again = Formation::new(ip(2), NodeId(999), list(&[1, 2, 3]));
        tell(&again, &mut a);
        tell(&node(3, &[1, 2, 3]), &mut a);
        assert_eq!(a.hear(&b.introduction()), Err(FormationError::Replaced { address: ip(2) }));
    }
}
