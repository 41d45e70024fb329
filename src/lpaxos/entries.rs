//! The entries of a replica by key.
//!
//! Tombstones are kept apart from living entries (entries with a value), so that a scan of living
//! entries does not step over tombstones. For example, a program that uses a range of keys as a
//! queue deletes its first key again and again; the next scan still begins with a living entry.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::hash::Hash;
use std::iter::Peekable;
use std::ops::Bound;

use super::patch::Entry;
use crate::leaf_map::LeafMap;
use crate::numbers::Slot;

/// A map from keys to entries.
///
/// Invariant: no key is both in `living` and in `tombstones`; `tombstones` and `by_version` hold
/// the same tombstones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries<K, V> {
    living: LeafMap<K, Entry<V>>,
    tombstones: LeafMap<K, Entry<V>>,
    /// The tombstones by version, so that old ones are found without a scan.
    by_version: BTreeSet<(Slot, K)>,
}

impl<K: Ord + Hash + Clone, V> Default for Entries<K, V> {
    fn default() -> Self {
        Entries {
            living: LeafMap::default(),
            tombstones: LeafMap::default(),
            by_version: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Hash + Clone, V> Entries<K, V> {
    /// Returns the number of entries, tombstones included.
    pub fn len(&self) -> usize {
        self.living.len() + self.tombstones.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of tombstones.
    pub(super) fn tombstone_count(&self) -> usize {
        self.tombstones.len()
    }

    /// Returns the entry of `key`, if it has a value.
    pub(super) fn living<Q: ?Sized + Ord + Hash>(&self, key: &Q) -> Option<&Entry<V>>
    where
        K: Borrow<Q>,
    {
        self.living.get(key)
    }

    /// Returns the entry of `key`, which may be a tombstone.
    pub(super) fn get<Q: ?Sized + Ord + Hash>(&self, key: &Q) -> Option<&Entry<V>>
    where
        K: Borrow<Q>,
    {
        self.living.get(key).or_else(|| self.tombstones.get(key))
    }

    /// Sets the entry of `key`, unless it has one with the same or a higher version.
    pub(super) fn keep_higher(&mut self, key: &K, entry: Entry<V>) {
        if let Some(held) = self.living.get_mut(key) {
            if held.version >= entry.version {
                return;
            }
            if entry.value.is_some() {
                *held = entry;
                return;
            }
            self.living.remove(key);
        } else if let Some(held) = self.tombstones.get(key) {
            if held.version >= entry.version {
                return;
            }
            self.by_version.remove(&(held.version, key.clone()));
            if entry.value.is_some() {
                self.tombstones.remove(key);
            }
        }
        self.add(key.clone(), entry);
    }

    /// Sets the entry of a key that has none. This is fastest for a key above all others.
    pub fn add(&mut self, key: K, entry: Entry<V>) {
        if entry.value.is_some() {
            self.living.insert(key, entry);
        } else {
            self.by_version.insert((entry.version, key.clone()));
            self.tombstones.insert(key, entry);
        }
    }

    /// Drops every tombstone with the version `floor` or a lower one.
    pub(super) fn drop_tombstones(&mut self, floor: Slot) {
        while let Some((version, _)) = self.by_version.first() {
            if *version > floor {
                break;
            }
            if let Some((_, key)) = self.by_version.pop_first() {
                self.tombstones.remove(&key);
            }
        }
    }

    /// Returns the versions of the tombstones, the oldest first.
    pub(super) fn tombstone_versions(&self) -> impl Iterator<Item = Slot> {
        self.by_version.iter().map(|(version, _)| *version)
    }

    /// Returns all entries in key order, tombstones included.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &Entry<V>)> {
        in_order(self.living.iter(), self.tombstones.iter())
    }

    /// Returns the entries of a range of keys in key order, tombstones included.
    pub(super) fn range<'a, Q: ?Sized + Ord>(
        &'a self,
        bounds: (Bound<&Q>, Bound<&Q>),
    ) -> impl Iterator<Item = (&'a K, &'a Entry<V>)> + use<'a, K, V, Q>
    where
        K: Borrow<Q>,
    {
        in_order(self.living.range(bounds), self.tombstones.range(bounds))
    }

    /// Returns the living entries of a range of keys in key order.
    pub(super) fn living_range<'a, Q: ?Sized + Ord>(
        &'a self,
        bounds: (Bound<&Q>, Bound<&Q>),
    ) -> impl DoubleEndedIterator<Item = (&'a K, &'a Entry<V>)> + use<'a, K, V, Q>
    where
        K: Borrow<Q>,
    {
        self.living.range(bounds)
    }
}

/// Collects entries with distinct keys. This is fastest in ascending order of keys.
impl<K: Ord + Hash + Clone, V> FromIterator<(K, Entry<V>)> for Entries<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, Entry<V>)>>(entries: I) -> Self {
        let mut all = Entries::default();
        entries.into_iter().for_each(|(key, entry)| all.add(key, entry));
        all
    }
}

/// Merges two iterators of entries in key order into one. They have no key in common.
fn in_order<'a, K, V, A, B>(a: A, b: B) -> InOrder<A, B>
where
    K: 'a,
    V: 'a,
    A: Iterator<Item = (&'a K, &'a V)>,
    B: Iterator<Item = (&'a K, &'a V)>,
{
    InOrder { a: a.peekable(), b: b.peekable() }
}

struct InOrder<A: Iterator, B: Iterator> {
    a: Peekable<A>,
    b: Peekable<B>,
}

impl<'a, K, V, A, B> Iterator for InOrder<A, B>
where
    K: Ord + 'a,
    V: 'a,
    A: Iterator<Item = (&'a K, &'a V)>,
    B: Iterator<Item = (&'a K, &'a V)>,
{
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        match (self.a.peek(), self.b.peek()) {
            (Some((a, _)), Some((b, _))) if b < a => self.b.next(),
            (None, _) => self.b.next(),
            _ => self.a.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type Model = BTreeMap<u8, Entry<u32>>;

    /// An entry to set, as its key, its version and whether it has a value; or a floor to drop
    /// tombstones up to.
    type Step = Result<(u8, u64, bool), u64>;

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..20_u8, 1..60_u64, any::<bool>()).prop_map(Ok),
            1 => (0..60_u64).prop_map(Err),
        ]
    }

    fn keep_higher(model: &mut Model, key: u8, entry: Entry<u32>) {
        if model.get(&key).is_none_or(|held| held.version < entry.version) {
            model.insert(key, entry);
        }
    }

    proptest! {
        #[test]
        fn living_entries_and_tombstones_together_equal_one_map(
            steps in vec(step(), 0..100),
            from in 0..20_u8,
            to in 0..20_u8,
        ) {
            let (mut entries, mut model) = (Entries::default(), Model::new());
            for (step, value) in steps.into_iter().zip(0..) {
                match step {
                    Ok((key, version, lives)) => {
                        let entry = Entry { value: lives.then_some(value), version: Slot(version) };
                        entries.keep_higher(&key, entry.clone());
                        keep_higher(&mut model, key, entry);
                    }
                    Err(floor) => {
                        entries.drop_tombstones(Slot(floor));
                        model.retain(|_, held| held.value.is_some() || held.version > Slot(floor));
                    }
                }
            }
            let bounds = (Bound::Excluded(&from), Bound::Included(&to));
            let within = |key: &u8| from < *key && *key <= to;
            let is_living = |entry: &Entry<u32>| entry.value.is_some();
            prop_assert!(entries.iter().eq(model.iter()));
            prop_assert!(entries.range(bounds).eq(model.iter().filter(|(key, _)| within(key))));
            let living = model.iter().filter(|(key, entry)| within(key) && is_living(entry));
            prop_assert!(entries.living_range(bounds).rev().eq(living.rev()));
            for key in 0..20 {
                prop_assert_eq!(entries.get(&key), model.get(&key));
                prop_assert_eq!(entries.living(&key), model.get(&key).filter(|e| is_living(e)));
            }
            let tombstones = model.values().filter(|entry| !is_living(entry));
            let mut versions: Vec<Slot> = tombstones.map(|entry| entry.version).collect();
            versions.sort_unstable();
            prop_assert_eq!(entries.len(), model.len());
            prop_assert_eq!(entries.tombstone_count(), versions.len());
            prop_assert!(entries.tombstone_versions().eq(versions));
            let restored: Entries<u8, u32> = model.into_iter().collect();
            prop_assert_eq!(restored, entries);
        }
    }
}
