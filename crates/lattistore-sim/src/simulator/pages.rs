//! The pages of one promise, held against each other: all must show the replica as it was when the
//! promise was made (P2), or a recovery would put together a state that never was.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::ops::Bound;

use lattistore::lpaxos::{
    Accept, Ballot, Commit, Confirm, Durable, Entry, Message, Page, RepairPage, RepairPatches,
    Replica, Slot,
};

/// What a promise is about.
#[derive(Debug)]
struct Promised<K, V> {
    replica: Replica<K, V>,
    /// The pages hold the entries with a version above this.
    above: Slot,
}

/// The promises of a run.
#[derive(Debug)]
pub(super) struct Pages<K, V> {
    /// The `complete` of each candidate, as it stood.
    asked: BTreeMap<Ballot, Slot>,
    /// Ballots whose recovery is over: nobody takes a page of them any more, and replicas change.
    over: BTreeSet<Ballot>,
    /// By node and ballot.
    promised: BTreeMap<(usize, Ballot), Promised<K, V>>,
}

impl<K: Ord + Hash + Clone, V: Clone + PartialEq> Pages<K, V> {
    /// No promise yet.
    pub(super) fn new() -> Pages<K, V> {
        Pages { asked: BTreeMap::new(), over: BTreeSet::new(), promised: BTreeMap::new() }
    }

    /// A message leaves a node whose disk this is.
    ///
    /// # Errors
    /// When it is a page that differs from what its sender held when it promised.
    pub(super) fn leaves(
        &mut self,
        from: usize,
        message: &Message<K, V>,
        disk: &Durable<K, V>,
    ) -> Result<(), String> {
        match message {
            Message::Prepare(prepare) => {
                self.asked.insert(prepare.ballot, prepare.complete);
            }
            // One that a higher promise has overtaken on its way to the disk is of no use any more, and
            // the disk holds more than it tells.
            Message::Promise(promise)
                if promise.ballot == disk.promised && !self.over.contains(&promise.ballot) =>
            {
                let asked = self.asked.get(&promise.ballot).copied().unwrap_or(Slot::ZERO);
                let above = if promise.full { Slot::ZERO } else { asked };
                let place = (from, promise.ballot);
                // A repeated promise is about the same replica as the first.
                let fresh = || Promised { replica: disk.replica.clone(), above };
                self.promised.entry(place).or_insert_with(fresh);
                self.compare(place, None, &promise.page)?;
            }
            Message::PromisePage(page) => {
                self.compare((from, page.ballot), Some(&page.after), &page.page)?;
            }
            Message::Accept(Accept { ballot, .. })
            | Message::Confirm(Confirm { ballot, .. })
            | Message::Commit(Commit { ballot, .. })
            | Message::RepairPatches(RepairPatches { ballot, .. })
            | Message::RepairPage(RepairPage { ballot, .. }) => {
                self.end(*ballot);
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, ballot: Ballot) {
        if self.over.insert(ballot) {
            self.promised.retain(|(_, promised), _| *promised != ballot);
        }
    }

    fn compare(
        &self,
        place: (usize, Ballot),
        after: Option<&K>,
        page: &Page<K, V>,
    ) -> Result<(), String> {
        let Some(promised) = self.promised.get(&place) else { return Ok(()) };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let end = page.next.as_ref().map_or(Bound::Unbounded, Bound::Included);
        let held = promised.replica.range((start, end));
        let told = held.filter(|(_, entry): &(&K, &Entry<V>)| entry.version > promised.above);
        if told.eq(page.entries.iter().map(|(key, entry)| (key, entry))) {
            return Ok(());
        }
        Err(format!("P2: a page of the promise of {} is not as of that promise", place.1))
    }
}
