//! An ordered map of many short entries, for a store whose entries are in no cache.
//!
//! A search in a [`BTreeMap`] of them looks at some keys in each of five or six nodes, and most of what it
//! takes is waiting for memory. Here a `BTreeMap` leads to leaves of up to 64 entries, and of a million
//! entries it is so small that it stays in a cache. In a leaf a byte of each key's hash, its tag, says
//! where to look: so a search waits for the tags and for the entry, and for nothing else. And leaves
//! above all others are full once they were filled in order.

use std::borrow::Borrow;
use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Bound;
use std::slice;

/// An ordered map. Equal keys have equal hashes, as in a `HashMap`.
#[derive(Clone)]
pub(crate) struct LeafMap<K, V, const MOST: usize = 64> {
    /// Each by a key that is not above any of its own and above all of the leaf's before. None is empty.
    leaves: BTreeMap<K, Leaf<K, V, MOST>>,
    len: usize,
}

/// Up to `MOST` entries.
#[derive(Clone)]
struct Leaf<K, V, const MOST: usize> {
    /// Those of `rows`, in their order.
    tags: [u8; MOST],
    /// In ascending order of keys.
    rows: Vec<(K, V)>,
}

impl<K, V, const MOST: usize> Default for LeafMap<K, V, MOST> {
    fn default() -> Self {
        LeafMap { leaves: BTreeMap::new(), len: 0 }
    }
}

impl<K, V, const MOST: usize> LeafMap<K, V, MOST> {
    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All entries in ascending order of keys.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.leaves.values().flat_map(|leaf| leaf.rows.iter().map(|(key, value)| (key, value)))
    }
}

impl<K: Ord + Hash + Clone, V, const MOST: usize> LeafMap<K, V, MOST> {
    /// The value of `key`.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Ord + Hash + ?Sized,
    {
        let (_, leaf) = self.leaf(key)?;
        leaf.find(key).map(|row| &leaf.rows[row].1)
    }

    /// The leaf that `key` belongs to, unless it is below all leaves.
    fn leaf<Q>(&self, key: &Q) -> Option<(&K, &Leaf<K, V, MOST>)>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.leaves.range((Bound::Unbounded, Bound::Included(key))).next_back()
    }

    /// The value of `key`, to be changed.
    pub(crate) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Ord + Hash + ?Sized,
    {
        let leaf = leaf_mut(&mut self.leaves, key)?;
        leaf.find(key).map(|row| &mut leaf.rows[row].1)
    }

    /// Sets the value of `key`; fastest when it is above all others.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if let Some(mut last) = self.leaves.last_entry()
            && last.get().rows.last().is_some_and(|(highest, _)| *highest < key)
            && last.get().rows.len() < MOST
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
        if leaf.rows.len() < MOST {
            return leaf.insert(row, key, value);
        }
        if row == MOST {
            return self.insert_after_full(key, value);
        }
        let mut after = leaf.split();
        match row.checked_sub(MOST / 2) {
            Some(row) => after.insert(row, key, value),
            None => leaf.insert(row, key, value),
        }
        let first = after.rows[0].0.clone();
        self.leaves.insert(first, after);
    }

    /// Inserts an entry after all of its leaf, which is full: before all of the next one, if that has room, or
    /// each of many that descend to here would be a leaf of its own.
    fn insert_after_full(&mut self, key: K, value: V) {
        let mut after = self.leaves.range::<K, _>((Bound::Excluded(&key), Bound::Unbounded));
        let next = after.next().filter(|(_, next)| next.rows.len() < MOST);
        let next = next.map(|(first, _)| first.clone());
        let next = next.and_then(|first| self.leaves.remove(&first));
        let mut leaf = next.unwrap_or_else(Leaf::new);
        leaf.insert(0, key.clone(), value);
        self.leaves.insert(key, leaf);
    }

    /// Takes `key` out.
    pub(crate) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Ord + Hash + ?Sized,
    {
        let leaf = leaf_mut(&mut self.leaves, key)?;
        let row = leaf.find(key)?;
        let (key, value) = leaf.remove(row);
        let is_sparse = leaf.rows.len() <= MOST / 4;
        self.len -= 1;
        if is_sparse {
            self.join(&key);
        }
        Some(value)
    }

    /// Joins the leaf that `key` belongs to with a neighbour, if one has room.
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
        let has_room = |(_, leaf): &(&K, &Leaf<K, V, MOST>)| count + leaf.rows.len() <= MOST / 2;
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

    /// The entries between two bounds; none where these are not in order.
    pub(crate) fn range<Q>(&self, bounds: (Bound<&Q>, Bound<&Q>)) -> Range<'_, K, V, MOST>
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

/// [`LeafMap::leaf`], to be changed, while the rest of the map can be as well.
fn leaf_mut<'a, K, Q, V, const MOST: usize>(
    leaves: &'a mut BTreeMap<K, Leaf<K, V, MOST>>,
    key: &Q,
) -> Option<&'a mut Leaf<K, V, MOST>>
where
    K: Ord + Borrow<Q>,
    Q: Ord + ?Sized,
{
    leaves.range_mut((Bound::Unbounded, Bound::Included(key))).next_back().map(|(_, leaf)| leaf)
}

impl<K: Ord + Hash + Clone, V, const MOST: usize> Leaf<K, V, MOST> {
    fn new() -> Self {
        const { assert!(MOST >= 2, "a full leaf is split into two") };
        Leaf { tags: [0; MOST], rows: Vec::new() }
    }

    /// Where `key` is.
    fn find<Q>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Ord + Hash + ?Sized,
    {
        memchr::memchr_iter(tag(key), &self.tags[..self.rows.len()])
            .find(|row| self.rows[*row].0.borrow() == key)
    }

    /// Inserts an entry before `row`; there is room for it.
    fn insert(&mut self, row: usize, key: K, value: V) {
        let count = self.rows.len();
        if count == self.rows.capacity() {
            // By steps, as nearly all memory of a store is in leaves.
            self.rows.reserve_exact((MOST / 8).clamp(1, MOST - count));
        }
        self.tags.copy_within(row..count, row + 1);
        self.tags[row] = tag(&key);
        self.rows.insert(row, (key, value));
    }

    fn remove(&mut self, row: usize) -> (K, V) {
        self.tags.copy_within(row + 1..self.rows.len(), row);
        let removed = self.rows.remove(row);
        if self.rows.capacity() - self.rows.len() >= MOST / 4 {
            self.rows.shrink_to(self.rows.len() + MOST / 8);
        }
        removed
    }

    /// Takes the upper half of a full leaf.
    fn split(&mut self) -> Self {
        let mut after = Leaf::new();
        after.tags[..MOST - MOST / 2].copy_from_slice(&self.tags[MOST / 2..]);
        after.rows = self.rows.split_off(MOST / 2);
        self.rows.shrink_to(MOST / 2 + MOST / 8);
        after
    }

    /// Adds the entries of the next leaf; there is room for them.
    fn append(&mut self, mut next: Self) {
        let (count, more) = (self.rows.len(), next.rows.len());
        self.tags[count..count + more].copy_from_slice(&next.tags[..more]);
        self.rows.reserve_exact(more);
        self.rows.append(&mut next.rows);
    }

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

impl<K: Ord + Hash + Clone, V, const MOST: usize> FromIterator<(K, V)> for LeafMap<K, V, MOST> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = LeafMap::default();
        entries.into_iter().for_each(|(key, value)| map.insert(key, value));
        map
    }
}

impl<K: PartialEq, V: PartialEq, const MOST: usize> PartialEq for LeafMap<K, V, MOST> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq, const MOST: usize> Eq for LeafMap<K, V, MOST> {}

impl<K: fmt::Debug, V: fmt::Debug, const MOST: usize> fmt::Debug for LeafMap<K, V, MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Entries of a [`LeafMap`] in ascending order of keys.
pub(crate) struct Range<'a, K, V, const MOST: usize> {
    front: slice::Iter<'a, (K, V)>,
    /// Between the two.
    leaves: btree_map::Range<'a, K, Leaf<K, V, MOST>>,
    back: slice::Iter<'a, (K, V)>,
}

impl<'a, K, V, const MOST: usize> Iterator for Range<'a, K, V, MOST> {
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

impl<K, V, const MOST: usize> DoubleEndedIterator for Range<'_, K, V, MOST> {
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

/// A byte that two keys seldom have in common. Keys that were made to share it cost a search no more than
/// looking at each of a leaf's.
fn tag<Q: Hash + ?Sized>(key: &Q) -> u8 {
    let mut tagger = Tagger(0);
    key.hash(&mut tagger);
    tagger.finish().to_be_bytes()[0]
}

/// Mixes eight bytes by one multiplication, into its highest byte best.
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
