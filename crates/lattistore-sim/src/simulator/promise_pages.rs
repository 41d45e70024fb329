//! Checks that all pages of one promise show one state of the replica.
//!
//! That state is the replica when the promise was made (P2). If pages showed different states, a
//! recovery would merge a state that never existed.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::ops::Bound;

use lattistore::lpaxos::{
    Accept, Ballot, Commit, Confirm, Durable, Entry, Message, Page, RepairPage, RepairPatches,
    Replica, Slot, ToAcceptor, ToCandidate,
};

/// The replica as it was when its node promised.
#[derive(Debug)]
struct Promised<K, V> {
    replica: Replica<K, V>,
    /// The pages contain the entries with a version above this.
    above: Slot,
}

/// The promises of a run.
#[derive(Debug)]
pub(super) struct PromisePages<K, V> {
    /// The `complete` that each candidate sent with its `Prepare`.
    asked: BTreeMap<Ballot, Slot>,
    /// Ballots with a recovery that has ended: no node uses their pages any longer, and replicas
    /// change.
    over: BTreeSet<Ballot>,
    /// By node and ballot.
    promised: BTreeMap<(usize, Ballot), Promised<K, V>>,
}

impl<K: Ord + Hash + Clone, V: Clone + PartialEq> PromisePages<K, V> {
    /// Returns a checker that has seen no promise yet.
    pub(super) fn new() -> PromisePages<K, V> {
        PromisePages { asked: BTreeMap::new(), over: BTreeSet::new(), promised: BTreeMap::new() }
    }

    /// Checks a message that leaves a node; `disk` is the node's disk.
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
            Message::Acceptor(ToAcceptor::Prepare(prepare)) => {
                self.asked.insert(prepare.ballot, prepare.complete);
            }
            // A promise that is older than the disk's is useless to its candidate, and the disk
            // holds more than the promise says.
            Message::Candidate(ToCandidate::Promise(promise))
                if promise.ballot == disk.promised && !self.over.contains(&promise.ballot) =>
            {
                let asked = self.asked.get(&promise.ballot).copied().unwrap_or(Slot::ZERO);
                let above = if promise.full { Slot::ZERO } else { asked };
                let place = (from, promise.ballot);
                // A repeated promise describes the same replica as the first.
                let fresh = || Promised { replica: disk.replica.clone(), above };
                self.promised.entry(place).or_insert_with(fresh);
                self.compare(place, None, &promise.page)?;
            }
            Message::Candidate(ToCandidate::PromisePage(page)) => {
                self.compare((from, page.ballot), Some(&page.after), &page.page)?;
            }
            Message::Acceptor(ToAcceptor::Accept(Accept { ballot, .. }))
            | Message::Acceptor(ToAcceptor::Confirm(Confirm { ballot, .. }))
            | Message::Acceptor(ToAcceptor::Commit(Commit { ballot, .. }))
            | Message::Acceptor(ToAcceptor::RepairPatches(RepairPatches { ballot, .. }))
            | Message::Acceptor(ToAcceptor::RepairPage(RepairPage { ballot, .. })) => {
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
        let expected = held.filter(|(_, entry): &(&K, &Entry<V>)| entry.version > promised.above);
        if expected.eq(page.entries.iter().map(|(key, entry)| (key, entry))) {
            return Ok(());
        }
        Err(format!(
            "P2: a page of the promise of {} shows another state than that promise",
            place.1
        ))
    }
}
