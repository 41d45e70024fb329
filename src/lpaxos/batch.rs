//! The state that commands run on, and what they write.
//!
//! A read in a batch sees three layers, each over the next: what the batch wrote itself; the decree
//! in flight, if the batch runs before that one is chosen and applied (P6); and the replica.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::Hash;
use std::iter::Peekable;
use std::ops::Bound;

use super::patch::{Entry, Patch};
use super::replica::Replica;
use crate::numbers::Slot;

/// The writes of a batch so far, without a borrow of the state that its commands ran on, so that
/// the batch can wait for further commands.
#[derive(Debug)]
pub(super) struct Draft<K, V> {
    writes: BTreeMap<K, Option<V>>,
    charged_bytes: usize,
}

impl<K, V> Default for Draft<K, V> {
    fn default() -> Self {
        Draft { writes: BTreeMap::new(), charged_bytes: 0 }
    }
}

impl<K, V> Draft<K, V> {
    /// Returns all bytes charged so far.
    pub(super) fn charged_bytes(&self) -> usize {
        self.charged_bytes
    }
}

/// The decree of the slot before a batch, while the replica does not reflect it yet.
#[derive(Debug)]
pub(super) struct Before<'a, K, V> {
    /// Its slot; the replica reflects every decree before it.
    pub(super) slot: Slot,
    pub(super) patch: &'a Patch<K, V>,
}

/// The state that a batch of commands runs on: a replica, and over it what the batch wrote so far.
#[derive(Debug)]
pub struct Batch<'a, K, V> {
    base: &'a Replica<K, V>,
    before: Option<Before<'a, K, V>>,
    draft: Draft<K, V>,
}

/// A key as a batch sees it.
#[derive(Debug)]
pub struct Row<'a, K, V> {
    /// The key.
    pub key: &'a K,
    /// Its value; `None` if it was deleted.
    pub value: Option<&'a V>,
    /// The slot that wrote it: the slot of the batch if the batch wrote it itself.
    pub version: Slot,
}

impl<'a, K: Ord + Hash + Clone, V: Clone> Batch<'a, K, V> {
    /// Returns an empty batch over `base`.
    pub fn new(base: &'a Replica<K, V>) -> Batch<'a, K, V> {
        Batch { base, before: None, draft: Draft::default() }
    }

    /// Returns the batch that `draft` belongs to, over `base` and the decree before the batch. Once
    /// `base` reflects that decree, the batch reads the same values without it.
    pub(super) fn resume(
        base: &'a Replica<K, V>,
        before: Option<Before<'a, K, V>>,
        draft: Draft<K, V>,
    ) -> Batch<'a, K, V> {
        Batch { base, before, draft }
    }

    /// Returns the draft of the batch, to be [resumed](Batch::resume).
    pub(super) fn into_draft(self) -> Draft<K, V> {
        self.draft
    }

    /// Returns the slot for which the batch will be proposed.
    pub fn slot(&self) -> Slot {
        self.before.as_ref().map_or(self.base.complete(), |before| before.slot).next()
    }

    /// Returns the value of `key`, if it has one.
    pub fn get<Q: ?Sized + Ord + Hash>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        match self.draft.writes.get(key) {
            Some(written) => written.as_ref(),
            None => self.get_below(key),
        }
    }

    /// Returns the value of `key` without the batch's own writes.
    fn get_below<Q: ?Sized + Ord + Hash>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        match self.before.as_ref().and_then(|before| before.patch.get(key)) {
            Some(written) => written.as_ref(),
            None => self.base.get(key),
        }
    }

    /// Returns the rows of a range of keys in key order, or in reverse. Keys that the batch or the
    /// decree before it deleted are among them, without a value.
    pub fn range<'r, Q>(
        &'r self,
        bounds: (Bound<&Q>, Bound<&Q>),
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Row<'r, K, V>> + 'r>
    where
        K: Borrow<Q>,
        Q: ?Sized + Ord + 'r,
    {
        let slot = self.slot();
        let base = self.base.living_range(bounds).map(|(key, entry)| {
            let Entry { value, version } = entry;
            Row { key, value: value.as_ref(), version: *version }
        });
        let (version, writes) = match &self.before {
            Some(before) => (before.slot, before.patch.range(bounds)),
            None => (slot, [].as_slice()),
        };
        let row = move |(key, value)| Row { key, value, version };
        let before = writes.iter().map(|(key, value)| (key, value.as_ref())).map(row);
        let own = self.draft.writes.range::<Q, _>(bounds);
        let own = own.map(move |(key, value)| Row { key, value: value.as_ref(), version: slot });
        if reverse {
            let below = Layered::new(base.rev(), before.rev(), reverse);
            Box::new(Layered::new(below, own.rev(), reverse))
        } else {
            Box::new(Layered::new(Layered::new(base, before, reverse), own, reverse))
        }
    }

    /// Whether the batch wrote nothing.
    pub fn is_empty(&self) -> bool {
        self.draft.writes.is_empty()
    }

    /// Writes a value; `None` deletes the key.
    pub fn put(&mut self, key: K, value: Option<V>) {
        self.draft.writes.insert(key, value);
    }

    /// Counts bytes towards [`Config::batch_bytes`](super::Config::batch_bytes): writes, answers
    /// and whatever else the machine wants to bound.
    pub fn charge(&mut self, bytes: usize) {
        self.draft.charged_bytes = self.draft.charged_bytes.saturating_add(bytes);
    }

    /// Returns all bytes charged so far.
    pub fn charged_bytes(&self) -> usize {
        self.draft.charged_bytes()
    }

    /// Returns the writes as a patch. The deletion of a key without a value below needs no
    /// tombstone and is left out.
    pub fn into_patch(mut self) -> Patch<K, V> {
        let mut writes = std::mem::take(&mut self.draft.writes);
        writes.retain(|key, value| value.is_some() || self.get_below(key).is_some());
        Patch::new(writes)
    }
}

/// Merges two iterators of rows in the same key order; of two rows with one key it yields the
/// upper.
struct Layered<B: Iterator, A: Iterator> {
    below: Peekable<B>,
    above: Peekable<A>,
    reverse: bool,
}

impl<B: Iterator, A: Iterator> Layered<B, A> {
    fn new(below: B, above: A, reverse: bool) -> Layered<B, A> {
        Layered { below: below.peekable(), above: above.peekable(), reverse }
    }
}

impl<'r, K, V, B, A> Iterator for Layered<B, A>
where
    K: Ord + 'r,
    V: 'r,
    B: Iterator<Item = Row<'r, K, V>>,
    A: Iterator<Item = Row<'r, K, V>>,
{
    type Item = Row<'r, K, V>;

    fn next(&mut self) -> Option<Row<'r, K, V>> {
        let (Some(below), Some(above)) = (self.below.peek(), self.above.peek()) else {
            return self.below.next().or_else(|| self.above.next());
        };
        let order = if self.reverse { above.key.cmp(below.key) } else { below.key.cmp(above.key) };
        if order.is_lt() {
            return self.below.next();
        }
        if order.is_eq() {
            self.below.next();
        }
        self.above.next()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lpaxos::Decree;

    type Shown = Vec<(u32, Option<u32>, u64)>;

    fn patch(writes: &[(u32, Option<u32>)]) -> Patch<u32, u32> {
        Patch::new(writes.iter().copied().collect())
    }

    fn decree(writes: &[(u32, Option<u32>)]) -> Decree<u32, u32> {
        Arc::new(patch(writes)).into()
    }

    fn shown(batch: &Batch<'_, u32, u32>, bounds: (Bound<&u32>, Bound<&u32>)) -> [Shown; 2] {
        [false, true].map(|reverse| {
            let rows = batch.range(bounds, reverse);
            rows.map(|row| (*row.key, row.value.copied(), row.version.0)).collect()
        })
    }

    #[test]
    fn a_batch_shows_its_writes_over_the_decree_before_it_over_the_replica() {
        let mut replica = Replica::default();
        replica
            .apply(Slot(1), &decree(&[(1, Some(10)), (2, Some(10)), (3, Some(10)), (5, Some(10))]));
        let before =
            patch(&[(2, Some(20)), (3, Some(20)), (4, Some(20)), (5, None), (9, Some(20))]);
        let before = Before { slot: Slot(2), patch: &before };
        let mut batch = Batch::resume(&replica, Some(before), Draft::default());
        batch.put(3, Some(30));
        batch.put(4, None);
        batch.put(6, Some(30));
        batch.put(7, None);
        assert_eq!(batch.slot(), Slot(3));
        let expected = [Some(10), Some(20), Some(30), None, None, Some(30), None, None, Some(20)];
        for (key, value) in (1..).zip(expected) {
            assert_eq!(batch.get(&key).copied(), value, "{key}");
        }
        let all: Shown = vec![
            (1, Some(10), 1),
            (2, Some(20), 2),
            (3, Some(30), 3),
            (4, None, 3),
            (5, None, 2),
            (6, Some(30), 3),
            (7, None, 3),
            (9, Some(20), 2),
        ];
        let [forward, backward] = shown(&batch, (Bound::Unbounded, Bound::Unbounded));
        assert_eq!(forward, all);
        assert_eq!(backward.into_iter().rev().collect::<Shown>(), all);
        let [some, _] = shown(&batch, (Bound::Excluded(&2), Bound::Included(&5)));
        assert_eq!(some, all[2..5]);
        let [some, _] = shown(&batch, (Bound::Included(&2), Bound::Excluded(&2)));
        assert_eq!(some, []);
        // A key that no layer below holds needs no tombstone; a key that only the decree before
        // holds needs one.
        let writes = batch.into_patch();
        assert_eq!(writes.writes(), [(3, Some(30)), (4, None), (6, Some(30))]);
    }

    #[test]
    fn a_range_does_not_show_what_the_replica_deleted() {
        let mut replica = Replica::default();
        replica.apply(Slot(1), &decree(&[(1, Some(10)), (2, Some(10)), (3, Some(10))]));
        replica.apply(Slot(2), &decree(&[(1, None), (2, None)]));
        let batch = Batch::new(&replica);
        let [forward, backward] = shown(&batch, (Bound::Unbounded, Bound::Unbounded));
        assert_eq!((forward, backward), (vec![(3, Some(10), 1)], vec![(3, Some(10), 1)]));
    }
}
