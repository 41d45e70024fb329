//! Whether the node has room for a state that grows.
//!
//! Disk space comes back when files go. Memory does not: what deleted entries took stays with the
//! process and serves the next ones. So beyond the bound on memory the node weighs its state, a part
//! at each tick: it has room again once the state is smaller than it was when the bound was reached,
//! and has none once it is as large as then.

use std::ops::Bound;
use std::sync::Arc;

use super::resources::{Bounds, Measured};
use crate::kv::{Key, Value};
use crate::limits::ENTRY_OVERHEAD_BYTES;
use crate::lpaxos::{Low, Replica};

/// Entries weighed at each tick: about a millisecond's work.
const ENTRIES_PER_TICK: usize = 8_192;
/// The state must shrink to as much of what it was, in percent, before it may grow again.
const ROOM_PERCENT: u64 = 90;
/// The process must take as much of its bound, in percent, before it is no longer beyond it. What it
/// takes always goes up and down a little, and each time it crossed the bound a leader would go.
const BELOW_PERCENT: u64 = 95;
/// Free disk space must exceed its bound by as much, in percent, before the state may grow again.
const DISK_ROOM_PERCENT: u64 = 110;

/// The state of the checks of one node.
#[derive(Debug)]
pub(super) struct Space {
    bounds: Bounds,
    measured: Arc<Measured>,
    memory: Memory,
    low_disk: bool,
}

/// Where the node stands with its memory.
#[derive(Debug, Default)]
struct Memory {
    /// Whether the process took its bound, and not much less since.
    is_beyond: bool,
    is_low: bool,
    /// The most that the state may weigh while the process is beyond its bound, once that is known.
    most: Option<u64>,
    scale: Scale,
}

/// The weighing of a state, some entries at a time.
#[derive(Debug, Default)]
struct Scale {
    bytes: u64,
    after: Option<Key>,
}

impl Scale {
    /// Weighs some more; returns the sum when all is weighed, and begins anew.
    fn weigh(&mut self, replica: &Replica<Key, Value>) -> Option<u64> {
        let start = self.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut count = 0;
        let mut last = None;
        for (key, entry) in replica.range((start, Bound::Unbounded)).take(ENTRIES_PER_TICK) {
            let value = entry.value.as_ref().map_or(0, |value| value.len());
            let bytes = ENTRY_OVERHEAD_BYTES + key.len() + value;
            self.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
            last = Some(key);
            count += 1;
        }
        if count == ENTRIES_PER_TICK {
            self.after = last.cloned();
            return None;
        }
        let Scale { bytes, .. } = std::mem::take(self);
        Some(bytes)
    }
}

impl Memory {
    /// Takes what was measured, and the bound on it.
    fn look(&mut self, bytes: u64, most: u64, replica: &Replica<Key, Value>) {
        let most = if self.is_beyond { most / 100 * BELOW_PERCENT } else { most };
        if bytes < most {
            *self = Memory::default();
            return;
        }
        self.is_beyond = true;
        let Some(most) = self.most else {
            // Nothing grows until it is known how large the state is that reached the bound.
            self.is_low = true;
            self.most = self.scale.weigh(replica);
            return;
        };
        if let Some(bytes) = self.scale.weigh(replica) {
            let room = if self.is_low { most / 100 * ROOM_PERCENT } else { most };
            self.is_low = bytes >= room;
        }
    }
}

impl Space {
    pub(super) fn new(bounds: Bounds, measured: Arc<Measured>) -> Space {
        Space { bounds, measured, memory: Memory::default(), low_disk: false }
    }

    /// Looks at what was measured last. To be called at each tick.
    pub(super) fn look(&mut self, replica: &Replica<Key, Value>) -> Low {
        let Bounds { max_memory, min_free_disk } = self.bounds;
        if max_memory > 0 {
            self.memory.look(self.measured.memory(), max_memory, replica);
        }
        let free = self.measured.free_disk();
        let room = match self.low_disk {
            true => min_free_disk.saturating_mul(DISK_ROOM_PERCENT) / 100,
            false => min_free_disk,
        };
        self.low_disk = min_free_disk > 0 && free < room;
        Low { memory: self.memory.is_low, disk: self.low_disk }
    }

    /// Says for people which bound was reached, without what was measured, which changes all the time.
    pub(super) fn bounds_in_words(&self, low: Low) -> String {
        let Bounds { max_memory, min_free_disk } = self.bounds;
        let memory = low.memory.then(|| format!("--max-memory is {} MiB", max_memory >> 20));
        let disk = low.disk.then(|| format!("--min-free-disk is {} MiB", min_free_disk >> 20));
        let parts: Vec<String> = memory.into_iter().chain(disk).collect();
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Blob;
    use crate::lpaxos::{Entries, Entry, Slot};

    fn state(count: u64) -> Replica<Key, Value> {
        let entries = (0..count).map(|number| {
            let value = Some(Blob::new(&[b'v'; 50]));
            (Blob::new(&number.to_be_bytes()), Entry { value, version: Slot(1) })
        });
        Replica::restore(entries.collect::<Entries<_, _>>(), None, Slot(1), Slot(0))
    }

    /// A bound on memory.
    const MOST: u64 = 1 << 30;

    fn settle(memory: &mut Memory, replica: &Replica<Key, Value>) -> bool {
        // More ticks than two weighings of any state here take.
        (0..20).for_each(|_| memory.look(MOST, MOST, replica));
        memory.is_low
    }

    #[test]
    fn beyond_the_bound_a_state_must_shrink_before_it_may_grow() {
        let mut memory = Memory::default();
        memory.look(MOST, MOST, &state(30_000));
        assert!(memory.is_low, "before it is weighed");
        assert!(settle(&mut memory, &state(30_000)));
        assert!(settle(&mut memory, &state(28_000)), "too little has gone");
        assert!(!settle(&mut memory, &state(20_000)));
        assert!(!settle(&mut memory, &state(29_000)), "it grows into what was freed");
        assert!(settle(&mut memory, &state(30_000)), "and no further");
        memory.look(MOST / 2, MOST, &state(30_000));
        assert!(!memory.is_low, "the process is below its bound again");
    }

    #[test]
    fn a_process_just_below_the_bound_that_it_took_is_beyond_it_still() {
        let (mut memory, state) = (Memory::default(), state(10));
        memory.look(MOST - 1, MOST, &state);
        assert!(!memory.is_low);
        for (bytes, is_low) in [(MOST, true), (MOST - 1, true), (MOST / 100 * 94, false)] {
            memory.look(bytes, MOST, &state);
            assert_eq!(memory.is_low, is_low, "{bytes}");
        }
        memory.look(MOST - 1, MOST, &state);
        assert!(!memory.is_low);
    }

    #[test]
    fn an_empty_state_has_room() {
        let mut memory = Memory::default();
        assert!(settle(&mut memory, &state(10_000)));
        assert!(!settle(&mut memory, &state(0)));
    }
}
