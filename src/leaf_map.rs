//! An ordered map of many short entries, for a store that is larger than the processor's caches.
//!
//! A search in a [`BTreeMap`] of a million entries reads several keys in each of five or six nodes,
//! and most of its time it waits for memory. Here a `BTreeMap` is only the index of leaves, which
//! have up to 64 entries each:
//!
//! ```text
//! index:  "a"            "m"                 small enough for a cache
//!          │              │
//!          v              v
//! tags:   3f 81 c0 ...   07 3f ...           one byte of each key's hash
//! rows:   a  b  e  ...   m  q  ...           keys and values, in ascending order
//! ```
//!
//! A search finds the leaf in the index, compares the key's tag with all tags of the leaf at once,
//! and reads only rows with the same tag. So it waits for memory twice: for the tags and for the
//! row. Keys that are inserted in ascending or descending order fill their leaves completely.

use std::borrow::Borrow;
use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Bound;
use std::slice;

/// An ordered map. Equal keys must have equal hashes, as in a `HashMap`.
#[derive(Clone)]
pub(crate) struct LeafMap<K, V, const CAPACITY: usize = 64> {
    /// The leaves, each under a key that is at most its first key and above all keys of the
    /// previous leaf. No leaf is empty.
    leaves: BTreeMap<K, Leaf<K, V, CAPACITY>>,
    len: usize,
}

/// A leaf of up to `CAPACITY` entries.
#[derive(Clone)]
struct Leaf<K, V, const CAPACITY: usize> {
    /// The tags of the keys in `rows`, in the same order; the rest of the array is unused.
    tags: [u8; CAPACITY],
    /// The entries in ascending order of keys.
    rows: Vec<(K, V)>,
}

impl<K, V, const CAPACITY: usize> Default for LeafMap<K, V, CAPACITY> {
    fn default() -> Self {
        LeafMap { leaves: BTreeMap::new(), len: 0 }
    }
}

impl<K, V, const CAPACITY: usize> LeafMap<K, V, CAPACITY> {
    /// Returns the number of entries.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns all entries in ascending order of keys.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.leaves.values().flat_map(|leaf| leaf.rows.iter().map(|(key, value)| (key, value)))
    }
}

impl<K: Ord + Hash + Clone, V, const CAPACITY: usize> LeafMap<K, V, CAPACITY> {
    /// Returns the value of `key`.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Ord + Hash + ?Sized,
    {
        let (_, leaf) = self.leaf(key)?;
        leaf.find(key).map(|row| &leaf.rows[row].1)
    }

    /// Returns the leaf that `key` belongs to; `None` if the key is below all leaves.
    fn leaf<Q>(&self, key: &Q) -> Option<(&K, &Leaf<K, V, CAPACITY>)>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.leaves.range((Bound::Unbounded, Bound::Included(key))).next_back()
    }

    /// Returns the value of `key` for a change.
    pub(crate) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Ord + Hash + ?Sized,
    {
        let leaf = leaf_mut(&mut self.leaves, key)?;
        leaf.find(key).map(|row| &mut leaf.rows[row].1)
    }

    /// Sets the value of `key`. A key above all others takes the shortest path.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if let Some(mut last) = self.leaves.last_entry()
            && last.get().rows.last().is_some_and(|(highest, _)| *highest < key)
            && last.get().rows.len() < CAPACITY
        {
            self.len += 1;
            let last = last.get_mut();
            return last.insert(last.rows.len(), key, value);
        }
        if self.leaves.first_key_value().is_none_or(|(first, _)| key < *first) {
            let first = self.leaves.pop_first().map_or_else(Leaf::new, |(_, leaf)| leaf);
            self.leaves.insert(key.clone(), first);
        }
        let leaf = leaf_mut(&mut self.leaves, &key).expect("the first leaf is not above the key");
        if let Some(row) = leaf.find(&key) {
            leaf.rows[row].1 = value;
            return;
        }
        self.len += 1;
        let row = leaf.rows.partition_point(|(other, _)| *other < key);
        if leaf.rows.len() < CAPACITY {
            return leaf.insert(row, key, value);
        }
        if row == CAPACITY {
            return self.insert_after_full(key, value);
        }
        let mut after = leaf.split();
        match row.checked_sub(CAPACITY / 2) {
            Some(row) => after.insert(row, key, value),
            None => leaf.insert(row, key, value),
        }
        let first = after.rows[0].0.clone();
        self.leaves.insert(first, after);
    }

    /// Inserts an entry with a key above all keys of its leaf, which is full.
    ///
    /// It becomes the first entry of the next leaf if that has room. Otherwise each key of a
    /// descending sequence would get its own leaf.
    fn insert_after_full(&mut self, key: K, value: V) {
        let mut after = self.leaves.range::<K, _>((Bound::Excluded(&key), Bound::Unbounded));
        let next = after.next().filter(|(_, next)| next.rows.len() < CAPACITY);
        let next = next.map(|(first, _)| first.clone());
        let next = next.and_then(|first| self.leaves.remove(&first));
        let mut leaf = next.unwrap_or_else(Leaf::new);
        leaf.insert(0, key.clone(), value);
        self.leaves.insert(key, leaf);
    }

    /// Removes `key`, and returns its value.
    pub(crate) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Ord + Hash + ?Sized,
    {
        let leaf = leaf_mut(&mut self.leaves, key)?;
        let row = leaf.find(key)?;
        let (key, value) = leaf.remove(row);
        let is_sparse = leaf.rows.len() <= CAPACITY / 4;
        self.len -= 1;
        if is_sparse {
            self.join(&key);
        }
        Some(value)
    }

    /// Removes the leaf that `key` belongs to if it is empty, or joins it with a neighbour that has
    /// room.
    fn join(&mut self, key: &K) {
        let mut near = self.leaves.range::<K, _>((Bound::Unbounded, Bound::Included(key)));
        let Some((here, leaf)) = near.next_back() else { return };
        let (here, count) = (here.clone(), leaf.rows.len());
        if count == 0 {
            self.leaves.remove(&here);
            return;
        }
        let before = near.next_back();
        let after = self.leaves.range((Bound::Excluded(&here), Bound::Unbounded)).next();
        let has_room =
            |(_, leaf): &(&K, &Leaf<K, V, CAPACITY>)| count + leaf.rows.len() <= CAPACITY / 2;
        let (to, from) = match (before.filter(has_room), after.filter(has_room)) {
            (Some((before, _)), _) => (before.clone(), here),
            (None, Some((after, _))) => (here, after.clone()),
            (None, None) => return,
        };
        if let Some(from) = self.leaves.remove(&from)
            && let Some(to) = self.leaves.get_mut(&to)
        {
            to.append(from);
        }
    }

    /// Returns the entries between two bounds; no entries if the bounds are not in order.
    pub(crate) fn range<Q>(&self, bounds: (Bound<&Q>, Bound<&Q>)) -> Range<'_, K, V, CAPACITY>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let (from, to) = bounds;
        let first = match from {
            Bound::Included(key) | Bound::Excluded(key) => self.leaf(key),
            Bound::Unbounded => None,
        };
        let first = first.map_or(Bound::Unbounded, |(first, _)| Bound::Included(first.borrow()));
        let mut leaves = match (from, to) {
            (
                Bound::Included(from) | Bound::Excluded(from),
                Bound::Included(to) | Bound::Excluded(to),
            ) if from > to => {
                return Range {
                    front: [].iter(),
                    leaves: btree_map::Range::default(),
                    back: [].iter(),
                };
            }
            _ => self.leaves.range((first, to)),
        };
        let front = leaves.next().map_or(&[][..], |(_, leaf)| leaf.between(bounds));
        let back = leaves.next_back().map_or(&[][..], |(_, leaf)| leaf.between(bounds));
        Range { front: front.iter(), leaves, back: back.iter() }
    }
}

/// Returns [`LeafMap::leaf`] for a change. It borrows only the leaves, so that the caller can
/// change the other fields of the map.
fn leaf_mut<'a, K, Q, V, const CAPACITY: usize>(
    leaves: &'a mut BTreeMap<K, Leaf<K, V, CAPACITY>>,
    key: &Q,
) -> Option<&'a mut Leaf<K, V, CAPACITY>>
where
    K: Ord + Borrow<Q>,
    Q: Ord + ?Sized,
{
    leaves.range_mut((Bound::Unbounded, Bound::Included(key))).next_back().map(|(_, leaf)| leaf)
}

impl<K: Ord + Hash + Clone, V, const CAPACITY: usize> Leaf<K, V, CAPACITY> {
    fn new() -> Self {
        const { assert!(CAPACITY >= 2, "a full leaf is split into two") };
        Leaf { tags: [0; CAPACITY], rows: Vec::new() }
    }

    /// Returns the row of `key`.
    fn find<Q>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Ord + Hash + ?Sized,
    {
        memchr::memchr_iter(tag(key), &self.tags[..self.rows.len()])
            .find(|row| self.rows[*row].0.borrow() == key)
    }

    /// Inserts an entry before `row`. The caller has checked that there is room.
    fn insert(&mut self, row: usize, key: K, value: V) {
        let count = self.rows.len();
        if count == self.rows.capacity() {
            // Small steps save memory: nearly all memory of a store is in leaves.
            self.rows.reserve_exact((CAPACITY / 8).clamp(1, CAPACITY - count));
        }
        self.tags.copy_within(row..count, row + 1);
        self.tags[row] = tag(&key);
        self.rows.insert(row, (key, value));
    }

    fn remove(&mut self, row: usize) -> (K, V) {
        self.tags.copy_within(row + 1..self.rows.len(), row);
        let removed = self.rows.remove(row);
        if self.rows.capacity() - self.rows.len() >= CAPACITY / 4 {
            self.rows.shrink_to(self.rows.len() + CAPACITY / 8);
        }
        removed
    }

    /// Splits a full leaf, and returns its upper half as a leaf.
    fn split(&mut self) -> Self {
        let mut after = Leaf::new();
        after.tags[..CAPACITY - CAPACITY / 2].copy_from_slice(&self.tags[CAPACITY / 2..]);
        after.rows = self.rows.split_off(CAPACITY / 2);
        self.rows.shrink_to(CAPACITY / 2 + CAPACITY / 8);
        after
    }

    /// Adds the entries of the next leaf. The caller has checked that there is room.
    fn append(&mut self, mut next: Self) {
        let (count, more) = (self.rows.len(), next.rows.len());
        self.tags[count..count + more].copy_from_slice(&next.tags[..more]);
        self.rows.reserve_exact(more);
        self.rows.append(&mut next.rows);
    }

    /// Returns the entries between two bounds.
    fn between<Q>(&self, (from, to): (Bound<&Q>, Bound<&Q>)) -> &[(K, V)]
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let from = match from {
            Bound::Included(key) => self.rows.partition_point(|(other, _)| other.borrow() < key),
            Bound::Excluded(key) => self.rows.partition_point(|(other, _)| other.borrow() <= key),
            Bound::Unbounded => 0,
        };
        let to = match to {
            Bound::Included(key) => self.rows.partition_point(|(other, _)| other.borrow() <= key),
            Bound::Excluded(key) => self.rows.partition_point(|(other, _)| other.borrow() < key),
            Bound::Unbounded => self.rows.len(),
        };
        self.rows.get(from..to).unwrap_or_default()
    }
}

impl<K: Ord + Hash + Clone, V, const CAPACITY: usize> FromIterator<(K, V)>
    for LeafMap<K, V, CAPACITY>
{
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = LeafMap::default();
        entries.into_iter().for_each(|(key, value)| map.insert(key, value));
        map
    }
}

impl<K: PartialEq, V: PartialEq, const CAPACITY: usize> PartialEq for LeafMap<K, V, CAPACITY> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq, const CAPACITY: usize> Eq for LeafMap<K, V, CAPACITY> {}

impl<K: fmt::Debug, V: fmt::Debug, const CAPACITY: usize> fmt::Debug for LeafMap<K, V, CAPACITY> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Entries of a [`LeafMap`] in ascending order of keys.
pub(crate) struct Range<'a, K, V, const CAPACITY: usize> {
    /// The rest of the leaf at the front.
    front: slice::Iter<'a, (K, V)>,
    /// The leaves between `front` and `back`.
    leaves: btree_map::Range<'a, K, Leaf<K, V, CAPACITY>>,
    /// The rest of the leaf at the back.
    back: slice::Iter<'a, (K, V)>,
}

impl<'a, K, V, const CAPACITY: usize> Iterator for Range<'a, K, V, CAPACITY> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.front.next() {
                return Some((key, value));
            }
            match self.leaves.next() {
                Some((_, leaf)) => self.front = leaf.rows.iter(),
                None => return self.back.next().map(|(key, value)| (key, value)),
            }
        }
    }
}

impl<K, V, const CAPACITY: usize> DoubleEndedIterator for Range<'_, K, V, CAPACITY> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.back.next_back() {
                return Some((key, value));
            }
            match self.leaves.next_back() {
                Some((_, leaf)) => self.back = leaf.rows.iter(),
                None => return self.front.next_back().map(|(key, value)| (key, value)),
            }
        }
    }
}

/// Returns the tag of a key: one byte of its hash, which two keys seldom share.
///
/// If keys are chosen so that they share a tag, a search compares at most all keys of one leaf.
fn tag<Q: Hash + ?Sized>(key: &Q) -> u8 {
    let mut tagger = Tagger(0);
    key.hash(&mut tagger);
    tagger.finish().to_be_bytes()[0]
}

/// A hasher that mixes eight bytes with one multiplication. The highest byte is mixed best.
struct Tagger(u64);

impl Hasher for Tagger {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        words.iter().for_each(|word| self.write_u64(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(last));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

#[cfg(test)]
#[path = "leaf_map_tests.rs"]
mod tests;
