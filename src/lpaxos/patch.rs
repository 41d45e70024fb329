//! Patches, the decrees and proposals that contain them, and the versioned entries that they write.
//!
//! The version of an entry is the slot of the decree that wrote it. Merging keeps, key by key, the
//! entry with the higher version; so it is associative, commutative and idempotent, and replicas
//! need not apply patches in order.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::members::MemberSet;
use crate::numbers::{Ballot, ProposalId, Slot};

/// The most bytes of a patch that is built from the entries of a replica (P3), as
/// [`Machine::size`](super::Machine::size) counts them. The patch of a batch has fewer.
pub const MAX_PATCH_BYTES: usize = 6 << 20;

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
    /// Returns the patch with these writes.
    pub fn new(writes: BTreeMap<K, Option<V>>) -> Patch<K, V> {
        Patch { writes: writes.into_iter().collect() }
    }

    /// Returns the patch with these writes; `None` if they are not in strictly ascending order of
    /// keys.
    pub fn from_sorted(writes: Vec<(K, Option<V>)>) -> Option<Patch<K, V>> {
        writes.is_sorted_by(|a, b| a.0 < b.0).then_some(Patch { writes })
    }

    /// Returns the writes in ascending order of keys.
    pub fn writes(&self) -> &[(K, Option<V>)] {
        &self.writes
    }

    /// Returns what the patch writes to `key`: `Some(None)` is a deletion; `None` if it does not
    /// write the key.
    pub fn get<Q: ?Sized + Ord>(&self, key: &Q) -> Option<&Option<V>>
    where
        K: Borrow<Q>,
    {
        let at = self.writes.binary_search_by(|(other, _)| other.borrow().cmp(key));
        at.ok().map(|at| &self.writes[at].1)
    }

    /// Returns the writes of a range of keys.
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

    /// Whether the patch writes nothing.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

/// A value, or the tombstone of a deleted key, with the slot that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<V> {
    /// The value; `None` for a tombstone.
    pub value: Option<V>,
    /// The slot that wrote it.
    pub version: Slot,
}

/// What consensus decides for a slot: the writes, and the member set if it changes. A clone shares
/// both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decree<K, V> {
    /// The writes.
    pub patch: Arc<Patch<K, V>>,
    /// The members from the next slot on; `None` if they do not change.
    pub members: Option<MemberSet>,
}

impl<K, V> From<Arc<Patch<K, V>>> for Decree<K, V> {
    /// Returns the decree of this patch, which does not change the members.
    fn from(patch: Arc<Patch<K, V>>) -> Decree<K, V> {
        Decree { patch, members: None }
    }
}

/// A decree proposed in a ballot for a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal<K, V> {
    /// The ballot in which it is proposed.
    pub ballot: Ballot,
    /// The slot for which it is proposed.
    pub slot: Slot,
    /// The decree.
    pub decree: Decree<K, V>,
}

impl<K, V> Proposal<K, V> {
    /// Returns the id of the proposal.
    pub fn id(&self) -> ProposalId {
        ProposalId { ballot: self.ballot, slot: self.slot }
    }
}

/// A part of a replica's entries, in ascending order of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<K, V> {
    /// The entries. A page can be empty even if more pages follow.
    pub entries: Vec<(K, Entry<V>)>,
    /// The key up to which the page covers all keys, if more pages follow; `None` on the last page.
    pub next: Option<K>,
}

impl<K: Ord, V> Page<K, V> {
    /// Whether this is a valid page after the key `after`: its keys are ascending, above `after`
    /// and at most `next`.
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
