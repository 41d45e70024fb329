//! A full copy that a lagging node is taking in (P10).
//!
//! A full copy tells of deletions only by silence, so it holds as a whole or not at all: what an
//! old patch, or a late page of another copy, brings back after the page that was silent of it
//! stays. Not durable: after a restart nobody knows what was applied since the first page.

use super::message::CopyId;
use crate::numbers::{Ballot, Slot};

/// How far a node has taken in a full copy, without a gap and without an old patch in between.
#[derive(Debug)]
pub(super) struct IncomingCopy<K> {
    ballot: Ballot,
    number: u64,
    floor: Slot,
    /// The last key that its pages covered.
    reached: K,
}

impl<K: Ord> IncomingCopy<K> {
    /// Whether a page of a full copy, which covers the keys after `after`, may be taken in: the
    /// first one always, the others where those before them were.
    pub(super) fn allows(
        incoming_copy: Option<&IncomingCopy<K>>,
        ballot: Ballot,
        copy: &CopyId,
        after: Option<&K>,
    ) -> bool {
        after.is_none_or(|after| {
            incoming_copy.is_some_and(|held| held.is(ballot, copy) && *after <= held.reached)
        })
    }

    /// Notes that a page was taken in that ends with the key `reached`.
    pub(super) fn note(
        incoming_copy: &mut Option<IncomingCopy<K>>,
        ballot: Ballot,
        copy: &CopyId,
        reached: K,
    ) {
        match incoming_copy {
            // A page may come again.
            Some(held) if held.is(ballot, copy) => {
                if held.reached < reached {
                    held.reached = reached;
                }
            }
            _ => {
                let CopyId { number, floor, .. } = *copy;
                *incoming_copy = Some(IncomingCopy { ballot, number, floor, reached });
            }
        }
    }

    /// Whether the patch of a slot makes the copy void. What it writes may have been deleted by a
    /// decree whose tombstone the leader has dropped, and the silent page may be past.
    pub(super) fn is_void_by(&self, slot: Slot) -> bool {
        slot < self.floor
    }

    fn is(&self, ballot: Ballot, copy: &CopyId) -> bool {
        (self.ballot, self.number) == (ballot, copy.number)
    }
}
