//! Brings the state of a checkpoint up to date with the journal, exactly.
//!
//! A checkpoint starts at round j: its `promised`, `accepted`, `complete` and `floor` are those
//! just before round j, but a page of it, taken while the node went on, reflects the rounds up to
//! some later round t. Merging is idempotent, but replaying the rounds j..t into that page is still
//! not exact once tombstones are dropped: a key whose tombstone was dropped before the page was
//! taken is absent from it, and an older write of that key among the rounds j..t would bring it
//! back. So each key gets only the rounds after those that its page reflects; everything that is
//! not an entry gets all of them from j on. Then entries, `complete` and `floor` change by the same
//! steps as they did in the running node. (Dropping tombstones in a page that reflects the dropping
//! already finds none: later ones have versions above `complete`, which is above the dropped
//! floor.)

use std::sync::Arc;

use crate::lpaxos::{Decree, Durable, Patch, Record, Slot, may_drop};

use super::{Key, Value};

/// Which rounds the pages of a checkpoint reflect.
#[derive(Default)]
pub(super) struct Coverage {
    /// For each page the last key that it covers and the last round that it reflects.
    pages: Vec<(Option<Key>, u64)>,
}

impl Coverage {
    /// Adds the page after the last one.
    pub(super) fn add(&mut self, until: Option<Key>, as_of: u64) {
        self.pages.push((until, as_of));
    }

    /// The last key that is covered; `None` before the first page and after the last one.
    pub(super) fn last_key(&self) -> Option<&Key> {
        self.pages.last().and_then(|(until, _)| until.as_ref())
    }

    /// Whether the pages cover every key.
    pub(super) fn whole(&self) -> bool {
        self.pages.last().is_some_and(|(until, _)| until.is_none())
    }

    /// Whether some page reflects the round.
    pub(super) fn touches(&self, round: u64) -> bool {
        // The pages were taken one after the other.
        self.pages.last().is_some_and(|(_, as_of)| *as_of >= round)
    }

    /// Whether the page that covers the key reflects the round.
    fn reflects(&self, key: &Key, round: u64) -> bool {
        let page = self.pages.partition_point(|(until, _)| until.as_ref().is_some_and(|k| k < key));
        self.pages.get(page).is_some_and(|(_, as_of)| *as_of >= round)
    }
}

/// Applies a record of this round to the state, where it is not reflected yet.
///
/// An error says which invariant the record breaks: it was not written by a right node.
pub(super) fn replay(
    durable: &mut Durable<Key, Value>,
    coverage: &Coverage,
    round: u64,
    record: Record<Key, Value>,
) -> Result<(), &'static str> {
    check(durable, &record)?;
    if !coverage.touches(round) {
        durable.change(&record);
        return Ok(());
    }
    // The member set is in the head, and so gets all rounds.
    let missing = |decree: &Decree<Key, Value>| {
        let writes = decree.patch.writes().iter();
        let writes = writes.filter(|(key, _)| !coverage.reflects(key, round));
        let patch = Arc::new(Patch::new(writes.cloned().collect()));
        Decree { patch, members: decree.members.clone() }
    };
    let record = match record {
        Record::Apply(slot, decree) => Record::Apply(slot, missing(&decree)),
        Record::ApplyAccepted(slot) => match &durable.accepted {
            Some(accepted) => Record::Apply(slot, missing(&accepted.decree)),
            None => return Err("it applies a proposal that is not accepted"),
        },
        Record::Merge(mut entries) => {
            entries.retain(|(key, _)| !coverage.reflects(key, round));
            Record::Merge(entries)
        }
        other => other,
    };
    durable.change(&record);
    Ok(())
}

/// Whether the record keeps the invariants that [`Durable::change`] asserts.
fn check(durable: &Durable<Key, Value>, record: &Record<Key, Value>) -> Result<(), &'static str> {
    let complete = durable.replica.complete();
    let (kept, what) = match record {
        Record::Promise(ballot) => (*ballot >= durable.promised, "it lowers the promise"),
        Record::Accept(proposal) => (
            proposal.ballot == durable.promised && proposal.slot >= durable.accepted_slot(),
            "it accepts a proposal against the promise",
        ),
        Record::ApplyAccepted(slot) => (
            *slot > Slot::ZERO && *slot == durable.accepted_slot(),
            "it applies a proposal that is not accepted",
        ),
        Record::DropTombstones(slot) => {
            (may_drop(*slot, complete), "it drops tombstones that are needed")
        }
        Record::Apply(..) | Record::Merge(_) | Record::Members(_) | Record::RaiseComplete(_) => {
            (true, "")
        }
    };
    if kept { Ok(()) } else { Err(what) }
}
