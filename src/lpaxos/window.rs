//! The leader's window of recent chosen decrees, for nodes that lag a little (P10).
//!
//! It is bounded in bytes, so a node that lags more than the window covers gets a copy instead.

use std::collections::VecDeque;

use super::machine::{DecreeOf, Machine};
use super::members::MemberSet;
use crate::numbers::Slot;

/// About how many bytes a decree takes besides its writes. It bounds the number of empty decrees in
/// a window and in a message of a repair.
pub(crate) const DECREE_BYTES: usize = 64;

/// Chosen decrees of consecutive slots.
#[derive(Debug)]
pub(super) struct Window<M: Machine> {
    first: Slot,
    decrees: VecDeque<(DecreeOf<M>, usize)>,
    bytes: usize,
    max_bytes: usize,
    /// The size of all decrees that were ever pushed.
    pushed_bytes: u64,
}

impl<M: Machine> Window<M> {
    /// Returns an empty window. The first decree pushed will be that of the slot `first`.
    pub(super) fn new(first: Slot, max_bytes: usize) -> Window<M> {
        Window { first, decrees: VecDeque::new(), bytes: 0, max_bytes, pushed_bytes: 0 }
    }

    /// Returns the size of all decrees that were ever pushed, in bytes.
    pub(super) fn pushed_bytes(&self) -> u64 {
        self.pushed_bytes
    }

    /// Adds the decree of the next slot, and drops the oldest ones above `max_bytes`, but never the
    /// one just added.
    pub(super) fn push(&mut self, decree: DecreeOf<M>) {
        let writes = decree.patch.writes().iter();
        let members = decree.members.as_ref().map_or(0, MemberSet::size);
        let bytes =
            DECREE_BYTES + members + writes.map(|(k, v)| M::size(k, v.as_ref())).sum::<usize>();
        self.bytes += bytes;
        let added = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.pushed_bytes = self.pushed_bytes.saturating_add(added);
        self.decrees.push_back((decree, bytes));
        while self.bytes > self.max_bytes && self.decrees.len() > 1 {
            if let Some((_, bytes)) = self.decrees.pop_front() {
                self.bytes -= bytes;
                self.first = self.first.next();
            }
        }
    }

    /// Whether the window holds no decree.
    pub(super) fn is_empty(&self) -> bool {
        self.decrees.is_empty()
    }

    /// Returns the decree of `slot`, if the window holds it.
    pub(super) fn get(&self, slot: Slot) -> Option<&DecreeOf<M>> {
        let index = usize::try_from(slot.0.checked_sub(self.first.0)?).ok()?;
        self.decrees.get(index).map(|(decree, _)| decree)
    }

    /// Returns the decrees of consecutive slots from `first` on: at least one and at most
    /// `max_bytes`; none if the window does not hold the slot `first`.
    pub(super) fn from(&self, first: Slot, max_bytes: usize) -> Vec<DecreeOf<M>> {
        let Some(skip) = first.0.checked_sub(self.first.0).and_then(|n| usize::try_from(n).ok())
        else {
            return Vec::new();
        };
        let mut taken = Vec::new();
        let mut total = 0;
        for (decree, bytes) in self.decrees.iter().skip(skip) {
            total += bytes;
            if total > max_bytes && !taken.is_empty() {
                break;
            }
            taken.push(decree.clone());
        }
        taken
    }
}
