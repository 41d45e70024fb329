//! An ordered map of many short entries, for a store whose entries are in no cache.
//!
//! A search in a [`BTreeMap`] of them looks at some keys in each of five or six nodes, and most of what it
//! takes is waiting for memory. Here a `BTreeMap` leads to leaves of up to 64 entries, and of a million
//! entries it is so small that it stays in a cache. In a leaf a byte of each key's hash, its tag, says where to look: so a search waits
//! for the tags and for the entry, and for nothing else. And leaves above all others are full once
//! they were filled in order.

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
        let (_, leaf) = self.leaves.range((Bound::Unbounded, Bound::Included(key))).next_back()?;
        leaf.find(key).map(|row| &leaf.rows[row].1)
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
        let mut after = leaf.split_off(MOST / 2);
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
            Bound::Included(key) | Bound::Excluded(key) => {
                self.leaves.range((Bound::Unbounded, Bound::Included(key))).next_back()
            }
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

/// The leaf that `key` belongs to, unless it is below all leaves.
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

    /// Takes the entries from `row` on.
    fn split_off(&mut self, row: usize) -> Self {
        let mut after = Leaf::new();
        after.tags[..self.rows.len() - row].copy_from_slice(&self.tags[row..self.rows.len()]);
        after.rows = self.rows.split_off(row);
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Small = LeafMap<u8, u32, 4>;

    fn check<const MOST: usize>(map: &LeafMap<u8, u32, MOST>) {
        let mut above: Option<u8> = None;
        for (bound, leaf) in &map.leaves {
            let keys: Vec<u8> = leaf.rows.iter().map(|(key, _)| *key).collect();
            assert!(!keys.is_empty() && keys.len() <= MOST && keys.is_sorted(), "{keys:?}");
            assert!(above.is_none_or(|above| above < *bound) && *bound <= keys[0], "{bound}");
            assert!(keys.iter().zip(leaf.tags).all(|(key, its)| tag(key) == its));
            above = keys.last().copied();
        }
        assert_eq!(map.len(), map.leaves.values().map(|leaf| leaf.rows.len()).sum::<usize>());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, u32),
        Change(u8, u32),
        Remove(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..60_u8, any::<u32>()).prop_map(|(key, value)| Step::Insert(key, value)),
            1 => (0..60_u8, any::<u32>()).prop_map(|(key, value)| Step::Change(key, value)),
            2 => (0..60_u8).prop_map(Step::Remove),
        ]
    }

    fn bound() -> impl Strategy<Value = Bound<u8>> {
        prop_oneof![
            (0..60_u8).prop_map(Bound::Included),
            (0..60_u8).prop_map(Bound::Excluded),
            Just(Bound::Unbounded),
        ]
    }

    proptest! {
        #[test]
        fn it_is_the_map_that_a_btree_map_is(
            steps in prop::collection::vec(step(), 0..200),
            from in bound(),
            to in bound(),
            turns in prop::collection::vec(any::<bool>(), 60),
        ) {
            same_as_a_btree_map::<4>(&steps, (from, to), &turns)?;
            same_as_a_btree_map::<16>(&steps, (from, to), &turns)?;
        }
    }

    fn same_as_a_btree_map<const MOST: usize>(
        steps: &[Step],
        (from, to): (Bound<u8>, Bound<u8>),
        turns: &[bool],
    ) -> Result<(), TestCaseError> {
        let (mut map, mut model) = (LeafMap::<u8, u32, MOST>::default(), BTreeMap::new());
        for step in steps {
            match *step {
                Step::Insert(key, value) => {
                    map.insert(key, value);
                    model.insert(key, value);
                }
                Step::Change(key, value) => {
                    let (own, other) = (map.get_mut(&key), model.get_mut(&key));
                    prop_assert_eq!(own.is_some(), other.is_some());
                    [own, other].into_iter().flatten().for_each(|held| *held = value);
                }
                Step::Remove(key) => prop_assert_eq!(map.remove(&key), model.remove(&key)),
            }
            check(&map);
        }
        prop_assert!((0..60).all(|key| map.get(&key) == model.get(&key)));
        prop_assert!(map.iter().eq(&model) && map.iter().rev().eq(model.iter().rev()));
        let again: LeafMap<u8, u32, MOST> = model.clone().into_iter().collect();
        prop_assert!(map == again && map.clone() == map);
        prop_assert_eq!(format!("{map:?}"), format!("{model:?}"));

        let bounds = (from.as_ref(), to.as_ref());
        let mut rows: Vec<_> = model
            .iter()
            .filter(|(key, _)| std::ops::RangeBounds::contains(&bounds, *key))
            .collect();
        let mut range = map.range(bounds);
        for turn in turns {
            if rows.is_empty() {
                prop_assert_eq!((range.next(), range.next_back()), (None, None));
            } else if *turn {
                prop_assert_eq!(range.next(), Some(rows.remove(0)));
            } else {
                prop_assert_eq!(range.next_back(), rows.pop());
            }
        }
        Ok(())
    }

    #[test]
    fn what_comes_in_order_fills_the_leaves_and_what_goes_leaves_none_empty() {
        let mut map: Small = (0..40).map(|key| (key, 0)).collect();
        assert!(map.leaves.len() == 10 && map.leaves.values().all(|leaf| leaf.rows.len() == 4));
        for key in (0..40).filter(|key| key % 8 != 0) {
            assert_eq!(map.remove(&key), Some(0));
            check(&map);
        }
        assert!(map.len() == 5 && map.leaves.len() < 5, "{map:?}");
    }

    #[test]
    fn what_descends_fills_the_leaves_too() {
        let mut map: Small = (0..4).map(|key| (key, 0)).collect();
        for key in (20..60).rev() {
            map.insert(key, 0);
            check(&map);
        }
        assert!(map.len() == 44 && map.leaves.len() == 11, "{map:?}");
    }

    #[test]
    fn keys_of_one_tag_are_told_apart() {
        let first = tag(&0_u64);
        let same: Vec<u64> = (0..20_000).filter(|key| tag(key) == first).take(50).collect();
        let map: LeafMap<u64, u64> = same.iter().map(|key| (*key, *key)).collect();
        assert!(same.len() == 50 && same.iter().all(|key| map.get(key) == Some(key)));
    }
}
