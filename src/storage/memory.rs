//! The storage of a node that keeps nothing: it comes back as a stranger.

use crate::lpaxos::{Durable, Record};

use super::{Identity, Key, Status, Storage, StorageError, Unsynced, Value};

/// Writes nothing, and so never fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory;

impl Storage for Memory {
    fn save_identity(&mut self, _identity: &Identity) -> Result<(), StorageError> {
        Ok(())
    }

    fn begin(&mut self, _records: &[Record<Key, Value>]) -> Result<Option<Unsynced>, StorageError> {
        Ok(None)
    }

    fn is_behind(&self) -> bool {
        false
    }

    fn maintain(&mut self, _durable: &Durable<Key, Value>) -> Result<(), StorageError> {
        Ok(())
    }

    fn status(&self) -> Status {
        Status::default()
    }
}
