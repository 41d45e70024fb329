//! A write that is not durable yet.

use std::sync::{Arc, OnceLock};

#[cfg(test)]
use super::disk::DiskFile;
use super::disk::NamedFile;
use super::error::StorageError;

/// The first failure of a storage, after which nothing is written any more.
pub(super) type Failure = Arc<OnceLock<String>>;

/// Records that were written and not synced. Dropped without that, they may be lost.
#[must_use]
pub struct Unsynced {
    file: Arc<NamedFile>,
    failure: Failure,
}

impl Unsynced {
    /// What was written to the file.
    pub(super) fn new(file: Arc<NamedFile>, failure: &Failure) -> Unsynced {
        Unsynced { file, failure: Arc::clone(failure) }
    }

    /// What was written to a file of a test.
    #[cfg(test)]
    pub(crate) fn of_file(file: Box<dyn DiskFile>) -> Unsynced {
        let file = NamedFile::new("test".into(), file);
        Unsynced::new(Arc::new(file), &Failure::default())
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// When that fails; nothing may be asked of the storage then.
    pub fn sync(self) -> Result<(), StorageError> {
        let done = self.file.sync();
        if let Err(error) = &done {
            self.failure.get_or_init(|| error.to_string());
        }
        done
    }
}
