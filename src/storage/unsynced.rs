//! A write that is not durable yet.

use std::sync::{Arc, OnceLock};

#[cfg(test)]
use super::disk::DiskFile;
use super::disk::NamedFile;
use super::error::StorageError;

/// The first failure of a storage, after which it writes nothing.
pub(super) type Failure = Arc<OnceLock<String>>;

/// Records that are written but not synced. If this value is dropped before
/// [`sync`](Unsynced::sync), the records may be lost.
#[must_use]
pub struct Unsynced {
    file: Arc<NamedFile>,
    failure: Failure,
}

impl Unsynced {
    /// Returns the token for a write to the file.
    pub(super) fn new(file: Arc<NamedFile>, failure: &Failure) -> Unsynced {
        Unsynced { file, failure: Arc::clone(failure) }
    }

    /// Returns the token for a write to a file of a test.
    #[cfg(test)]
    pub(crate) fn of_file(file: Box<dyn DiskFile>) -> Unsynced {
        let file = NamedFile::new("test".into(), file);
        Unsynced::new(Arc::new(file), &Failure::default())
    }

    /// Makes the records durable.
    ///
    /// # Errors
    /// If the sync fails. The storage must not be used after that.
    pub fn sync(self) -> Result<(), StorageError> {
        let done = self.file.sync();
        if let Err(error) = &done {
            self.failure.get_or_init(|| error.to_string());
        }
        done
    }
}
