//! Rounds written to the journal and synced. A node's vote for a decree waits for one such write.
//!
//! The disk is that of the directory for temporary files, which `TMPDIR` can change.

use divan::Bencher;
use divan::counter::BytesCount;
use lattistore::lpaxos::{NodeId, Proposal, Record};
use lattistore::storage::{Identity, Opened, StorageOptions, open_directory};

use super::data::{BALLOT, KEY_BYTES, Random, VALUE_BYTES};

const KEYS: u64 = 1_000;

/// Measures a round that applies the previous decree and accepts the next one, of about `bytes`
/// bytes.
#[divan::bench(args = [4 << 10, 64 << 10], sample_size = 1)]
fn append_and_sync(bencher: Bencher<'_, '_>, bytes: usize) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let opened = open_directory(directory.path(), StorageOptions::default(), &mut |_| ());
    let Opened { mut durable, mut storage, .. } = opened.expect("a new directory can be opened");
    let identity = Identity { node: NodeId(1), membership: None };
    storage.save_identity(&identity).expect("the identity can be written");
    let promise = [Record::Promise(BALLOT)];
    durable.change(&promise[0]);
    storage.write(&promise).expect("the promise can be written");

    let mut random = Random::new();
    let storage = std::cell::RefCell::new(storage);
    bencher
        .counter(BytesCount::new(bytes))
        .with_inputs(|| {
            // A node does this after each round; it is not part of the measured time.
            storage.borrow_mut().maintain(&durable).expect("the storage can be maintained");
            let slot = durable.accepted_slot();
            let decree = random.patch(bytes / (KEY_BYTES + VALUE_BYTES), KEYS).into();
            let accept = Record::Accept(Proposal { ballot: BALLOT, slot: slot.next(), decree });
            let apply = (slot > durable.replica.complete()).then_some(Record::ApplyAccepted(slot));
            let round: Vec<_> = apply.into_iter().chain([accept]).collect();
            round.iter().for_each(|record| durable.change(record));
            round
        })
        .bench_local_refs(|round| storage.borrow_mut().write(round).expect("a round is written"));
}
