//! Why the durable storage cannot go on, by what the operator has to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// What to do about a state that cannot be read. An older copy has forgotten promises, and a node
/// without its state is no member.
const LOST: &str = "only a copy of the directory that was made after the node last ran may take its \
                    place; without one this node cannot come back, and the others go on without it";

/// A failure of the storage. Every one of them is fatal for the node: nothing is retried.
#[derive(Debug)]
pub enum StorageError {
    /// Another server runs on the directory.
    Locked {
        /// The data directory.
        directory: PathBuf,
    },
    /// The directory holds something else.
    NotADataDirectory {
        /// The directory.
        directory: PathBuf,
        /// What was found there.
        found: String,
    },
    /// The file has a version of its format that this server does not know: a later release wrote
    /// it.
    UnknownVersion {
        /// The file.
        file: PathBuf,
        /// The version that it has.
        found: u32,
        /// The latest version of such a file that this server knows.
        known: u32,
    },
    /// What the file holds is not what was written.
    Corrupted {
        /// The file.
        file: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A file that must be there is not.
    Missing {
        /// The file.
        file: PathBuf,
        /// How that is known.
        why: &'static str,
    },
    /// There is no room left.
    Full {
        /// What was being done.
        action: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// The directory or a file may not be written.
    NotWritable {
        /// What was being done.
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Any other failure of the operating system or the disk.
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The storage has failed before; what is on disk since then is not known.
    Stopped {
        /// The failure, as it was reported then.
        because: String,
    },
}

impl StorageError {
    /// The error for a failed call of the operating system.
    pub(super) fn io(action: &'static str, file: PathBuf, source: io::Error) -> StorageError {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StorageError::Full { action, file }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StorageError::NotWritable { action, file, source }
            }
            _ => StorageError::Io { action, file, source },
        }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StorageError::Locked { directory } => write!(
                f,
                "{}: in use by another server; stop it or choose another data directory",
                directory.display()
            ),
            StorageError::NotADataDirectory { directory, found } => write!(
                f,
                "{}: not a lattistore data directory ({found}); choose an empty or a new one",
                directory.display()
            ),
            StorageError::UnknownVersion { file, found, known } => write!(
                f,
                "{}: format version {found}, this server knows versions up to {known}; start the \
                 release of the server that wrote it, or a later one",
                file.display()
            ),
            StorageError::Corrupted { file, offset, what } => {
                write!(f, "{}: corrupted at offset {offset}: {what}; {LOST}", file.display())
            }
            StorageError::Missing { file, why } => {
                write!(f, "{}: missing, {why}; put it back; else {LOST}", file.display())
            }
            StorageError::Full { action, file } => write!(
                f,
                "{}: no space left to {action}; make room and start the server again",
                file.display()
            ),
            StorageError::NotWritable { action, file, source } => write!(
                f,
                "{}: cannot {action}: {source}; make the data directory writable for the server",
                file.display()
            ),
            StorageError::Io { action, file, source } => write!(
                f,
                "{}: cannot {action}: {source}; check the disk, then start the server again",
                file.display()
            ),
            StorageError::Stopped { because } => {
                write!(f, "the storage has stopped after: {because}")
            }
        }
    }
}

impl std::error::Error for StorageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StorageError::NotWritable { source, .. } | StorageError::Io { source, .. } => {
                Some(source)
            }
            _ => None,
        }
    }
}
