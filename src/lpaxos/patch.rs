//! Decrees, what they do to the state, and the versioned entries that remain of them.
//!
//! The version of an entry is the slot of the decree that wrote it. Merging keeps, key by key, the
//! higher version, so it is associative, commutative and idempotent, and replicas need not apply
//! patches in order.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::members::MemberSet;
use crate::numbers::{Ballot, ProposalId, Slot};

/// A patch that is put together from entries has at most so many bytes, counted as the machine
/// does; decrees have less.
pub const MOST_PATCH_BYTES: usize = 6 << 20;

/// The writes of one decree in ascending order of keys; `None` deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch<K, V> {
    writes: Vec<(K, Option<V>)>,
}

impl<K, V> Default for Patch<K, V> {
    fn default() -> Patch<K, V> {
        Patch { writes: Vec::new() }
    }
}

impl<K: Ord, V> Patch<K, V> {
    /// The patch that writes what the map holds.
    pub fn new(writes: BTreeMap<K, Option<V>>) -> Patch<K, V> {
        Patch { writes: writes.into_iter().collect() }
    }

    /// A patch from writes that should be in strictly ascending order of keys; `None` if they are
    /// not.
    pub fn from_sorted(writes: Vec<(K, Option<V>)>) -> Option<Patch<K, V>> {
        writes.is_sorted_by(|a, b| a.0 < b.0).then_some(Patch { writes })
    }

    /// The writes in ascending order of keys.
    pub fn writes(&self) -> &[(K, Option<V>)] {
        &self.writes
    }

    /// What it writes under `key`, if it does; `Some(None)` is a deletion.
    pub fn get<Q: ?Sized + Ord>(&self, key: &Q) -> Option<&Option<V>>
    where
        K: Borrow<Q>,
    {
        let at = self.writes.binary_search_by(|(other, _)| other.borrow().cmp(key));
        at.ok().map(|at| &self.writes[at].1)
    }

    /// The writes of a range of keys.
    pub fn range<Q: ?Sized + Ord>(&self, (from, to): (Bound<&Q>, Bound<&Q>)) -> &[(K, Option<V>)]
    where
        K: Borrow<Q>,
    {
        let below = |key: &Q| self.writes.partition_point(|(other, _)| other.borrow() < key);
        let up_to = |key: &Q| self.writes.partition_point(|(other, _)| other.borrow() <= key);
        let start = match from {
            Bound::Included(key) => below(key),
            Bound::Excluded(key) => up_to(key),
            Bound::Unbounded => 0,
        };
        let end = match to {
            Bound::Included(key) => up_to(key),
            Bound::Excluded(key) => below(key),
            Bound::Unbounded => self.writes.len(),
        };
        &self.writes[start..end.max(start)]
    }

    /// Whether it writes nothing.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

/// A value, or the tombstone of a deleted one, with the slot that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<V> {
    /// `None` is a tombstone.
    pub value: Option<V>,
    /// The slot that wrote it.
    pub version: Slot,
}

/// What is decided for a slot: the keys that are written, and the member set where that changes. A
/// clone shares both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decree<K, V> {
    /// The writes.
    pub patch: Arc<Patch<K, V>>,
    /// The members from the next slot on; `None` leaves them as they are.
    pub members: Option<MemberSet>,
}

impl<K, V> From<Arc<Patch<K, V>>> for Decree<K, V> {
    /// Returns the decree that writes this and leaves the members as they are.
    fn from(patch: Arc<Patch<K, V>>) -> Decree<K, V> {
        Decree { patch, members: None }
    }
}

/// A decree proposed in a ballot for a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal<K, V> {
    /// Whose owner proposed it.
    pub ballot: Ballot,
    /// The place it is proposed for.
    pub slot: Slot,
    /// The decree.
    pub decree: Decree<K, V>,
}

impl<K, V> Proposal<K, V> {
    /// Names the proposal.
    pub fn id(&self) -> ProposalId {
        ProposalId { ballot: self.ballot, slot: self.slot }
    }
}

/// A run of versioned entries in ascending order of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<K, V> {
    /// The entries; there may be none although more pages follow.
    pub entries: Vec<(K, Entry<V>)>,
    /// The page covers keys up to this one, and more pages follow; `None` on the last page.
    pub next: Option<K>,
}

impl<K: Ord, V> Page<K, V> {
    /// Whether this may be the page after key `after`: ascending, beyond `after`, and not beyond
    /// `next`.
    pub fn follows(&self, after: Option<&K>) -> bool {
        let first = self.entries.first().map(|(key, _)| key);
        let last = self.entries.last().map(|(key, _)| key);
        let beyond = |key: Option<&K>| key.is_none() || after.is_none() || key > after;
        self.entries.is_sorted_by(|a, b| a.0 < b.0)
            && beyond(first)
            && beyond(self.next.as_ref())
            && (self.next.is_none() || last <= self.next.as_ref())
    }
}
