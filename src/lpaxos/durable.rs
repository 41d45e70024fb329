//! The state that a node must not lose, and the records by which it changes.
//!
//! Every change of the durable state is a [`Record`]. The running node and a start that replays the
//! journal apply records by the same function, so they cannot come to different states.

use std::hash::Hash;

use super::members::MemberEntry;
use super::patch::{Decree, Entry, Proposal};
use super::replica::Replica;
use crate::numbers::{Ballot, ProposalId, Slot};

/// The durable state of a node, without its identity.
///
/// Invariant: `promised` >= `accepted.ballot`; `promised`, `accepted.slot`, `complete` and `floor`
/// never go down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durable<K, V> {
    /// The highest ballot promised.
    pub promised: Ballot,
    /// The greatest proposal accepted; `None` while the node has accepted none.
    pub accepted: Option<Proposal<K, V>>,
    /// The versioned map, with `complete`, `floor` and the member set.
    pub replica: Replica<K, V>,
}

/// One change of the durable state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<K, V> {
    /// Promise the ballot (P1, P2, P4, P8, P10).
    Promise(Ballot),
    /// Accept the proposal (P4).
    Accept(Proposal<K, V>),
    /// Apply the accepted proposal, which is for this slot and is chosen (P4, P9). The decree
    /// itself is in the record that accepted it.
    ApplyAccepted(Slot),
    /// Apply this chosen decree (P4, P10).
    Apply(Slot, Decree<K, V>),
    /// Merge these facts (P3, P10).
    Merge(Vec<(K, Entry<V>)>),
    /// Merge this member set (P3, P10).
    Members(MemberEntry),
    /// Raise `complete`: every decree up to the slot is reflected (P3, P10).
    RaiseComplete(Slot),
    /// Drop tombstones up to the slot, and raise `floor` to it (P11; after a full copy P3 and P10).
    DropTombstones(Slot),
}

impl<K: Ord + Hash + Clone, V: Clone> Default for Durable<K, V> {
    fn default() -> Self {
        Durable { promised: Ballot::ZERO, accepted: None, replica: Replica::default() }
    }
}

impl<K: Ord + Hash + Clone, V: Clone> Durable<K, V> {
    /// Returns the slot of the accepted proposal; zero if there is no accepted proposal.
    pub fn accepted_slot(&self) -> Slot {
        self.accepted.as_ref().map_or(Slot::ZERO, |proposal| proposal.slot)
    }

    /// Returns the id of the accepted proposal; [`ProposalId::ZERO`] if there is none.
    pub fn accepted_id(&self) -> ProposalId {
        self.accepted.as_ref().map_or(ProposalId::ZERO, Proposal::id)
    }

    /// Applies one record.
    ///
    /// # Panics
    /// When the record breaks an invariant: the node that made it is faulty and must not go on.
    pub fn change(&mut self, record: &Record<K, V>) {
        match record {
            Record::Promise(ballot) => {
                assert!(*ballot >= self.promised, "promise {ballot} below {}", self.promised);
                self.promised = *ballot;
            }
            Record::Accept(proposal) => {
                assert!(proposal.ballot == self.promised, "accept outside the promised ballot");
                assert!(proposal.slot >= self.accepted_slot(), "accept below the accepted slot");
                self.accepted = Some(proposal.clone());
            }
            Record::ApplyAccepted(slot) => {
                let accepted = self.accepted.as_ref().filter(|proposal| proposal.slot == *slot);
                let accepted = accepted.expect("the applied proposal is accepted");
                self.replica.apply(*slot, &accepted.decree);
            }
            Record::Apply(slot, decree) => self.replica.apply(*slot, decree),
            Record::Merge(entries) => {
                for (key, entry) in entries {
                    self.replica.merge(key, entry);
                }
            }
            Record::Members(entry) => self.replica.merge_members(entry),
            Record::RaiseComplete(slot) => self.replica.raise_complete(*slot),
            Record::DropTombstones(floor) => self.replica.drop_tombstones(*floor),
        }
    }
}
