//! Flipped bits; lost, truncated and foreign files: opening fails with an error that names the
//! file, or the damage makes no difference.

use std::sync::Arc;

use lattistore::blob::Blob;
use lattistore::kv::Key;
use lattistore::lpaxos::{Entry, Record, Slot};
use lattistore::storage::StorageError;
use lattistore_sim::disk::{FaultKind, SimDisk};

use crate::workload::{Run, State, identity, open, run, tiny_options};

/// Returns a disk with a checkpoint and with segments that are prepared, in use and no longer
/// needed; its storage was closed cleanly. Also returns the state.
fn closed_disk() -> (SimDisk, State) {
    let disk = SimDisk::new(9);
    let Run { states, acknowledged, storage, error, .. } = run(disk.process(), 20, 150);
    assert!(error.is_none(), "{error:?}");
    drop(storage);
    disk.kill();
    disk.lose("checkpoint.tmp");
    let names = names(&disk);
    assert!(names.iter().any(|name| name.starts_with("checkpoint-")), "{names:?}");
    assert!(names.iter().filter(|name| name.starts_with("journal-")).count() > 3, "{names:?}");
    (disk, states[acknowledged].clone())
}

fn names(disk: &SimDisk) -> Vec<String> {
    let mut names = disk.process().list().expect("it lists");
    names.sort();
    names
}

/// Whether opening fails because of the damage; otherwise the damage must make no difference.
fn is_noticed(disk: &SimDisk, file: &str, right: &State, what: &str) -> bool {
    match open(disk.process()) {
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains(file), "{what}: {error}");
            true
        }
        Ok(opened) => {
            assert!(opened.durable == *right, "{what}: a wrong state");
            assert_eq!(opened.identity, Some(identity()), "{what}: a wrong identity");
            // Dropping the storage must not write to this disk, which is not used again.
            disk.kill();
            false
        }
    }
}

#[test]
fn a_flipped_bit_is_noticed_or_makes_no_difference() {
    let (disk, right) = closed_disk();
    for file in names(&disk) {
        let content = disk.content(&file).expect("it is there");
        let mut unnoticed = 0;
        let used = |at: usize| content[at.saturating_sub(40)..].iter().take(80).any(|b| *b != 0);
        for at in (0..content.len()).filter(|at| used(*at) || at % 251 == 0) {
            let mut changed = content.clone();
            changed[at] ^= 1 << (at % 8);
            let copy = disk.copy(1);
            copy.set_content(&file, changed);
            let what = format!("{file}: bit flipped at {at}");
            unnoticed += usize::from(!is_noticed(&copy, &file, &right, &what));
        }
        if !file.starts_with("journal-") {
            assert_eq!(unnoticed, 0, "{file}: every flipped bit is noticed");
        }
    }
}

/// Returns a disk after its process was killed, which wrote `rounds`, and the acknowledged state.
fn killed_disk(rounds: usize) -> (SimDisk, State) {
    let disk = SimDisk::new(11);
    let Run { states, acknowledged, storage, error, .. } = run(disk.process(), 21, rounds);
    assert!(error.is_none(), "{error:?}");
    disk.kill();
    drop(storage);
    (disk, states[acknowledged].clone())
}

/// Returns directories that were closed cleanly or left by a killed process: with a checkpoint,
/// with a few rounds, and with none.
fn directories() -> Vec<(&'static str, SimDisk, State)> {
    let named = |name, (disk, state): (SimDisk, State)| (name, disk, state);
    let mut directories = vec![
        named("closed", closed_disk()),
        named("killed", killed_disk(150)),
        named("killed in its first segments", killed_disk(12)),
        named("killed as it was formed", killed_disk(0)),
    ];
    for (_, disk, right) in &mut directories {
        names(disk).iter().filter(|name| name.ends_with(".tmp")).for_each(|name| disk.lose(name));
        let found = open(disk.copy(1).process()).expect("it opens").durable;
        assert!(found == *right, "the state differs although no file is missing");
    }
    directories
}

#[test]
fn a_truncated_file_is_noticed() {
    for (directory, disk, right) in directories() {
        for file in names(&disk) {
            let content = disk.content(&file).expect("it is there");
            for length in (0..content.len()).filter(|at| at % 97 == 0 || at + 5 > content.len()) {
                let copy = disk.copy(1);
                copy.set_content(&file, content[..length].to_vec());
                let what = format!("{directory}, {file}: cut at {length}");
                assert!(is_noticed(&copy, &file, &right, &what), "{what}: not noticed");
            }
        }
    }
}

#[test]
fn every_set_of_missing_files_is_noticed() {
    for (directory, disk, _) in directories() {
        let names = names(&disk);
        assert!((3..14).contains(&names.len()), "{directory}: {names:?}");
        let all = (1_u32 << names.len()) - 1;
        // Without any file it is a new directory.
        for subset in 1..all {
            let is_lost = |at: &usize| subset >> at & 1 == 1;
            let lost: Vec<&String> =
                (0..names.len()).filter(is_lost).map(|at| &names[at]).collect();
            let copy = disk.copy(1);
            lost.iter().for_each(|name| copy.lose(name));
            match open(copy.process()) {
                Err(StorageError::Missing { file, .. }) => {
                    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
                    assert!(lost.contains(&&name), "{directory} without {lost:?}: {name}");
                }
                Err(error) => panic!("{directory} without {lost:?}: {error}"),
                Ok(_) => panic!("{directory} without {lost:?}: not noticed"),
            }
        }
    }
}

#[test]
fn a_list_of_files_that_is_older_than_the_journal_is_noticed() {
    let disk = SimDisk::new(9);
    let mut run = run(disk.process(), 20, 0);
    let mut storage = run.storage.take().expect("it runs");
    let (older, before) = (disk.content("FORMAT"), names(&disk));
    for version in 1..20 {
        let entry = Entry { value: Some(Blob::from(vec![1; 3_000])), version: Slot(version) };
        storage.write(&[Record::Merge(vec![(Key::from("key"), entry)])]).expect("it writes");
    }
    disk.kill();
    drop(storage);
    assert!(before.iter().all(|name| disk.content(name).is_some()), "a file was removed");
    disk.set_content("FORMAT", older.expect("it is there"));
    let error = open(disk.process()).err().expect("it is refused").to_string();
    assert!(error.contains("FORMAT") && error.contains("older than the journal"), "{error}");
}

#[test]
fn files_of_another_data_directory_are_refused() {
    let (disk, _) = closed_disk();
    let other = SimDisk::new(2);
    let options = lattistore::storage::StorageOptions { seed: 77, ..tiny_options() };
    let opened = lattistore::storage::open_disk(other.process(), options, &mut |_| ());
    let mut storage = opened.expect("it opens").storage;
    storage.save_identity(&identity()).expect("it saves");
    drop(storage);
    for file in ["FORMAT", "identity"] {
        let copy = disk.copy(1);
        copy.set_content(file, other.content(file).expect("it is there"));
        let error = open(copy.process()).err().expect("it is refused").to_string();
        assert!(error.contains("another data directory"), "{file}: {error}");
    }
    let journal = names(&other).into_iter().find(|name| name.starts_with("journal-"));
    let journal = journal.expect("there is a journal");
    let fresh = SimDisk::new(3);
    drop(run(fresh.process(), 1, 3));
    fresh.set_content(&journal, other.content(&journal).expect("it is there"));
    let error = open(fresh.process()).err().expect("it is refused").to_string();
    assert!(error.contains("another data directory") && error.contains(&journal), "{error}");
}

/// Returns the header of a round, with what a client could know of it.
fn forged_round(sequence: u64, block: u32) -> Vec<u8> {
    let mut header = 7_u64.to_be_bytes().to_vec();
    header.extend(sequence.to_be_bytes());
    header.extend(block.to_be_bytes());
    header.extend([0; 12]);
    header.extend(crc32fast::hash(&header).to_be_bytes());
    header
}

#[test]
fn a_value_that_looks_like_a_round_is_not_read_as_one() {
    const BLOCK: usize = 4096;
    let disk = SimDisk::new(1);
    let mut opened = open(disk.process()).expect("it opens");
    opened.storage.save_identity(&identity()).expect("it saves");
    // The second block of this first round looks like the header of a later round.
    let forged = forged_round(9, 2);
    let before = 36 + 1 + 4 + 4 + 3 + 8 + 4;
    let mut value = vec![0; BLOCK - before];
    value.extend(&forged);
    let entry = Entry { value: Some(Blob::from(value)), version: Slot(1) };
    let round = vec![Record::Merge(vec![(Key::from("key"), entry)])];
    opened.storage.write(&round).expect("it writes");
    disk.kill();
    let file = names(&disk).into_iter().find(|name| name.starts_with("journal-"));
    let file = file.expect("there is a journal");
    let mut content = disk.content(&file).expect("it is there");
    assert_eq!(content[2 * BLOCK..][..forged.len()], forged);
    // The header of the round is torn. It is the last round, so it is dropped.
    content[BLOCK] ^= 1;
    disk.set_content(&file, content);
    let opened = open(disk.process()).expect("it opens");
    assert!(opened.durable == State::default());
}

/// Raises the format version of a file by one and corrects its checksum; returns the version.
fn make_later(content: &mut [u8]) -> u32 {
    let field = |at: usize, bytes: usize| content[at..at + bytes].iter();
    let number = |at, bytes| field(at, bytes).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let (later, length) = (number(8, 4) + 1, number(12, 8));
    let later = u32::try_from(later).expect("a version");
    let length = usize::try_from(length).expect("a length");
    content[8..12].copy_from_slice(&later.to_be_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&content[..20]);
    hasher.update(&content[24..24 + length]);
    content[20..24].copy_from_slice(&hasher.finalize().to_be_bytes());
    later
}

#[test]
fn a_file_of_a_later_format_is_refused_and_left_unchanged() {
    let (disk, _) = closed_disk();
    // A later release may need a file that looks unfinished to this one.
    disk.set_content("checkpoint.tmp", vec![1]);
    let all = names(&disk);
    let versioned = ["FORMAT", "identity", "checkpoint-", "journal-"];
    for kind in versioned {
        let disk = disk.copy(1);
        let file = all.iter().rev().find(|name| name.starts_with(kind)).expect(kind);
        let before = disk.content(file).expect("it is there");
        let mut content = before.clone();
        let later = make_later(&mut content);
        disk.set_content(file, content.clone());
        let error = open(disk.process()).err().expect("it is refused");
        let StorageError::UnknownVersion { file: path, found, known } = &error else {
            panic!("{kind}: {error}");
        };
        assert!(path.ends_with(file), "{error}");
        assert_eq!((*found, *known), (later, later - 1), "{error}");
        let says = format!("version {later}, this server knows versions up to {}", later - 1);
        assert!(error.to_string().contains(&says), "{error}");
        assert_eq!(disk.content(file), Some(content), "{kind}");
        if kind == "FORMAT" {
            assert_eq!(names(&disk), all, "a file was removed or made");
        }
        disk.set_content(file, before);
        open(disk.process()).expect("it opens again");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let (disk, _) = closed_disk();
    let process = disk.process();
    for operation in disk.operations() + 1..disk.operations() + 40 {
        let kind = FaultKind::Error(std::io::ErrorKind::ReadOnlyFilesystem);
        disk.fail(lattistore_sim::disk::Fault { operation, kind });
    }
    let error = open(Arc::clone(&process)).err().expect("it is refused");
    assert!(matches!(error, StorageError::NotWritable { .. }), "{error}");
}
