//! Every operation of the disk fails once, in every way, with and without a loss of power.
//!
//! A sweep counts the operations of a run without faults, and repeats the run with a fault at each
//! of them.

use std::io::ErrorKind;

use lattistore::blob::Blob;
use lattistore::kv::{Key, Value};
use lattistore::lpaxos::{Ballot, Entry, NodeId, Record, Slot};
use lattistore::storage::StorageError;
use lattistore_sim::disk::{Fault, FaultKind, SimDisk};

use crate::workload::{Run, State, identity, open, run};

const ROUNDS: usize = 60;

const FAULTS: [FaultKind; 5] = [
    FaultKind::Error(ErrorKind::Other),
    FaultKind::Error(ErrorKind::StorageFull),
    FaultKind::TornAt(700),
    FaultKind::TornSectors,
    FaultKind::ErrorAfter(ErrorKind::Other),
];

/// Opens the disk, checks that the state is allowed after the run, and returns it.
fn check(disk: &SimDisk, before: &Run, what: &str) -> State {
    let opened = open(disk.process()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(before.allows(&opened.durable), "{what}: a state that was never acknowledged");
    if before.identified {
        assert_eq!(opened.identity, Some(identity()), "{what}: another identity");
    }
    opened.durable
}

#[test]
fn without_faults_every_round_is_there() {
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        for restart in 0..4 {
            let run = run(disk.process(), seed * 10 + restart, ROUNDS);
            assert!(run.error.is_none(), "seed {seed}: {:?}", run.error);
            assert_eq!(run.acknowledged, ROUNDS);
            disk.crash();
            check(&disk, &run, &format!("seed {seed} restart {restart}"));
        }
    }
}

#[test]
fn the_used_space_of_the_disk_is_bounded() {
    let disk = SimDisk::new(1);
    let mut used = Vec::new();
    for seed in 0..20 {
        let run = run(disk.process(), seed, ROUNDS);
        assert!(run.error.is_none(), "{:?}", run.error);
        used.push(disk.used());
    }
    let max = used[5..].iter().max().copied().unwrap_or(0);
    assert!(max < 400_000, "the disk grows: {used:?}");
}

/// For every operation: runs until the fault, ends the process, checks the state, and continues
/// from it.
fn sweep(crash: bool, kind: FaultKind) {
    let plain = SimDisk::new(1);
    drop(run(plain.process(), 1, ROUNDS));
    let operations = plain.operations();
    assert!(operations > 400, "{operations} operations are too few for a sweep");
    for operation in 1..=operations {
        let what = format!("{kind:?} at operation {operation}, crash {crash}");
        let disk = SimDisk::new(operation);
        disk.fail(Fault { operation, kind });
        let first = run(disk.process(), 1, ROUNDS);
        if crash {
            disk.crash()
        } else {
            disk.kill()
        }
        let opened = open(disk.process());
        // A state that was opened once counts as acknowledged, as the node acts on it at once.
        disk.crash();
        let found = check(&disk, &first, &what);
        let is_same = opened.is_ok_and(|opened| opened.durable == found);
        assert!(is_same, "{what}: another state when opened a second time");
        let few = usize::try_from(operation % 5 * 4).expect("it fits");
        let second = run(disk.process(), operation, few);
        assert!(second.states[0] == found, "{what}: another state when opened a third time");
        assert!(second.error.is_none(), "{what}: {:?} after the restart", second.error);
        disk.crash();
        check(&disk, &second, &format!("{what}, crash after the restart"));
    }
}

#[test]
fn any_operation_may_fail_before_a_power_loss() {
    FAULTS.iter().for_each(|kind| sweep(true, *kind));
}

#[test]
fn any_operation_may_fail_before_the_process_is_killed() {
    FAULTS.iter().for_each(|kind| sweep(false, *kind));
}

/// Opens a copy of the disk without one of its files. Returns whether that fails with an error that
/// names the file. Otherwise it must make no difference: the file is not used yet, or no longer.
fn notices_a_lost_file(disk: &SimDisk, before: &Run, file: u64, what: &str) -> bool {
    let opened = open(disk.copy(1).process()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let without = disk.copy(1);
    let names = without.process().list().expect("it lists");
    let Some(lost) = names.get(usize::try_from(file).expect("it fits") % names.len().max(1)) else {
        return false;
    };
    without.lose(lost);
    match open(without.process()) {
        Err(StorageError::Missing { file, .. }) => {
            assert!(file.ends_with(lost), "{what}: {file:?} for {lost}");
            true
        }
        Err(error) => panic!("{what}, without {lost}: {error}"),
        Ok(found) => {
            assert!(found.durable == opened.durable, "{what}, without {lost}: another state");
            let same = found.identity == opened.identity || !before.identified;
            assert!(same, "{what}, without {lost}: the identity");
            false
        }
    }
}

#[test]
fn power_may_fail_after_any_operation() {
    let mut noticed = 0;
    let plain = SimDisk::new(1);
    drop(run(plain.process(), 2, ROUNDS));
    for operation in 1..=plain.operations() {
        for seed in 0..4 {
            let disk = SimDisk::new(seed << 32 | operation);
            disk.fail(Fault { operation, kind: FaultKind::ErrorAfter(ErrorKind::Other) });
            let run = run(disk.process(), 2, ROUNDS);
            disk.crash();
            let what = format!("crash after operation {operation}, seed {seed}");
            if seed < 2 {
                noticed += u64::from(notices_a_lost_file(&disk, &run, operation + seed, &what));
            }
            check(&disk, &run, &what);
        }
    }
    assert!(noticed > plain.operations(), "{noticed} lost files were noticed");
}

#[test]
fn any_operation_of_a_start_may_fail() {
    let disk = SimDisk::new(3);
    let before = run(disk.process(), 3, 47);
    disk.crash();
    let plain = disk.copy(1);
    let found = open(plain.process()).expect("it opens").durable;
    assert!(before.allows(&found));
    let operations = plain.operations();
    assert!(operations > 10, "{operations} operations are too few for a sweep");
    for operation in 1..=operations {
        for kind in FAULTS {
            let disk = disk.copy(operation);
            disk.fail(Fault { operation, kind });
            drop(open(disk.process()));
            disk.crash();
            let opened = open(disk.process());
            let opened = opened.unwrap_or_else(|e| panic!("{kind:?} at {operation}: {e}"));
            assert_eq!(opened.durable, found, "{kind:?} at operation {operation} of the start");
        }
    }
}

/// Returns a disk after some rounds, the state on it, and how many operations writing `round`
/// takes.
fn disk_after(rounds: usize, round: &[Record<Key, Value>]) -> (SimDisk, State, u64) {
    let disk = SimDisk::new(1);
    let mut before = run(disk.process(), 4, rounds);
    disk.kill();
    let copy = disk.copy(1);
    let mut opened = open(copy.process()).expect("it opens");
    let operations = copy.operations();
    opened.storage.write(round).expect("it writes");
    (disk, before.states.swap_remove(rounds), copy.operations() - operations)
}

#[test]
fn the_last_round_may_be_torn_at_every_byte() {
    let entry = Entry { value: Some(Blob::from(vec![1; 5000])), version: Slot(u64::MAX / 2) };
    let round = vec![Record::Merge(vec![(Key::from("key 3"), entry)])];
    // Take a disk on which the round begins no segment: one operation writes it, the next syncs it.
    let mut disks = (30..).map(|rounds| disk_after(rounds, &round));
    let (disk, state, _) = disks.find(|(_, _, operations)| *operations == 2).expect("there is one");
    let mut after = state.clone();
    round.iter().for_each(|record| after.change(record));
    let mut found_after = 0;
    for byte in 0..=2 * 4096 {
        let disk = disk.copy(byte as u64 + 1);
        let mut opened = open(disk.process()).expect("it opens");
        assert!(opened.durable == state);
        disk.fail(Fault { operation: disk.operations() + 1, kind: FaultKind::TornAt(byte) });
        opened.storage.write(&round).expect_err("the write is torn");
        if byte % 2 == 0 {
            disk.crash()
        } else {
            disk.kill()
        }
        let found = open(disk.process()).expect("it opens").durable;
        assert!(found == state || found == after, "torn at byte {byte}");
        found_after += usize::from(found == after);
    }
    // The end of the last block is padding: a round that is torn there is complete.
    assert!((1000..4096).contains(&found_after), "the torn round was complete {found_after} times");
}

#[test]
fn after_an_error_nothing_is_written() {
    let disk = SimDisk::new(5);
    let mut run = run(disk.process(), 5, 0);
    let mut storage = run.storage.take().expect("it runs");
    let round = vec![Record::Promise(Ballot { round: 1, node: NodeId(1) })];
    storage.write(&round).expect("it writes");
    disk.fail(Fault { operation: disk.operations() + 2, kind: FaultKind::Error(ErrorKind::Other) });
    let error = storage.write(&round).expect_err("the sync fails").to_string();
    assert!(error.contains("sync"), "{error}");
    let operations = disk.operations();
    for _ in 0..3 {
        let again = storage.write(&round).expect_err("the storage has stopped").to_string();
        assert!(again.contains(&error), "{again}");
        storage.maintain(&State::default()).expect_err("the storage has stopped");
        storage.save_identity(&identity()).expect_err("the storage has stopped");
    }
    drop(storage);
    assert_eq!(disk.operations(), operations);
}

#[test]
fn after_a_failed_sync_on_another_thread_nothing_is_written() {
    let disk = SimDisk::new(5);
    let mut run = run(disk.process(), 5, 0);
    let mut storage = run.storage.take().expect("it runs");
    let round = vec![Record::Promise(Ballot { round: 1, node: NodeId(1) })];
    let unsynced = storage.begin(&round).expect("it writes").expect("there is something to sync");
    let synced = std::thread::spawn(|| unsynced.sync()).join().expect("the thread ends");
    synced.expect("it syncs");
    disk.fail(Fault { operation: disk.operations() + 2, kind: FaultKind::Error(ErrorKind::Other) });
    let unsynced = storage.begin(&round).expect("it writes").expect("there is something to sync");
    let synced = std::thread::spawn(|| unsynced.sync()).join().expect("the thread ends");
    let error = synced.expect_err("the sync fails").to_string();
    let operations = disk.operations();
    let again = storage.begin(&round).err().expect("the storage has stopped").to_string();
    assert!(again.contains(&error), "{again}");
    drop(storage);
    assert_eq!(disk.operations(), operations, "the storage wrote again");
}

#[test]
fn a_full_disk_is_an_error_and_the_node_restarts_when_there_is_space() {
    let plain = SimDisk::new(1);
    drop(run(plain.process(), 6, ROUNDS));
    for capacity in (0..plain.used() + 20_000).step_by(1_500) {
        let disk = SimDisk::new(capacity + 1);
        disk.set_capacity(Some(capacity));
        let full = run(disk.process(), 6, ROUNDS);
        if let Some(error) = &full.error {
            assert!(error.to_string().contains("no space left"), "{capacity}: {error}");
        }
        disk.kill();
        disk.set_capacity(None);
        let what = format!("capacity {capacity}");
        check(&disk, &full, &what);
        let again = run(disk.process(), capacity, ROUNDS);
        assert!(again.error.is_none(), "{what}: {:?}", again.error);
        disk.crash();
        check(&disk, &again, &what);
    }
}

#[test]
fn a_round_is_one_write_and_one_sync() {
    let disk = SimDisk::new(7);
    let mut run = run(disk.process(), 7, 3);
    let mut storage = run.storage.take().expect("it runs");
    let promised = run.states[run.acknowledged].promised;
    for _ in 0..20 {
        let (operations, syncs) = (disk.operations(), disk.syncs());
        storage.write(&[Record::Promise(promised)]).expect("it writes");
        if disk.syncs() == syncs + 1 {
            assert_eq!(disk.operations(), operations + 2);
            return;
        }
    }
    panic!("every round began a segment");
}
