//! Patches applied to a replica, as each node does once for each slot.

use divan::Bencher;
use divan::counter::ItemsCount;
use lattistore::lpaxos::Record;

use super::data::{Random, state};

const KEYS: [u64; 3] = [1_000, 100_000, 1_000_000];

/// Measures applying a patch. Each write replaces an older value, as every key exists.
#[divan::bench(args = KEYS, consts = [32, 256])]
fn merge_patch<const WRITES: usize>(bencher: Bencher<'_, '_>, keys: u64) {
    let mut random = Random::new();
    let mut durable = state(keys);
    bencher
        .counter(ItemsCount::new(WRITES))
        .with_inputs(|| random.patch(WRITES, keys))
        .bench_local_values(|patch| {
            let slot = durable.replica.complete().next();
            durable.change(&Record::Apply(slot, patch.into()));
        });
}
