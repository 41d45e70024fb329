//! Names of the files, the version of their format, and the checksummed wrapper of what is written
//! as a whole.
//!
//! The first 24 bytes of every file are a [`seal`]: later versions may change what follows, but not
//! those, so that a server always knows a file that is newer than itself.

use std::path::Path;

use bytes::{Buf, BufMut};

use super::disk::{Folder, NamedFile, TEMPORARY};
use super::error::StorageError;

/// The version that this server writes, and the only one that it reads.
pub const FORMAT_VERSION: u32 = 1;

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

/// Refuses a directory that holds files but is none of ours.
pub(super) fn check_names(directory: &Path, names: &[String]) -> Result<(), StorageError> {
    let data = |name: &String| {
        name == IDENTITY_FILE
            || segment_number(name).is_some()
            || checkpoint_sequence(name).is_some()
    };
    if names.iter().any(|name| name == FORMAT_FILE) {
        return Ok(());
    }
    if names.iter().any(data) {
        let why = "although there are other files of a data directory";
        return Err(StorageError::Missing { file: directory.join(FORMAT_FILE), why });
    }
    match names.iter().find(|name| *name != LOCK_FILE && !is_unfinished(name)) {
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

/// Wraps the content: magic (8 bytes), version (4), length of the content (8), CRC-32 (4) over all the rest.
pub(super) fn seal(magic: Magic, content: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(SEAL_BYTES + content.len());
    sealed.put_slice(magic);
    sealed.put_u32(FORMAT_VERSION);
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
    if version != FORMAT_VERSION {
        return Err(StorageError::UnknownVersion { file: file.path().into(), found: version });
    }
    Ok(content)
}

/// The CRC-32 of the parts, one after the other.
pub(super) fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// Identity of a data directory. It is in all its files, so that none is taken for one of another directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoreId(pub(super) u64);

impl StoreId {
    /// Makes the file of a new directory.
    pub(super) fn create(folder: &Folder, store: StoreId) -> Result<(), StorageError> {
        folder.replace(FORMAT_FILE, &seal(FORMAT_MAGIC, &store.0.to_be_bytes()))
    }

    /// Reads the file.
    pub(super) fn read(folder: &Folder) -> Result<StoreId, StorageError> {
        let file = folder.open(FORMAT_FILE)?;
        let bytes = file.read_all()?;
        let content = unseal(FORMAT_MAGIC, &bytes, &file)?;
        let id = content.try_into().map_err(|_| file.corrupted(12, "the length is wrong"))?;
        if bytes.len() != SEAL_BYTES + content.len() {
            return Err(file.corrupted(bytes.len() as u64, "there are bytes after the end"));
        }
        Ok(StoreId(u64::from_be_bytes(id)))
    }
}
