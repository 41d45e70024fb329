//! Real directories: the lock, foreign files, failed starts, and background threads.

use std::fs;
use std::path::Path;

use lattistore::blob::Blob;
use lattistore::kv::Key;
use lattistore::lpaxos::{Entry, Record, Slot};
use lattistore::storage::{
    Background, Opened, StorageError, StorageOptions, open_directory, open_for_a_start,
};

use crate::workload::{Random, State, identity, round, tiny_options};

fn open(directory: &Path, options: StorageOptions) -> Result<Opened, StorageError> {
    open_directory(directory, options, &mut |_| ())
}

fn on_threads() -> StorageOptions {
    StorageOptions { background: Background::Thread, ..tiny_options() }
}

#[test]
fn a_state_written_with_threads_reads_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("made/on/the/way");
    let mut state = State::default();
    let mut random = Random(1);
    for restart in 0..5 {
        let opened = open(&path, on_threads()).expect("it opens");
        assert!(opened.durable == state, "restart {restart}");
        assert_eq!(opened.identity, (restart > 0).then(identity));
        let mut storage = opened.storage;
        storage.save_identity(&identity()).expect("it saves");
        for _ in 0..200 {
            let round = round(&mut random, &state);
            round.iter().for_each(|record| state.change(record));
            storage.write(&round).expect("it writes");
            storage.maintain(&state).expect("it maintains");
        }
        let status = storage.status();
        assert!(status.disk_bytes < 2_000_000, "{status:?}");
    }
    let names: Vec<_> = fs::read_dir(&path).expect("it lists").collect();
    assert!(names.len() < 60, "{names:?}");
}

#[test]
fn a_round_larger_than_a_segment_reads_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut state = State::default();
    let mut opened = open(directory.path(), on_threads()).expect("it opens");
    opened.storage.save_identity(&identity()).expect("it saves");
    for (version, size) in [(1, 10), (2, 5 << 20), (3, 100), (4, 16 << 10), (5, 3)] {
        let value = Some(Blob::from(vec![7; size]));
        let entry = Entry { value, version: Slot(version) };
        let round = [Record::Merge(vec![(Key::from("key"), entry)])];
        round.iter().for_each(|record| state.change(record));
        opened.storage.write(&round).expect("it writes");
        drop(opened);
        opened = open(directory.path(), on_threads()).expect("it opens");
        assert!(opened.durable == state, "after {size} bytes");
    }
    for _ in 0..100 {
        opened.storage.write(&[Record::RaiseComplete(Slot(1))]).expect("it writes");
        state.change(&Record::RaiseComplete(Slot(1)));
        opened.storage.maintain(&state).expect("it maintains");
        if !opened.storage.status().checkpointing
            && opened.storage.status().checkpoint_bytes > 0
            && opened.storage.status().uncovered_bytes < 64 << 10
        {
            break;
        }
    }
    drop(opened);
    let segments = fs::read_dir(directory.path()).expect("it lists").filter_map(Result::ok);
    let largest = segments.filter_map(|file| file.metadata().ok()).map(|data| data.len()).max();
    assert!(largest.is_some_and(|bytes| bytes < 1 << 20), "the large segment was not removed");
    assert!(open(directory.path(), on_threads()).expect("it opens").durable == state);
}

#[test]
fn two_servers_cannot_use_one_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = open(directory.path(), on_threads()).expect("it opens");
    let error = open(directory.path(), on_threads()).err().expect("it is locked");
    assert!(matches!(error, StorageError::Locked { .. }), "{error}");
    drop(first);
    open(directory.path(), on_threads()).expect("it is free again");
}

#[test]
fn a_directory_of_another_program_is_refused_and_left_unchanged() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("photo.jpg"), "a cat").expect("it writes");
    let error = open(directory.path(), on_threads()).err().expect("it is refused");
    assert!(matches!(error, StorageError::NotADataDirectory { .. }), "{error}");
    assert_eq!(fs::read_dir(directory.path()).expect("it lists").count(), 1);
}

#[test]
fn a_file_in_place_of_the_directory_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    fs::write(&path, "").expect("it writes");
    let error = open(&path, on_threads()).err().expect("it is refused");
    assert!(matches!(error, StorageError::NotADataDirectory { .. }), "{error}");
}

#[test]
fn an_identity_without_its_journal_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut opened = open(directory.path(), on_threads()).expect("it opens");
    opened.storage.save_identity(&identity()).expect("it saves");
    drop(opened);
    for file in fs::read_dir(directory.path()).expect("it lists").filter_map(Result::ok) {
        if file.file_name().to_string_lossy().starts_with("journal-") {
            fs::remove_file(file.path()).expect("it removes");
        }
    }
    let error = open(directory.path(), on_threads()).err().expect("it is refused");
    assert!(matches!(error, StorageError::Missing { .. }), "{error}");
}

fn listed(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it lists").filter_map(Result::ok);
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Runs a start that writes the identity and then fails.
fn start_and_fail(directory: &Path) {
    let (mut opened, made) =
        open_for_a_start(directory, on_threads(), &mut |_| ()).expect("it opens");
    opened.storage.save_identity(&identity()).expect("it saves");
    drop(opened);
    assert!(listed(directory).len() > 3, "{:?}", listed(directory));
    drop(made);
}

#[test]
fn a_start_that_fails_leaves_nothing_in_a_new_directory() {
    let above = tempfile::tempdir().expect("a directory");
    start_and_fail(&above.path().join("made/on/the/way"));
    assert!(listed(above.path()).is_empty(), "{:?}", listed(above.path()));
    // A directory that the start made stays if another program has put a file there.
    let directory = above.path().join("made/again");
    let (opened, made) = open_for_a_start(&directory, on_threads(), &mut |_| ()).expect("it opens");
    fs::write(above.path().join("made/other"), "").expect("it writes");
    drop((opened, made));
    assert_eq!(listed(&above.path().join("made")), ["other"]);
    // An empty directory that existed before stays, with the files of the file system.
    fs::create_dir(above.path().join("made/lost+found")).expect("a directory");
    fs::remove_file(above.path().join("made/other")).expect("it removes");
    start_and_fail(&above.path().join("made"));
    assert_eq!(listed(&above.path().join("made")), ["lost+found"]);
}

#[test]
fn a_start_that_fails_on_a_directory_in_use_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut first = open(directory.path(), on_threads()).expect("it opens");
    first.storage.save_identity(&identity()).expect("it saves");
    let error = open_for_a_start(directory.path(), on_threads(), &mut |_| ());
    assert!(matches!(error, Err(StorageError::Locked { .. })), "it is locked");
    drop(first);
    let before = listed(directory.path());
    start_and_fail(directory.path());
    assert_eq!(listed(directory.path()), before);
    let opened = open(directory.path(), on_threads()).expect("it opens");
    assert_eq!(opened.identity, Some(identity()));
}

#[test]
fn files_of_the_file_system_in_a_directory_are_accepted() {
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["lost+found", ".snapshot", ".Trash-1000"] {
        fs::create_dir(directory.path().join(name)).expect("a directory");
    }
    for name in ["aquota.user", ".nfs000000000001", ".keep"] {
        fs::write(directory.path().join(name), "").expect("it writes");
    }
    let mut opened = open(directory.path(), on_threads()).expect("it opens");
    opened.storage.save_identity(&identity()).expect("it saves");
    drop(opened);
    let opened = open(directory.path(), on_threads()).expect("it opens again");
    assert_eq!(opened.identity, Some(identity()));
    drop(opened);
    // Any other file is foreign, also among those.
    let other = tempfile::tempdir().expect("a directory");
    fs::create_dir(other.path().join("lost+found")).expect("a directory");
    fs::write(other.path().join(".profile"), "").expect("it writes");
    let error = open(other.path(), on_threads()).err().expect("it is refused").to_string();
    assert!(error.contains(".profile"), "{error}");
    assert_eq!(listed(other.path()), [".profile", "lost+found"]);
}
