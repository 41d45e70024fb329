//! The names of the files, the versions of their format, and the checksummed head of a file.
//!
//! Every file except `LOCK` begins with the 24 bytes that [`seal`] writes. A later version may
//! change the bytes after them, but not these, so that a server always recognizes a file that a
//! later release wrote.

use std::ops::RangeInclusive;
use std::path::Path;

use bytes::{Buf, BufMut};

use super::disk::{NamedFile, TEMPORARY};
use super::error::StorageError;

/// The version of data directories that this server writes; it reads all versions up to this one.
///
/// It is the version of the file `FORMAT`. In version 1, of release 0.1.0, that file has no
/// inventory. From version 3 on the journal and the checkpoints hold member sets.
pub const FORMAT_VERSION: u32 = 3;

/// The version of all other files; each has it in its own head.
const FILE_VERSION: u32 = 1;

pub(super) const FORMAT_FILE: &str = "FORMAT";
pub(super) const IDENTITY_FILE: &str = "identity";
pub(super) const LOCK_FILE: &str = "LOCK";
/// The name of a checkpoint that is being written.
pub(super) const CHECKPOINT_DRAFT: &str = "checkpoint.tmp";
/// The name of a journal segment that is being prepared.
pub(super) const SEGMENT_DRAFT: &str = "journal.tmp";

const JOURNAL: &str = "journal-";
const CHECKPOINT: &str = "checkpoint-";

/// Returns the name of the journal segment with this number.
pub(super) fn segment_name(number: u64) -> String {
    format!("{JOURNAL}{number:020}")
}

/// Returns the name of the checkpoint that starts at this round.
pub(super) fn checkpoint_name(sequence: u64) -> String {
    format!("{CHECKPOINT}{sequence:020}")
}

/// Returns the number of the journal segment with this name; `None` for other names.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    numbered(name, JOURNAL)
}

/// Returns the round at which the checkpoint with this name starts; `None` for other names.
pub(super) fn checkpoint_sequence(name: &str) -> Option<u64> {
    numbered(name, CHECKPOINT)
}

fn numbered(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix).filter(|digits| digits.len() == 20)?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Whether the file is unfinished: a process that ended was writing it.
pub(super) fn is_unfinished(name: &str) -> bool {
    let drafts = [FORMAT_FILE, IDENTITY_FILE].map(|file| format!("{file}{TEMPORARY}"));
    name == CHECKPOINT_DRAFT || name == SEGMENT_DRAFT || drafts.iter().any(|draft| draft == name)
}

/// Whether the storage creates files with this name, except the lock file.
pub(super) fn is_own(name: &str) -> bool {
    name == FORMAT_FILE || is_data(name) || is_unfinished(name)
}

/// Whether only a data directory has a file with this name.
fn is_data(name: &str) -> bool {
    name == IDENTITY_FILE || segment_number(name).is_some() || checkpoint_sequence(name).is_some()
}

/// Names that a file system or an operator's tool puts into a directory that is otherwise empty.
/// A directory that holds only these is accepted as an empty one.
const FOREIGN: [&str; 11] = [
    "lost+found",
    ".snapshot",
    ".snapshots",
    ".zfs",
    "aquota.user",
    "aquota.group",
    "System Volume Information",
    ".DS_Store",
    ".keep",
    ".gitkeep",
    ".nobackup",
];

/// Prefixes of names that are treated like [`FOREIGN`]: removed files that a process still has open
/// (NFS), and files that were moved to the trash.
const FOREIGN_PREFIXES: [&str; 2] = [".nfs", ".Trash"];

fn is_foreign(name: &str) -> bool {
    FOREIGN.contains(&name) || FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Returns an error for a directory that holds files but is not a data directory.
pub(super) fn check_names(directory: &Path, names: &[String]) -> Result<(), StorageError> {
    if names.iter().any(|name| name == FORMAT_FILE) {
        return Ok(());
    }
    if names.iter().any(|name| is_data(name)) {
        let why = "although there are other files of a data directory";
        return Err(StorageError::Missing { file: directory.join(FORMAT_FILE), why });
    }
    let is_known = |name: &str| name == LOCK_FILE || is_unfinished(name) || is_foreign(name);
    match names.iter().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(unknown) => Err(StorageError::NotADataDirectory {
            directory: directory.to_path_buf(),
            found: format!("there is {unknown:?}, and no file {FORMAT_FILE:?}"),
        }),
    }
}

/// The first eight bytes of a file, which identify its kind.
pub(super) type Magic = &'static [u8; 8];
pub(super) const FORMAT_MAGIC: Magic = b"lattiFMT";
pub(super) const IDENTITY_MAGIC: Magic = b"lattiIDY";
pub(super) const SEGMENT_MAGIC: Magic = b"lattiJNL";
pub(super) const CHECKPOINT_MAGIC: Magic = b"lattiCKP";

/// The number of bytes that [`seal`] adds before the content.
pub(super) const SEAL_BYTES: usize = 24;

/// Returns the version in which this kind of file is written.
fn written_version(magic: Magic) -> u32 {
    if magic == FORMAT_MAGIC { FORMAT_VERSION } else { FILE_VERSION }
}

/// Returns the content with its head: magic (8 bytes), version (4), length of the content (8), and
/// the CRC-32 of all other bytes (4).
pub(super) fn seal(magic: Magic, content: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(SEAL_BYTES + content.len());
    sealed.put_slice(magic);
    sealed.put_u32(written_version(magic));
    sealed.put_u64(content.len() as u64);
    let checksum = checksum(&[&sealed, content]);
    sealed.put_u32(checksum);
    sealed.put_slice(content);
    sealed
}

/// Returns the content that [`seal`] wrapped. More bytes may follow it.
pub(super) fn unseal<'a>(
    magic: Magic,
    bytes: &'a [u8],
    file: &NamedFile,
) -> Result<&'a [u8], StorageError> {
    let version = written_version(magic);
    unseal_versions(magic, version..=version, bytes, file).map(|(_, content)| content)
}

/// Returns the version and the content that [`seal`] wrapped, if the version is one of `versions`.
pub(super) fn unseal_versions<'a>(
    magic: Magic,
    versions: RangeInclusive<u32>,
    bytes: &'a [u8],
    file: &NamedFile,
) -> Result<(u32, &'a [u8]), StorageError> {
    let head = bytes.get(..SEAL_BYTES).ok_or_else(|| file.corrupted(0, "it is too short"))?;
    let mut fields = &head[8..];
    let (version, length, expected) = (fields.get_u32(), fields.get_u64(), fields.get_u32());
    let content = usize::try_from(length).ok().and_then(|n| bytes[SEAL_BYTES..].get(..n));
    let content = content.ok_or_else(|| file.corrupted(12, "the length does not fit the file"))?;
    if &head[..8] != magic {
        return Err(file.corrupted(0, "it is not a file of this kind"));
    }
    if checksum(&[&head[..20], content]) != expected {
        return Err(file.corrupted(0, "the checksum does not match"));
    }
    if !versions.contains(&version) {
        let (file, known) = (file.path().into(), *versions.end());
        return Err(StorageError::UnknownVersion { file, found: version, known });
    }
    Ok((version, content))
}

/// Returns the CRC-32 of the concatenated parts.
pub(super) fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// The id of a data directory. All its files contain it, so that a file of another directory is
/// detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoreId(pub(super) u64);
