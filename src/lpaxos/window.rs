//! The leader's window of recent decrees, for nodes that lag a little (P10). Bounded in bytes.

use std::collections::VecDeque;

use super::machine::{DecreeOf, Machine};
use super::members::MemberSet;
use crate::numbers::Slot;

/// What a decree takes besides its writes, about: bounds the number of empty ones.
const DECREE_BYTES: usize = 64;

/// Decrees of consecutive slots, all chosen.
#[derive(Debug)]
pub(super) struct Window<M: Machine> {
    first: Slot,
    decrees: VecDeque<(DecreeOf<M>, usize)>,
    bytes: usize,
    max_bytes: usize,
    /// Of all decrees that were ever pushed.
    pushed_bytes: u64,
}

impl<M: Machine> Window<M> {
    /// An empty window; the first decree pushed will be that of `first`.
    pub(super) fn new(first: Slot, max_bytes: usize) -> Window<M> {
        Window { first, decrees: VecDeque::new(), bytes: 0, max_bytes, pushed_bytes: 0 }
    }

    /// Returns the size of all decrees that were ever pushed, in bytes.
    pub(super) fn pushed_bytes(&self) -> u64 {
        self.pushed_bytes
    }

    /// Adds the decree of the next slot; old ones go, but never the last.
    pub(super) fn push(&mut self, decree: DecreeOf<M>) {
        let writes = decree.patch.writes().iter();
        let members = decree.members.as_ref().map_or(0, MemberSet::size);
        let bytes =
            DECREE_BYTES + members + writes.map(|(k, v)| M::size(k, v.as_ref())).sum::<usize>();
        self.bytes += bytes;
        let more = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.pushed_bytes = self.pushed_bytes.saturating_add(more);
        self.decrees.push_back((decree, bytes));
        while self.bytes > self.max_bytes && self.decrees.len() > 1 {
            if let Some((_, bytes)) = self.decrees.pop_front() {
                self.bytes -= bytes;
                self.first = self.first.next();
            }
        }
    }

    /// Whether it holds no decree.
    pub(super) fn is_empty(&self) -> bool {
        self.decrees.is_empty()
    }

    /// The decree of `slot`.
    pub(super) fn get(&self, slot: Slot) -> Option<&DecreeOf<M>> {
        let place = usize::try_from(slot.0.checked_sub(self.first.0)?).ok()?;
        self.decrees.get(place).map(|(decree, _)| decree)
    }

    /// Decrees of consecutive slots from `first` on, up to `max_bytes` but at least one; empty
    /// where `first` is not in the window.
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
