//! The versioned map of a node: how facts are merged into it (P5) and how tombstones are dropped
//! (P11).
//!
//! A fact is an effect of a chosen decree: a patch with its slot, or an entry with its version.
//!
//! Invariant: a replica with `complete` = c holds exactly the state after decree c on all keys with
//! a latest version of at most c, where a dropped tombstone reads as absent. It may hold newer
//! entries too.
//! Invariant: `complete` and `floor` never go down, and `floor` <= `complete`.
//! Invariant: no tombstone has a version at or below `floor`. In a full copy made from this replica
//! an old tombstone would hide that its key was set and deleted again since.

use std::borrow::Borrow;
use std::hash::Hash;
use std::ops::Bound;
use std::sync::Arc;

use super::entries::Entries;
use super::members::MemberEntry;
use super::patch::{Decree, Entry, Page, Patch};
use crate::numbers::Slot;

/// How many slots below `complete` the version of a tombstone must be before the tombstone may be
/// dropped (P11). One slot less is not safe.
pub(super) const TOMBSTONE_DISTANCE: u64 = 2;

/// Whether a node that reflects every decree up to `complete` may drop tombstones up to `floor`
/// (P11).
pub fn may_drop(floor: Slot, complete: Slot) -> bool {
    floor.0.checked_add(TOMBSTONE_DISTANCE).is_some_and(|min| min <= complete.0)
}

/// Whether `floor` is possible for a node that reflects every decree up to `complete`. A node that
/// dropped no tombstone has the floor zero.
pub(super) fn may_have_dropped(floor: Slot, complete: Slot) -> bool {
    floor == Slot::ZERO || may_drop(floor, complete)
}

/// The bounds of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    /// A page ends once its entries have this many bytes.
    pub bytes: usize,
    /// A page ends once this many entries were examined, skipped ones included.
    pub examined: usize,
}

/// The versioned map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica<K, V> {
    entries: Entries<K, V>,
    /// `None` until a decree sets the members.
    members: Option<MemberEntry>,
    complete: Slot,
    floor: Slot,
}

impl<K: Ord + Hash + Clone, V: Clone> Default for Replica<K, V> {
    fn default() -> Self {
        Replica {
            entries: Entries::default(),
            members: None,
            complete: Slot::ZERO,
            floor: Slot::ZERO,
        }
    }
}

impl<K: Ord + Hash + Clone, V: Clone> Replica<K, V> {
    /// Returns the replica with these entries, for a start that reads them from disk. Tombstones at
    /// or below `floor`, which older releases kept, are dropped (P11).
    ///
    /// # Panics
    /// When `floor` is above `complete`.
    pub fn restore(
        mut entries: Entries<K, V>,
        members: Option<MemberEntry>,
        complete: Slot,
        floor: Slot,
    ) -> Replica<K, V> {
        assert!(floor <= complete, "floor {floor} above complete {complete}");
        entries.drop_tombstones(floor);
        Replica { entries, members, complete, floor }
    }

    /// Returns `complete`: the highest slot c such that every decree up to c is reflected here.
    pub fn complete(&self) -> Slot {
        self.complete
    }

    /// Returns `floor`: tombstones with this version or a lower one may have been dropped here.
    pub fn floor(&self) -> Slot {
        self.floor
    }

    /// Returns the member set, if a decree has set it.
    pub fn members(&self) -> Option<&MemberEntry> {
        self.members.as_ref()
    }

    /// Returns the value of `key`, if it has one.
    pub fn get<Q: ?Sized + Ord + Hash>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.living(key).and_then(|entry| entry.value.as_ref())
    }

    /// Returns the entry of `key`, which may be a tombstone.
    pub fn entry<Q: ?Sized + Ord + Hash>(&self, key: &Q) -> Option<&Entry<V>>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)
    }

    /// Returns the number of entries, tombstones included.
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// Returns the number of entries with a value.
    pub fn living_count(&self) -> usize {
        self.entries.len() - self.entries.tombstone_count()
    }

    /// Returns the number of tombstones.
    pub fn tombstone_count(&self) -> usize {
        self.entries.tombstone_count()
    }

    /// Returns all entries in key order, tombstones included.
    pub fn entries(&self) -> impl Iterator<Item = (&K, &Entry<V>)> {
        self.entries.iter()
    }

    /// Returns the entries of a range of keys in key order, tombstones included.
    pub fn range<'a, Q: ?Sized + Ord>(
        &'a self,
        bounds: (Bound<&Q>, Bound<&Q>),
    ) -> impl Iterator<Item = (&'a K, &'a Entry<V>)> + use<'a, K, V, Q>
    where
        K: Borrow<Q>,
    {
        self.entries.range(bounds)
    }

    /// Returns the entries with a value of a range of keys, in key order.
    pub(super) fn living_range<'a, Q: ?Sized + Ord>(
        &'a self,
        bounds: (Bound<&Q>, Bound<&Q>),
    ) -> impl DoubleEndedIterator<Item = (&'a K, &'a Entry<V>)> + use<'a, K, V, Q>
    where
        K: Borrow<Q>,
    {
        self.entries.living_range(bounds)
    }

    /// Applies the decree of `slot`, unless it is reflected already (P5).
    pub(super) fn apply(&mut self, slot: Slot, decree: &Decree<K, V>) {
        if slot <= self.complete {
            return;
        }
        for (key, value) in decree.patch.writes() {
            self.entries.keep_higher(key, Entry { value: value.clone(), version: slot });
        }
        if let Some(members) = &decree.members {
            self.merge_members(&MemberEntry { members: members.clone(), version: slot });
        }
        if self.complete.next() == slot {
            self.complete = slot;
        }
    }

    /// Merges an entry, unless its version is reflected already (P5).
    pub(super) fn merge(&mut self, key: &K, entry: &Entry<V>) {
        if entry.version > self.complete {
            self.entries.keep_higher(key, entry.clone());
        }
    }

    /// Whether the version of a member set is above `complete` and above that of the set held here.
    pub(super) fn is_news(&self, entry: &MemberEntry) -> bool {
        let own = self.members.as_ref().map_or(Slot::ZERO, |own| own.version);
        entry.version > self.complete.max(own)
    }

    /// Merges a member set: the set with the higher version is kept (P5).
    pub(super) fn merge_members(&mut self, entry: &MemberEntry) {
        if self.is_news(entry) {
            self.members = Some(entry.clone());
        }
    }

    /// Raises `complete` to `slot`, because every decree up to it is reflected here. A lower slot
    /// changes nothing.
    pub(super) fn raise_complete(&mut self, slot: Slot) {
        self.complete = self.complete.max(slot);
    }

    /// Drops every tombstone with the version `floor` or a lower one (P11).
    ///
    /// # Panics
    /// When P11 does not allow it for this `complete` ([`may_drop`]).
    pub(super) fn drop_tombstones(&mut self, floor: Slot) {
        assert!(
            may_drop(floor, self.complete),
            "dropping tombstones up to {floor} with complete {}",
            self.complete
        );
        self.entries.drop_tombstones(floor);
        self.floor = self.floor.max(floor);
    }

    /// Returns the version of the oldest tombstone.
    pub(super) fn oldest_tombstone(&self) -> Option<Slot> {
        self.entries.tombstone_versions().next()
    }

    /// Returns the highest floor that is at most `wanted` and drops at most `max_dropped`
    /// tombstones, or those of the oldest slot if they are more; `None` if no floor up to `wanted`
    /// drops any.
    pub(super) fn floor_within(&self, wanted: Slot, max_dropped: usize) -> Option<Slot> {
        let oldest = self.oldest_tombstone().filter(|oldest| *oldest <= wanted)?;
        let reached = match self.entries.tombstone_versions().nth(max_dropped) {
            Some(version) => wanted.min(version.previous()),
            None => wanted,
        };
        // One slot can have more tombstones than `max_dropped`. They are dropped together, as
        // otherwise no tombstone would ever be dropped again.
        Some(reached.max(oldest))
    }

    /// Returns the entries after the key `after` with a version above `above`, within `limits`.
    /// `size` returns the bytes of an entry.
    pub fn page(
        &self,
        after: Option<&K>,
        above: Slot,
        limits: PageLimits,
        size: impl Fn(&K, Option<&V>) -> usize,
    ) -> Page<K, V> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut last: Option<&K> = None;
        for (examined, (key, entry)) in self.entries.range((start, Bound::Unbounded)).enumerate() {
            if examined >= limits.examined || bytes >= limits.bytes {
                return Page { entries, next: last.cloned() };
            }
            if entry.version > above {
                bytes += size(key, entry.value.as_ref());
                entries.push((key.clone(), entry.clone()));
            }
            last = Some(key);
        }
        Page { entries, next: None }
    }

    /// Returns the deletions that a page of a full copy implies (P3, P10): a tombstone of version
    /// `at` for each living entry of this replica that lies in the key range of the page, has a
    /// version of at most `at`, and is missing from the page.
    ///
    /// `page` covers the keys after `after`. A page with few entries can imply any number of
    /// deletions. So at most `max_examined` entries of this replica are examined; if there are
    /// more, the page is cut to end with the last one examined.
    pub(super) fn implied_deletions(
        &self,
        after: Option<&K>,
        page: &mut Page<K, V>,
        at: Slot,
        max_examined: usize,
    ) -> Vec<(K, Entry<V>)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let end = page.next.clone();
        let end = end.as_ref().map_or(Bound::Unbounded, Bound::Included);
        let mut own = self.entries.living_range((start, end));
        let (mut deleted, mut last) = (Vec::new(), None);
        for (key, entry) in own.by_ref().take(max_examined.max(1)) {
            let is_in_page = || page.entries.binary_search_by(|(other, _)| other.cmp(key)).is_ok();
            if entry.version <= at && !is_in_page() {
                deleted.push((key.clone(), Entry { value: None, version: at }));
            }
            last = Some(key);
        }
        if let (Some(last), Some(_)) = (last, own.next()) {
            page.entries.retain(|(key, _)| key <= last);
            page.next = Some(last.clone());
        }
        deleted
    }

    /// Returns the decree of `slot`, rebuilt from the entries with that version. What later decrees
    /// overwrote is missing from it.
    pub(super) fn decree_of(&self, slot: Slot) -> Decree<K, V> {
        let writes = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.version == slot)
            .map(|(key, entry)| (key.clone(), entry.value.clone()))
            .collect();
        let members = self.members.as_ref().filter(|entry| entry.version == slot);
        Decree {
            patch: Arc::new(Patch::new(writes)),
            members: members.map(|entry| entry.members.clone()),
        }
    }
}
