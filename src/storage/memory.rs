//! A storage that keeps nothing: after a restart the process is a different node.

use crate::lpaxos::{Durable, Record};

use super::{Identity, Key, Status, Storage, StorageError, Unsynced, Value};

/// The storage of a node without a data directory. It writes nothing and never fails.
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
