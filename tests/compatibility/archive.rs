//! Archives: a directory of files as one file, without zeros, of which most of a journal segment
//! consists.
//!
//! An archive has for each file: the length of its name (1 byte), the name, the length of the file
//! (8 bytes), the number of runs (4), and for each run its offset (8), its length (4) and its
//! bytes. A byte that is in no run is zero.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::{Buf, BufMut};

/// Runs consist of whole pieces of this size, except at the end of a file.
const PIECE: usize = 64;

/// Files by their names.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Reads all files of a directory, except the lock and unfinished files.
pub(crate) fn read_directory(directory: &Path) -> Files {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    let kept = named.filter(|(name, _)| name != "LOCK" && !name.ends_with(".tmp"));
    kept.map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

/// Returns the runs of a file: the offset of each, and its bytes.
fn runs(content: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut runs: Vec<(usize, Vec<u8>)> = Vec::new();
    for (number, piece) in content.chunks(PIECE).enumerate() {
        let start = number * PIECE;
        if piece.iter().all(|byte| *byte == 0) {
            continue;
        }
        match runs.last_mut() {
            Some((at, run)) if *at + run.len() == start => run.extend_from_slice(piece),
            _ => runs.push((start, piece.to_vec())),
        }
    }
    runs
}

/// Makes an archive of files.
pub(crate) fn pack(files: &Files) -> Vec<u8> {
    let mut packed = Vec::new();
    for (name, content) in files {
        packed.put_u8(u8::try_from(name.len()).unwrap());
        packed.put_slice(name.as_bytes());
        packed.put_u64(content.len() as u64);
        let runs = runs(content);
        packed.put_u32(u32::try_from(runs.len()).unwrap());
        for (start, run) in runs {
            packed.put_u64(start as u64);
            packed.put_u32(u32::try_from(run.len()).unwrap());
            packed.put_slice(&run);
        }
    }
    packed
}

/// A file of an archive.
struct Packed<'a> {
    name: String,
    length: u64,
    runs: Vec<(u64, &'a [u8])>,
}

fn take<'a>(input: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(length);
    *input = rest;
    taken
}

fn packed_files(mut packed: &[u8]) -> Vec<Packed<'_>> {
    let mut files = Vec::new();
    while packed.has_remaining() {
        let name_length = usize::from(packed.get_u8());
        let name = String::from_utf8(take(&mut packed, name_length).to_vec()).unwrap();
        let (length, count) = (packed.get_u64(), packed.get_u32());
        let mut runs = Vec::new();
        for _ in 0..count {
            let (start, run_length) = (packed.get_u64(), packed.get_u32());
            runs.push((start, take(&mut packed, usize::try_from(run_length).unwrap())));
        }
        files.push(Packed { name, length, runs });
    }
    files
}

/// Returns the files of an archive at their full length.
pub(crate) fn unpack(packed: &[u8]) -> Files {
    let whole = |file: Packed<'_>| {
        let mut content = vec![0; usize::try_from(file.length).unwrap()];
        for (start, run) in file.runs {
            content[usize::try_from(start).unwrap()..][..run.len()].copy_from_slice(run);
        }
        (file.name, content)
    };
    packed_files(packed).into_iter().map(whole).collect()
}

/// Writes the files of an archive, at their full length, to a new directory.
pub(crate) fn unpack_to(packed: &[u8], directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    for file in packed_files(packed) {
        let path = directory.join(&file.name);
        let to = File::create_new(path).unwrap();
        to.set_len(file.length).unwrap();
        file.runs.iter().for_each(|(start, run)| to.write_all_at(run, *start).unwrap());
    }
}

#[test]
fn unpacking_an_archive_restores_the_files() {
    let mut long = vec![0; 5_000];
    long[..3].copy_from_slice(b"abc");
    long[4_000] = 1;
    let files = Files::from([
        ("empty".to_owned(), Vec::new()),
        ("long".to_owned(), long),
        ("zeros".to_owned(), vec![0; 777]),
        ("full".to_owned(), vec![9; 130]),
    ]);
    let packed = pack(&files);
    assert!(packed.len() < 500, "{} bytes", packed.len());
    assert_eq!(unpack(&packed), files);
    let directory = tempfile::tempdir().unwrap();
    unpack_to(&packed, directory.path());
    assert_eq!(read_directory(directory.path()), files);
}
