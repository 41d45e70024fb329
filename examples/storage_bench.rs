//! Measures the storage on disk: rounds per second, and keys per second at the start.
//!
//! `cargo run --release --example storage_bench -- DIRECTORY [KEYS]` makes the directory, which
//! must not exist, uses it and removes it. Keys have 16 bytes and values 256 bytes.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lattistore::lpaxos::{Ballot, Durable, Entry, NodeId, Patch, Proposal, Record, Slot};
use lattistore::storage::{
    Identity, Key, Opened, Storage, StorageError, StorageOptions, Value, open_directory,
};

type State = Durable<Key, Value>;

fn key(number: u64) -> Key {
    Key::from(&*format!("{number:016x}"))
}

fn value(number: u64) -> Value {
    Value::from(number.to_be_bytes().repeat(32))
}

fn main() -> Result<(), StorageError> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| "./lattistore-bench".to_string());
    let keys = arguments.next().and_then(|keys| keys.parse().ok()).unwrap_or(1_000_000);
    let directory = Path::new(&directory);
    for batch in [1, 10, 100, 1000] {
        rounds(directory, batch)?;
        remove(directory);
    }
    start_up(directory, keys)?;
    remove(directory);
    Ok(())
}

fn remove(directory: &Path) {
    std::fs::remove_dir_all(directory).expect("the benchmark's own directory can be removed");
}

fn open(directory: &Path) -> Result<Opened, StorageError> {
    let mut opened = open_directory(directory, StorageOptions::default(), &mut |_| ())?;
    if opened.identity.is_none() {
        opened.storage.save_identity(&Identity { node: NodeId(1), membership: None })?;
    }
    Ok(opened)
}

/// Measures rounds as a leader or follower writes them: apply the last patch, accept the next one.
fn rounds(directory: &Path, batch: u64) -> Result<(), StorageError> {
    const KEYS: u64 = 100_000;
    let Opened { mut durable, mut storage, .. } = open(directory)?;
    let ballot = Ballot { round: 1, node: NodeId(1) };
    write(&mut durable, storage.as_mut(), vec![Record::Promise(ballot)])?;
    for first in (0..KEYS).step_by(1000) {
        let entries = (first..first + 1000)
            .map(|n| (key(n), Entry { value: Some(value(n)), version: Slot(1) }))
            .collect();
        write(&mut durable, storage.as_mut(), vec![Record::Merge(entries)])?;
    }
    write(&mut durable, storage.as_mut(), vec![Record::RaiseComplete(Slot(1))])?;
    let mut writes = Vec::new();
    let mut slices = Vec::new();
    let mut random = 1_u64;
    let started = Instant::now();
    let mut slot = 1;
    while started.elapsed() < Duration::from_secs(5) {
        slot += 1;
        let patch = (0..batch)
            .map(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (key((random >> 33) % KEYS), Some(value(slot)))
            })
            .collect();
        let proposal =
            Proposal { ballot, slot: Slot(slot), decree: Arc::new(Patch::new(patch)).into() };
        let mut records = Vec::new();
        if slot > 2 {
            records.push(Record::ApplyAccepted(Slot(slot - 1)));
        }
        records.push(Record::Accept(proposal));
        records.iter().for_each(|record| durable.change(record));
        let at = Instant::now();
        storage.write(&records)?;
        writes.push(at.elapsed());
        let at = Instant::now();
        storage.maintain(&durable)?;
        slices.push(at.elapsed());
    }
    let per_second = writes.len() as f64 / started.elapsed().as_secs_f64();
    println!(
        "{batch:5} keys a round: {per_second:7.0} rounds/s  write {}  maintain {}  {:?}",
        percentiles(&mut writes),
        percentiles(&mut slices),
        storage.status(),
    );
    Ok(())
}

fn write(
    durable: &mut State,
    storage: &mut dyn Storage,
    records: Vec<Record<Key, Value>>,
) -> Result<(), StorageError> {
    records.iter().for_each(|record| durable.change(record));
    storage.write(&records)?;
    storage.maintain(durable)
}

fn percentiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 1000].as_micros();
    format!("p50 {} p99 {} p99.9 {} max {} us", at(500), at(990), at(999), at(1000))
}

/// Measures opening a directory with `keys` keys: first in the journal, then in a checkpoint.
fn start_up(directory: &Path, keys: u64) -> Result<(), StorageError> {
    let Opened { mut durable, mut storage, .. } = open(directory)?;
    let started = Instant::now();
    for first in (0..keys).step_by(100) {
        let entries = (first..first + 100)
            .map(|n| {
                // A scattered order, as clients would write the keys.
                let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                (key(n), Entry { value: Some(value(n)), version: Slot(1) })
            })
            .collect();
        let records = vec![Record::Merge(entries)];
        records.iter().for_each(|record| durable.change(record));
        storage.write(&records)?;
        if first > keys / 2 {
            storage.maintain(&durable)?;
        }
    }
    println!("{keys} keys written in {:.1} s", started.elapsed().as_secs_f64());
    let status = storage.status();
    drop(storage);
    measure_open(directory, "journal", status.checkpoint_bytes, &durable)?;
    let mut opened = open(directory)?;
    let started = Instant::now();
    let mut calls = 0;
    for _ in 0..200_000 {
        opened.storage.maintain(&durable)?;
        calls += 1;
        let status = opened.storage.status();
        if !status.checkpointing && status.uncovered_bytes < 64 << 20 {
            break;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    let status = opened.storage.status();
    println!(
        "checkpoint: {} bytes in {:.1} s and {calls} slices",
        status.checkpoint_bytes,
        started.elapsed().as_secs_f64(),
    );
    drop(opened);
    measure_open(directory, "checkpoint", status.checkpoint_bytes, &durable)
}

fn measure_open(
    directory: &Path,
    what: &str,
    bytes: u64,
    expected: &State,
) -> Result<(), StorageError> {
    for _ in 0..3 {
        let started = Instant::now();
        let opened = open(directory)?;
        let seconds = started.elapsed().as_secs_f64();
        assert!(opened.durable == *expected, "the state differs from the one that was written");
        let keys = opened.durable.replica.entry_count();
        println!(
            "start from the {what} ({bytes} bytes of checkpoint): {keys} keys in {seconds:.2} s, \
             {:.0} keys/s",
            keys as f64 / seconds,
        );
    }
    Ok(())
}
