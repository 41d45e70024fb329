//! A checkpoint is taken page by page while the node writes. Checkpoint and journal together must
//! hold exactly the state of the last round.

use lattistore::blob::Blob;
use lattistore::kv::Key;
use lattistore::lpaxos::{Entry, Record, Slot};
use lattistore::storage::{Opened, StorageOptions, open_disk};
use lattistore_sim::disk::SimDisk;

use crate::workload::{Random, Round, State, identity, round, tiny_options};

/// Returns options by which a checkpoint is always under way, one key at a time.
fn continuous_checkpoints() -> StorageOptions {
    StorageOptions { checkpoint_after_bytes: 0, page_entries: 1, ..tiny_options() }
}

fn open(disk: &SimDisk) -> Opened {
    let mut opened =
        open_disk(disk.process(), continuous_checkpoints(), &mut |_| ()).expect("it opens");
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
fn a_deleted_key_stays_deleted_when_its_tombstone_is_dropped_before_its_page_is_written() {
    let disk = SimDisk::new(1);
    let mut opened = open(&disk);
    write(&mut opened, fact("z", 10, None));
    for key in ["b", "c", "d", "e", "f", "g"] {
        write(&mut opened, fact(key, 10, Some("before z in the order of keys")));
    }
    // A checkpoint of the empty state may still be under way.
    end_checkpoint(&mut opened);
    // The next checkpoint begins with the tombstone in the state. The tombstone ...
    write(&mut opened, fact("a", 11, Some("first")));
    assert!(opened.storage.status().checkpointing);
    // ... hides an older write that arrives after it ...
    write(&mut opened, fact("z", 7, Some("deleted")));
    // ... and is dropped before the checkpoint reaches its key.
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
fn the_state_is_exact_for_any_position_of_checkpoint_and_crash() {
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
fn a_damaged_round_that_the_checkpoint_holds_is_not_dropped_as_torn() {
    let options = || StorageOptions { seal_after_idle_calls: u32::MAX, ..continuous_checkpoints() };
    let disk = SimDisk::new(1);
    let mut opened = open_disk(disk.process(), options(), &mut |_| ()).expect("it opens");
    opened.storage.save_identity(&identity()).expect("it saves");
    for key in ["a", "b", "c", "d", "e", "f"] {
        write(&mut opened, fact(key, 10, Some("before")));
    }
    end_checkpoint(&mut opened);
    write(&mut opened, fact("g", 11, Some("this begins a checkpoint")));
    write(&mut opened, fact("z", 12, Some("last round")));
    end_checkpoint(&mut opened);
    disk.kill();
    let mut names = disk.process().list().expect("it lists");
    names.retain(|name| name.starts_with("journal-"));
    let last = |content: &[u8]| content.windows(10).rposition(|bytes| bytes == b"last round");
    let found = names.iter().find_map(|name| {
        let content = disk.content(name)?;
        last(&content).map(|at| (name, content, at))
    });
    let (name, mut content, at) = found.expect("the round is in a segment");
    content[at] ^= 1;
    disk.set_content(name, content);
    let refused = open_disk(disk.process(), options(), &mut |_| ());
    let error = refused.err().expect("it is refused").to_string();
    assert!(error.contains(name.as_str()), "{error}");
}

#[test]
fn a_checkpoint_keeps_up_with_rounds_larger_than_a_page() {
    let disk = SimDisk::new(1);
    let mut opened = open_disk(disk.process(), tiny_options(), &mut |_| ()).expect("it opens");
    opened.storage.save_identity(&identity()).expect("it saves");
    let mut max_used = 0;
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
        max_used = max_used.max(disk.used());
    }
    // The state has 31,000 bytes. The disk holds two checkpoints, the journal since the older one,
    // and prepared segments.
    assert!(max_used < 300_000, "{max_used} bytes");
}
