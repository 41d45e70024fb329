//! Applies the journal to the state of a checkpoint, exactly.
//!
//! A checkpoint starts at round j. Its head, with `promised`, `accepted`, `complete` and `floor`,
//! is the state just before round j. Its pages were taken later, while the node ran:
//!
//! ```text
//! rounds       j         t1        t2                the last one
//! head         ├──────────────────────────────────────> replayed
//! page 0       ·········├─────────────────────────────> replayed after t1
//! page 1       ···················├───────────────────> replayed after t2
//! ```
//!
//! Merging is idempotent, so it would seem enough to replay all rounds from j into every page. But
//! that is wrong once tombstones are dropped. Take a key that was deleted, and an older write of it
//! that is recorded in a round after j. If the tombstone was dropped before the page was taken, the
//! page has no entry for the key, and the older write would bring the deleted value back.
//!
//! So each key gets only the rounds after the last one that its page reflects, and everything else
//! gets all rounds from j on. Entries, `complete` and `floor` then change by the same steps as in
//! the running node. One step may be repeated: `DropTombstones` in a page that reflects it already.
//! It finds no tombstone there, because later tombstones have versions above `complete`, and that
//! is above the floor of the dropped ones.

use std::sync::Arc;

use crate::lpaxos::{Decree, Durable, Patch, Record, Slot, may_drop};

use super::{Key, Value};

/// The rounds that the pages of a checkpoint reflect.
#[derive(Default)]
pub(super) struct Coverage {
    /// For each page the last key that it covers, and the last round that it reflects.
    pages: Vec<(Option<Key>, u64)>,
}

impl Coverage {
    /// Adds the page after the last one.
    pub(super) fn add(&mut self, until: Option<Key>, as_of: u64) {
        self.pages.push((until, as_of));
    }

    /// Returns the last key that is covered; `None` before the first page and after the last one.
    pub(super) fn last_key(&self) -> Option<&Key> {
        self.pages.last().and_then(|(until, _)| until.as_ref())
    }

    /// Whether the pages cover every key.
    pub(super) fn whole(&self) -> bool {
        self.pages.last().is_some_and(|(until, _)| until.is_none())
    }

    /// Whether some page reflects the round.
    pub(super) fn touches(&self, round: u64) -> bool {
        // The last page was taken last, so it reflects the most rounds.
        self.pages.last().is_some_and(|(_, as_of)| *as_of >= round)
    }

    /// Whether the page that covers the key reflects the round.
    fn reflects(&self, key: &Key, round: u64) -> bool {
        let page = self.pages.partition_point(|(until, _)| until.as_ref().is_some_and(|k| k < key));
        self.pages.get(page).is_some_and(|(_, as_of)| *as_of >= round)
    }
}

/// Applies a record of this round to the parts of the state that do not reflect it yet.
///
/// # Errors
/// The invariant that the record breaks: no correct node wrote it.
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
    // The member set is part of the head, so all rounds from the start apply to it.
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
            None => return Err("a record applies a proposal that is not accepted"),
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
    let (holds, what) = match record {
        Record::Promise(ballot) => (*ballot >= durable.promised, "a record lowers the promise"),
        Record::Accept(proposal) => (
            proposal.ballot == durable.promised && proposal.slot >= durable.accepted_slot(),
            "a record accepts a proposal that the promise forbids",
        ),
        Record::ApplyAccepted(slot) => (
            *slot > Slot::ZERO && *slot == durable.accepted_slot(),
            "a record applies a proposal that is not accepted",
        ),
        Record::DropTombstones(slot) => {
            (may_drop(*slot, complete), "a record drops tombstones that are still needed")
        }
        Record::Apply(..) | Record::Merge(_) | Record::Members(_) | Record::RaiseComplete(_) => {
            (true, "")
        }
    };
    if holds { Ok(()) } else { Err(what) }
}
