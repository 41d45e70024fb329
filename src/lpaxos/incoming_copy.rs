//! A full copy that a lagging node is merging (P10).
//!
//! A full copy does not name a deleted key: the key is missing from the page that covers it. If an
//! old patch, or a delayed page of another copy, brings the key back after that page was merged,
//! nothing deletes it again. So a full copy is valid only if nothing of the kind was applied since
//! its first page; otherwise the leader begins a new one. This state is not durable: after a
//! restart it is not known what was applied since the first page, and the copy begins again.

use super::message::CopyId;
use crate::numbers::{Ballot, Slot};

/// How far a node has merged a full copy, without a gap and without an old patch in between.
#[derive(Debug)]
pub(super) struct IncomingCopy<K> {
    ballot: Ballot,
    number: u64,
    floor: Slot,
    /// The last key that the merged pages covered.
    reached: K,
}

impl<K: Ord> IncomingCopy<K> {
    /// Whether a page of a full copy, which covers the keys after `after`, may be merged: always if
    /// it is the first page, otherwise if all pages before it were merged.
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

    /// Notes that a page was merged that ends with the key `reached`.
    pub(super) fn note(
        incoming_copy: &mut Option<IncomingCopy<K>>,
        ballot: Ballot,
        copy: &CopyId,
        reached: K,
    ) {
        match incoming_copy {
            // A page may be received twice.
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

    /// Whether applying the patch of `slot` makes the copy void.
    ///
    /// A later decree may have deleted a key that the patch writes, and the leader may have dropped
    /// the tombstone, and the page from which the key is missing may be merged already.
    pub(super) fn is_void_by(&self, slot: Slot) -> bool {
        slot < self.floor
    }

    fn is(&self, ballot: Ballot, copy: &CopyId) -> bool {
        (self.ballot, self.number) == (ballot, copy.number)
    }
}
