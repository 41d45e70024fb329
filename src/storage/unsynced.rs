//! A write that is not durable yet.

use std::sync::{Arc, OnceLock};

use super::disk::NamedFile;
use super::error::StorageError;

/// The first failure of a storage, after which nothing is written any more.
pub(super) type Failure = Arc<OnceLock<String>>;

/// Records that were written and not synced. Dropped without that, they may be lost.
#[must_use]
pub struct Unsynced(Option<(Arc<NamedFile>, Failure)>);

impl Unsynced {
    /// Nothing that would have to be synced.
    pub(super) fn nothing() -> Unsynced {
        Unsynced(None)
    }

    /// What was written to the file.
    pub(super) fn of(file: Arc<NamedFile>, failure: &Failure) -> Unsynced {
        Unsynced(Some((file, Arc::clone(failure))))
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// When that fails; nothing may be asked of the storage then.
    pub fn sync(self) -> Result<(), StorageError> {
        let Some((file, failure)) = self.0 else { return Ok(()) };
        let done = file.sync();
        if let Err(error) = &done {
            failure.get_or_init(|| error.to_string());
        }
        done
    }
}
