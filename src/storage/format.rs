//! Names of the files, the version of their format, and the checksummed wrapper of what is written
//! as a whole.
//!
//! The first 24 bytes of every file are a [`seal`]: later versions may change what follows, but not
//! those, so that a server always knows a file that is newer than itself.

use std::ops::RangeInclusive;
use std::path::Path;

use bytes::{Buf, BufMut};

use super::disk::{NamedFile, TEMPORARY};
use super::error::StorageError;

/// The version of data directories that this server writes; it reads all versions up to this one.
///
/// It is that of the file `FORMAT`. Version 1, of release 0.1.0, has no inventory there.
pub const FORMAT_VERSION: u32 = 2;

/// The version of all other files, each of which has it in its own head.
const FILE_VERSION: u32 = 1;

pub(super) const FORMAT_FILE: &str = "FORMAT";
pub(super) const IDENTITY_FILE: &str = "identity";
pub(super) const LOCK_FILE: &str = "LOCK";
/// A checkpoint that is being written.
pub(super) const CHECKPOINT_DRAFT: &str = "checkpoint.tmp";
/// A journal segment that is being prepared.
pub(super) const SEGMENT_DRAFT: &str = "journal.tmp";

const JOURNAL: &str = "journal-";
const CHECKPOINT: &str = "checkpoint-";

/// The name of the journal segment with this number.
pub(super) fn segment_name(number: u64) -> String {
    format!("{JOURNAL}{number:020}")
}

/// The name of the checkpoint that starts at this round.
pub(super) fn checkpoint_name(sequence: u64) -> String {
    format!("{CHECKPOINT}{sequence:020}")
}

/// The number of the journal segment with this name.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    numbered(name, JOURNAL)
}

/// The round at which the checkpoint with this name starts.
pub(super) fn checkpoint_sequence(name: &str) -> Option<u64> {
    numbered(name, CHECKPOINT)
}

fn numbered(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix).filter(|digits| digits.len() == 20)?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Whether the file was left unfinished by a process that ended.
pub(super) fn is_unfinished(name: &str) -> bool {
    let ours = [FORMAT_FILE, IDENTITY_FILE].map(|file| format!("{file}{TEMPORARY}"));
    name == CHECKPOINT_DRAFT || name == SEGMENT_DRAFT || ours.iter().any(|ours| ours == name)
}

/// Whether the storage makes files of this name, the lock aside.
pub(super) fn is_own(name: &str) -> bool {
    name == FORMAT_FILE || is_data(name) || is_unfinished(name)
}

/// Whether it is the name of a file that only a data directory has.
fn is_data(name: &str) -> bool {
    name == IDENTITY_FILE || segment_number(name).is_some() || checkpoint_sequence(name).is_some()
}

/// What a file system or an operator's tool puts into a directory that is empty to all who use it.
/// A directory with these is as good as empty.
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

/// How names begin that are as [`FOREIGN`]: removed files that a process still has open (NFS), and
/// what was moved to the trash.
const FOREIGN_PREFIXES: [&str; 2] = [".nfs", ".Trash"];

fn is_foreign(name: &str) -> bool {
    FOREIGN.contains(&name) || FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Refuses a directory that holds files but is none of ours.
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
        Some(stranger) => Err(StorageError::NotADataDirectory {
            directory: directory.to_path_buf(),
            found: format!("there is {stranger:?}, and no file {FORMAT_FILE:?}"),
        }),
    }
}

/// What a file is, in its first eight bytes.
pub(super) type Magic = &'static [u8; 8];
pub(super) const FORMAT_MAGIC: Magic = b"lattiFMT";
pub(super) const IDENTITY_MAGIC: Magic = b"lattiIDY";
pub(super) const SEGMENT_MAGIC: Magic = b"lattiJNL";
pub(super) const CHECKPOINT_MAGIC: Magic = b"lattiCKP";

/// Bytes that the wrapper adds before the content.
pub(super) const SEAL_BYTES: usize = 24;

/// The version in which a kind of file is written.
fn written_version(magic: Magic) -> u32 {
    if magic == FORMAT_MAGIC { FORMAT_VERSION } else { FILE_VERSION }
}

/// Wraps the content: magic (8 bytes), version (4), length of the content (8), CRC-32 (4) over all
/// the rest.
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

/// The content of what [`seal`] wrapped. There may be more in the bytes, after it.
pub(super) fn unseal<'a>(
    magic: Magic,
    bytes: &'a [u8],
    file: &NamedFile,
) -> Result<&'a [u8], StorageError> {
    let version = written_version(magic);
    unseal_versions(magic, version..=version, bytes, file).map(|(_, content)| content)
}

/// The version and the content of what [`seal`] wrapped, if the version is one of these.
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

/// The CRC-32 of the parts, one after the other.
pub(super) fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// Identity of a data directory. It is in all its files, so that none is taken for one of another
/// directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoreId(pub(super) u64);
