//! The failures of the durable storage, one kind for each thing that an operator can do about them.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// The remedy for a state that cannot be read.
///
/// An older copy of the directory lacks promises that the node made after it, and a node without
/// its state is not the member that it was.
const LOST: &str = "only a copy of the directory that was made after the node last ran may take \
                    its place; without one this node cannot come back, and the other nodes \
                    continue without it";

/// A failure of the storage. Each of them is fatal for the node, which repeats no call.
#[derive(Debug)]
pub enum StorageError {
    /// Another server uses the directory.
    Locked {
        /// The data directory.
        directory: PathBuf,
    },
    /// The directory holds files, but is not a data directory.
    NotADataDirectory {
        /// The directory.
        directory: PathBuf,
        /// What was found there instead.
        found: String,
    },
    /// A later release wrote the file: this server does not know the version of its format.
    UnknownVersion {
        /// The file.
        file: PathBuf,
        /// The version that it has.
        found: u32,
        /// The latest version of such a file that this server knows.
        known: u32,
    },
    /// The content of the file is not what was written.
    Corrupted {
        /// The file.
        file: PathBuf,
        /// The offset in the file, in bytes.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A file that must exist is missing.
    Missing {
        /// The file.
        file: PathBuf,
        /// The reason why it must exist.
        why: &'static str,
    },
    /// The disk is full.
    Full {
        /// The operation that failed.
        action: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// The server has no permission to write the directory or a file.
    NotWritable {
        /// The operation that failed.
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Any other failure of the operating system or the disk.
    Io {
        /// The operation that failed.
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// An earlier call failed; the content on disk is unknown since then.
    Stopped {
        /// The text of that failure.
        because: String,
    },
}

impl StorageError {
    /// Returns the error for a failed call of the operating system.
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
                write!(f, "{}: missing, {why}; put it back; otherwise {LOST}", file.display())
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
                write!(f, "the storage stopped after an earlier failure: {because}")
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
