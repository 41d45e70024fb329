//! The versioned map of a node, and the rules by which facts get into it (P5) and tombstones out
//! (P11).
//!
//! Invariant: a replica with `complete` = c holds exactly the state after decree c on all keys
//! whose latest version is at most c; a dropped tombstone reads as absent. It may hold newer
//! entries too. Invariant: `complete` and `floor` never go down, `floor` <= `complete`, and no
//! tombstone is at or below `floor`: an old one would hide from a full copy that its key was set
//! and deleted again since.

use std::borrow::Borrow;
use std::hash::Hash;
use std::ops::Bound;

use super::entries::Entries;
use super::members::MemberEntry;
use super::patch::{Decree, Entry, Page};
use crate::numbers::Slot;

/// How many slots below `complete` a tombstone must be to be dropped (P11; one less is not safe).
pub(super) const TOMBSTONE_DISTANCE: u64 = 2;

/// Whether a node that reflects all up to `complete` may drop tombstones up to `floor` (P11).
pub fn may_drop(floor: Slot, complete: Slot) -> bool {
    floor.0.checked_add(TOMBSTONE_DISTANCE).is_some_and(|least| least <= complete.0)
}

/// Whether `floor` can be that of a node that reflects all up to `complete`; zero if it dropped
/// nothing.
pub(super) fn may_have_dropped(floor: Slot, complete: Slot) -> bool {
    floor == Slot::ZERO || may_drop(floor, complete)
}

/// How far one page may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    /// A page ends once its entries reach this size.
    pub bytes: usize,
    /// A page ends once this many entries were looked at, those that it skips included.
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
    /// The replica that holds just these entries, for a start-up that reads them back. Tombstones
    /// at or below `floor`, which older versions left behind, are dropped (P11).
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

    /// The highest slot c such that every decree up to c is reflected here.
    pub fn complete(&self) -> Slot {
        self.complete
    }

    /// Tombstones of this version and below may have been dropped here.
    pub fn floor(&self) -> Slot {
        self.floor
    }

    /// The member set, if a decree has set it.
    pub fn members(&self) -> Option<&MemberEntry> {
        self.members.as_ref()
    }

    /// The value of `key`, if it has one.
    pub fn get<Q: ?Sized + Ord + Hash>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.living(key).and_then(|entry| entry.value.as_ref())
    }

    /// The entry of `key`, tombstones included.
    pub fn entry<Q: ?Sized + Ord + Hash>(&self, key: &Q) -> Option<&Entry<V>>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)
    }

    /// How many entries there are, tombstones included.
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// How many entries have values.
    pub fn living_count(&self) -> usize {
        self.entries.len() - self.entries.tombstone_count()
    }

    /// How many tombstones there are.
    pub fn tombstone_count(&self) -> usize {
        self.entries.tombstone_count()
    }

    /// All entries in order of keys, tombstones included.
    pub fn entries(&self) -> impl Iterator<Item = (&K, &Entry<V>)> {
        self.entries.iter()
    }

    /// The entries of a range of keys in order of keys, tombstones included.
    pub fn range<'a, Q: ?Sized + Ord>(
        &'a self,
        bounds: (Bound<&Q>, Bound<&Q>),
    ) -> impl Iterator<Item = (&'a K, &'a Entry<V>)> + use<'a, K, V, Q>
    where
        K: Borrow<Q>,
    {
        self.entries.range(bounds)
    }

    /// The entries of a range of keys that have values, in order of keys.
    pub(super) fn living_range<'a, Q: ?Sized + Ord>(
        &'a self,
        bounds: (Bound<&Q>, Bound<&Q>),
    ) -> impl DoubleEndedIterator<Item = (&'a K, &'a Entry<V>)> + use<'a, K, V, Q>
    where
        K: Borrow<Q>,
    {
        self.entries.living_range(bounds)
    }

    /// P5: reflects the decree of `slot`; nothing happens when it is reflected already.
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

    /// P5: takes in a fact; nothing happens when it is reflected already.
    pub(super) fn merge(&mut self, key: &K, entry: &Entry<V>) {
        if entry.version > self.complete {
            self.entries.keep_higher(key, entry.clone());
        }
    }

    /// Whether a member set is neither reflected here yet nor older than the one that is.
    pub(super) fn is_news(&self, entry: &MemberEntry) -> bool {
        let own = self.members.as_ref().map_or(Slot::ZERO, |own| own.version);
        entry.version > self.complete.max(own)
    }

    /// P5: takes in a member set; the one with the higher version stays.
    pub(super) fn merge_members(&mut self, entry: &MemberEntry) {
        if self.is_news(entry) {
            self.members = Some(entry.clone());
        }
    }

    /// Notes that every decree up to `slot` is reflected here; never goes down.
    pub(super) fn raise_complete(&mut self, slot: Slot) {
        self.complete = self.complete.max(slot);
    }

    /// P11: drops every tombstone of version `floor` and below.
    pub(super) fn drop_tombstones(&mut self, floor: Slot) {
        assert!(
            may_drop(floor, self.complete),
            "dropping tombstones up to {floor} with complete {}",
            self.complete
        );
        self.entries.drop_tombstones(floor);
        self.floor = self.floor.max(floor);
    }

    /// The version of the oldest tombstone.
    pub(super) fn oldest_tombstone(&self) -> Option<Slot> {
        self.entries.tombstone_versions().next()
    }

    /// The highest floor that is at most `wanted` and drops at most `most` tombstones, if it drops
    /// any.
    pub(super) fn floor_within(&self, wanted: Slot, most: usize) -> Option<Slot> {
        let oldest = self.oldest_tombstone().filter(|oldest| *oldest <= wanted)?;
        let reached = match self.entries.tombstone_versions().nth(most) {
            Some(version) => wanted.min(version.previous()),
            None => wanted,
        };
        // One slot may hold more tombstones than `most`: they still go together, or none ever
        // would.
        Some(reached.max(oldest))
    }

    /// The entries after key `after` with a version above `above`, as far as one page goes.
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

    /// What a full copy says by silence (P3, P10): tombstones of version `at` for the own live
    /// entries that `page`, the keys after `after`, lacks and that are not newer than `at`. A page
    /// of few entries may be silent of any number: where more than `most` of the own are there, it
    /// is cut to end with the last of those that were looked at.
    pub(super) fn silent_deletions(
        &self,
        after: Option<&K>,
        page: &mut Page<K, V>,
        at: Slot,
        most: usize,
    ) -> Vec<(K, Entry<V>)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let end = page.next.clone();
        let end = end.as_ref().map_or(Bound::Unbounded, Bound::Included);
        let mut own = self.entries.living_range((start, end));
        let (mut silent, mut last) = (Vec::new(), None);
        for (key, entry) in own.by_ref().take(most.max(1)) {
            let is_told = || page.entries.binary_search_by(|(other, _)| other.cmp(key)).is_ok();
            if entry.version <= at && !is_told() {
                silent.push((key.clone(), Entry { value: None, version: at }));
            }
            last = Some(key);
        }
        if let (Some(last), Some(_)) = (last, own.next()) {
            page.entries.retain(|(key, _)| key <= last);
            page.next = Some(last.clone());
        }
        silent
    }

    /// Returns the entries with a version of `from` or more in order of keys, and their size as
    /// `size` counts it; `None` where that is more than `max_bytes`.
    pub(super) fn entries_since(
        &self,
        from: Slot,
        max_bytes: usize,
        size: impl Fn(&K, Option<&V>) -> usize,
    ) -> Option<Vec<(K, Entry<V>)>> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for (key, entry) in self.entries.iter().filter(|(_, entry)| entry.version >= from) {
            bytes += size(key, entry.value.as_ref());
            if bytes > max_bytes {
                return None;
            }
            entries.push((key.clone(), entry.clone()));
        }
        Some(entries)
    }
}
