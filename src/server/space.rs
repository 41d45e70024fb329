//! Whether the node itself has room for a larger state.
//!
//! Disk space is free again once files are deleted. Memory is not: what deleted entries took stays
//! with the process and is used for the next entries. So while the process is above its bound on
//! memory, the node measures the size of its state, [`ENTRIES_PER_TICK`] entries at each tick. The
//! node has room again once the state is smaller than it was when the bound was reached, and has
//! none once the state is as large as it was then.

use std::ops::Bound;
use std::sync::Arc;

use super::resources::{Bounds, Measured};
use crate::kv::{Key, Value};
use crate::limits::ENTRY_OVERHEAD_BYTES;
use crate::lpaxos::{Low, Replica};

/// Entries measured at each tick: about a millisecond of work.
const ENTRIES_PER_TICK: usize = 8_192;
/// The state must shrink to this part of its former size, in percent, before it may grow again.
const ROOM_PERCENT: u64 = 90;
/// The memory must fall to this part of the bound, in percent, before the process counts as below
/// it. The memory always varies a little, and each crossing of the bound could depose a leader.
const BELOW_PERCENT: u64 = 95;
/// The free disk space must reach this part of its bound, in percent, before the state may grow
/// again.
const DISK_ROOM_PERCENT: u64 = 110;

/// The state of the space checks of one node.
#[derive(Debug)]
pub(super) struct Space {
    bounds: Bounds,
    measured: Arc<Measured>,
    memory: Memory,
    low_disk: bool,
}

/// The state of the memory check.
#[derive(Debug, Default)]
struct Memory {
    /// Whether the process reached its bound, and has not fallen below [`BELOW_PERCENT`] since.
    is_above: bool,
    is_low: bool,
    /// The maximum size of the state while the process is above its bound; `None` before it is
    /// measured.
    max: Option<u64>,
    measurement: SizeMeasurement,
}

/// A measurement of the size of a state, in steps.
#[derive(Debug, Default)]
struct SizeMeasurement {
    bytes: u64,
    after: Option<Key>,
}

impl SizeMeasurement {
    /// Measures the next [`ENTRIES_PER_TICK`] entries; returns the sum at the end, and starts
    /// again.
    fn advance(&mut self, replica: &Replica<Key, Value>) -> Option<u64> {
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
        let SizeMeasurement { bytes, .. } = std::mem::take(self);
        Some(bytes)
    }
}

impl Memory {
    /// Updates the check with the measured `bytes` and the bound on them.
    fn look(&mut self, bytes: u64, max: u64, replica: &Replica<Key, Value>) {
        let max = if self.is_above { max / 100 * BELOW_PERCENT } else { max };
        if bytes < max {
            *self = Memory::default();
            return;
        }
        self.is_above = true;
        let Some(max_size) = self.max else {
            // Nothing may grow until the size of the state that reached the bound is known.
            self.is_low = true;
            self.max = self.measurement.advance(replica);
            return;
        };
        if let Some(bytes) = self.measurement.advance(replica) {
            let room = if self.is_low { max_size / 100 * ROOM_PERCENT } else { max_size };
            self.is_low = bytes >= room;
        }
    }
}

impl Space {
    pub(super) fn new(bounds: Bounds, measured: Arc<Measured>) -> Space {
        Space { bounds, measured, memory: Memory::default(), low_disk: false }
    }

    /// Updates the checks from the last measurement. Must be called at each tick.
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

    /// Names the bounds that were reached. Leaves out the measured values, which change constantly.
    pub(super) fn bound_names(&self, low: Low) -> String {
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
    const MAX: u64 = 1 << 30;

    fn settle(memory: &mut Memory, replica: &Replica<Key, Value>) -> bool {
        // More ticks than two measurements of any state in these tests take.
        (0..20).for_each(|_| memory.look(MAX, MAX, replica));
        memory.is_low
    }

    #[test]
    fn above_the_bound_a_state_must_shrink_before_it_may_grow() {
        let mut memory = Memory::default();
        memory.look(MAX, MAX, &state(30_000));
        assert!(memory.is_low, "before it is measured");
        assert!(settle(&mut memory, &state(30_000)));
        assert!(settle(&mut memory, &state(28_000)), "it shrank too little");
        assert!(!settle(&mut memory, &state(20_000)));
        assert!(!settle(&mut memory, &state(29_000)), "it grows into the freed memory");
        assert!(settle(&mut memory, &state(30_000)), "and no further");
        memory.look(MAX / 2, MAX, &state(30_000));
        assert!(!memory.is_low, "the process is below its bound again");
    }

    #[test]
    fn a_process_just_below_the_bound_that_it_reached_counts_as_above_it() {
        let (mut memory, state) = (Memory::default(), state(10));
        memory.look(MAX - 1, MAX, &state);
        assert!(!memory.is_low);
        for (bytes, is_low) in [(MAX, true), (MAX - 1, true), (MAX / 100 * 94, false)] {
            memory.look(bytes, MAX, &state);
            assert_eq!(memory.is_low, is_low, "{bytes}");
        }
        memory.look(MAX - 1, MAX, &state);
        assert!(!memory.is_low);
    }

    #[test]
    fn an_empty_state_has_room() {
        let mut memory = Memory::default();
        assert!(settle(&mut memory, &state(10_000)));
        assert!(!settle(&mut memory, &state(0)));
    }
}
