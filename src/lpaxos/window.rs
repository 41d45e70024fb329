//! The leader's window of recent patches, for nodes that lag a little (P10). Bounded in bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ballot::Slot;
use super::machine::Machine;
use super::patch::Patch;

type PatchOf<M> = Patch<<M as Machine>::Key, <M as Machine>::Value>;

/// What a patch takes besides its writes, about: bounds the number of empty ones.
const PATCH_BYTES: usize = 64;

/// Patches of consecutive slots, all chosen.
#[derive(Debug)]
pub(super) struct Window<M: Machine> {
    first: Slot,
    patches: VecDeque<(Arc<PatchOf<M>>, usize)>,
    bytes: usize,
    most_bytes: usize,
    /// Of all patches that were ever pushed.
    pushed_bytes: u64,
}

impl<M: Machine> Window<M> {
    /// An empty window; the first patch pushed will be that of `first`.
    pub(super) fn new(first: Slot, most_bytes: usize) -> Window<M> {
        Window { first, patches: VecDeque::new(), bytes: 0, most_bytes, pushed_bytes: 0 }
    }

    /// Returns the size of all patches that were ever pushed, in bytes.
    pub(super) fn pushed_bytes(&self) -> u64 {
        self.pushed_bytes
    }

    /// Adds the patch of the next slot; old ones go, but never the last.
    pub(super) fn push(&mut self, patch: Arc<PatchOf<M>>) {
        let writes = patch.writes().iter();
        let bytes = PATCH_BYTES + writes.map(|(k, v)| M::size(k, v.as_ref())).sum::<usize>();
        self.bytes += bytes;
        let more = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.pushed_bytes = self.pushed_bytes.saturating_add(more);
        self.patches.push_back((patch, bytes));
        while self.bytes > self.most_bytes && self.patches.len() > 1 {
            if let Some((_, bytes)) = self.patches.pop_front() {
                self.bytes -= bytes;
                self.first = self.first.next();
            }
        }
    }

    /// Whether it holds no patch.
    pub(super) fn is_empty(&self) -> bool {
        self.patches.is_empty()
    }

    /// The patch of `slot`.
    pub(super) fn get(&self, slot: Slot) -> Option<&Arc<PatchOf<M>>> {
        let place = usize::try_from(slot.0.checked_sub(self.first.0)?).ok()?;
        self.patches.get(place).map(|(patch, _)| patch)
    }

    /// Patches of consecutive slots from `first` on, up to `most_bytes` but at least one; empty where
    /// `first` is not in the window.
    pub(super) fn from(&self, first: Slot, most_bytes: usize) -> Vec<Arc<PatchOf<M>>> {
        let Some(skip) = first.0.checked_sub(self.first.0).and_then(|n| usize::try_from(n).ok())
        else {
            return Vec::new();
        };
        let mut taken = Vec::new();
        let mut total = 0;
        for (patch, bytes) in self.patches.iter().skip(skip) {
            total += bytes;
            if total > most_bytes && !taken.is_empty() {
                break;
            }
            taken.push(Arc::clone(patch));
        }
        taken
    }
}
