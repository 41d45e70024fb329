//! A checkpoint is taken page by page while the node goes on, and is exact all the same.

use lattistore::blob::Blob;
use lattistore::kv::Key;
use lattistore::lpaxos::{Entry, Record, Slot};
use lattistore::storage::{Opened, StorageOptions, open_disk};
use lattistore_sim::disk::SimDisk;

use crate::workload::{Random, Round, State, identity, round, tiny_options};

/// A checkpoint is always being made, one key at a time.
fn restless() -> StorageOptions {
    StorageOptions { checkpoint_after_bytes: 0, page_entries: 1, ..tiny_options() }
}

fn open(disk: &SimDisk) -> Opened {
    let mut opened = open_disk(disk.process(), restless(), &mut |_| ()).expect("it opens");
    opened.storage.save_identity(&identity()).expect("it saves");
    opened
}

fn write(opened: &mut Opened, round: Round) {
    round.iter().for_each(|record| opened.durable.change(record));
    opened.storage.write(&round).expect("it writes");
    opened.storage.maintain(&opened.durable).expect("it maintains");
}

fn end_checkpoint(opened: &mut Opened) {
    while opened.storage.status().checkpointing {
        opened.storage.maintain(&opened.durable).expect("it maintains");
    }
}

fn fact(key: &'static str, version: u64, value: Option<&'static str>) -> Round {
    let entry = Entry { value: value.map(Blob::from), version: Slot(version) };
    vec![Record::Merge(vec![(Key::from(key), entry)])]
}

#[test]
fn a_deleted_key_stays_deleted_when_its_tombstone_is_dropped_before_its_page_is_taken() {
    let disk = SimDisk::new(1);
    let mut opened = open(&disk);
    write(&mut opened, fact("z", 10, None));
    for key in ["b", "c", "d", "e", "f", "g"] {
        write(&mut opened, fact(key, 10, Some("before z in the walk")));
    }
    // Until now a checkpoint of the empty state may be running: end it.
    end_checkpoint(&mut opened);
    // The tombstone is in the state from which the next one starts ...
    write(&mut opened, fact("a", 11, Some("first")));
    assert!(opened.storage.status().checkpointing);
    // ... which hides an older write that comes late ...
    write(&mut opened, fact("z", 7, Some("deleted")));
    // ... and it is dropped before the walk, which is not far yet, gets there.
    write(&mut opened, vec![Record::RaiseComplete(Slot(20)), Record::DropTombstones(Slot(15))]);
    let before = opened.storage.status().checkpoint_bytes;
    end_checkpoint(&mut opened);
    assert_ne!(opened.storage.status().checkpoint_bytes, before);
    disk.crash();
    let right = opened.durable.clone();
    assert_eq!(right.replica.get(&b"z"[..]), None);
    assert!(open(&disk).durable == right);
}

#[test]
fn the_state_is_exact_wherever_the_walk_and_the_crash_are() {
    for seed in 0..60 {
        let disk = SimDisk::new(seed + 1);
        let mut random = Random(seed);
        let mut state = State::default();
        for _ in 0..12 {
            let mut opened = open(&disk);
            assert!(opened.durable == state, "seed {seed}");
            for _ in 0..1 + random.below(60) {
                let round = round(&mut random, &opened.durable);
                write(&mut opened, round);
            }
            state = opened.durable.clone();
            disk.crash();
        }
    }
}

#[test]
fn a_round_that_the_checkpoint_reflects_is_not_taken_for_a_torn_one() {
    let options = || StorageOptions { seal_after_idle_calls: u32::MAX, ..restless() };
    let disk = SimDisk::new(1);
    let mut opened = open_disk(disk.process(), options(), &mut |_| ()).expect("it opens");
    opened.storage.save_identity(&identity()).expect("it saves");
    for key in ["a", "b", "c", "d", "e", "f"] {
        write(&mut opened, fact(key, 10, Some("before")));
    }
    end_checkpoint(&mut opened);
    write(&mut opened, fact("g", 11, Some("this begins a checkpoint")));
    write(&mut opened, fact("z", 12, Some("last words")));
    end_checkpoint(&mut opened);
    disk.kill();
    let mut names = disk.process().list().expect("it lists");
    names.retain(|name| name.starts_with("journal-"));
    let last = |content: &[u8]| content.windows(10).rposition(|bytes| bytes == b"last words");
    let found = names.iter().find_map(|name| {
        let content = disk.content(name)?;
        last(&content).map(|at| (name, content, at))
    });
    let (name, mut content, at) = found.expect("the round is somewhere");
    content[at] ^= 1;
    disk.set_content(name, content);
    let refused = open_disk(disk.process(), options(), &mut |_| ());
    let error = refused.err().expect("it is refused").to_string();
    assert!(error.contains(name.as_str()), "{error}");
}

#[test]
fn rounds_larger_than_a_page_do_not_outrun_the_checkpoint() {
    let disk = SimDisk::new(1);
    let mut opened = open_disk(disk.process(), tiny_options(), &mut |_| ()).expect("it opens");
    opened.storage.save_identity(&identity()).expect("it saves");
    let mut most = 0;
    for version in 1..2000_u64 {
        let value = Some(Blob::from(vec![1; 300]));
        let entries = (0..20)
            .map(|n| (version * 7 + n) % 100)
            .map(|n| {
                let key = Key::from(&*format!("{n:03}"));
                (key, Entry { value: value.clone(), version: Slot(version) })
            })
            .collect();
        write(&mut opened, vec![Record::Merge(entries)]);
        most = most.max(disk.used());
    }
    // The state has 31,000 bytes; two checkpoints, the journal of one, and what is kept in reserve.
    assert!(most < 300_000, "{most} bytes");
}
