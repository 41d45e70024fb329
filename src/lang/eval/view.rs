//! The store as a running program sees it: the snapshot, with the program's own writes over it.

use super::EvalError;
use super::budget::Budget;
use crate::blob::Blob;
use crate::lang::error::Limit;
use crate::lang::limits::{KEY_BYTES, READ_BYTES, READ_KEYS, WRITTEN_BYTES, WRITTEN_KEYS};
use crate::lang::program::Snapshot;
use crate::values::Text;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The reads and writes of a run, within their limits. Every access to the store pays its steps
/// here.
pub(super) struct View<'s> {
    pub(super) snapshot: &'s dyn Snapshot,
    pub(super) budget: Budget,
    /// The values of the constant keys before the transaction, by their numbers.
    constants: Vec<Option<Blob>>,
    pub(super) reads: Reads,
    pub(super) writes: BTreeMap<Blob, Option<Blob>>,
    written_bytes: usize,
}

/// The keys that the program read, with their values before the transaction.
#[derive(Default)]
pub(super) struct Reads {
    pub(super) values: BTreeMap<Blob, Blob>,
    bytes: usize,
}

impl Reads {
    /// Records that `key` was read and had `value`. Each key counts once for the limits.
    pub(super) fn note(&mut self, key: &Blob, value: &Blob) -> Result<(), EvalError> {
        let keys = self.values.len();
        if let Entry::Vacant(new) = self.values.entry(key.clone()) {
            if keys == READ_KEYS {
                return Err(Limit::ReadKeys.into());
            }
            self.bytes += key.len() + value.len();
            if self.bytes > READ_BYTES {
                return Err(Limit::ReadBytes.into());
            }
            new.insert(value.clone());
        }
        Ok(())
    }
}

impl<'s> View<'s> {
    pub(super) fn new(snapshot: &'s dyn Snapshot) -> View<'s> {
        View {
            snapshot,
            budget: Budget::default(),
            constants: Vec::new(),
            reads: Reads::default(),
            writes: BTreeMap::new(),
            written_bytes: 0,
        }
    }

    /// Reads all constant keys, at the start of the run (see [`resolve`](crate::lang::resolve)).
    pub(super) fn read_constants(&mut self, keys: &[Blob]) -> Result<(), EvalError> {
        for key in keys {
            self.budget.search()?;
            let value = self.snapshot.get(Text::from_store(key.clone()).as_str());
            if let Some(value) = &value {
                self.reads.note(key, value)?;
            }
            self.constants.push(value);
        }
        Ok(())
    }

    /// Checks that a text is short enough for a key, and pays for its bytes.
    pub(super) fn pay_for_key(&mut self, key: &Text) -> Result<(), EvalError> {
        check_key(key.as_bytes())?;
        self.budget.bytes(key.as_bytes().len())
    }

    /// Returns the value of the constant key with this number. `keys` are those of
    /// [`read_constants`](View::read_constants).
    pub(super) fn get_constant(
        &self,
        number: u32,
        keys: &[Blob],
    ) -> Result<Option<Text>, EvalError> {
        let key = &keys[number as usize];
        check_key(key)?;
        let value = match self.writes.get(key) {
            Some(written) => written,
            None => &self.constants[number as usize],
        };
        Ok(value.clone().map(Text::from_store))
    }

    pub(super) fn get(&mut self, key: &Text) -> Result<Option<Text>, EvalError> {
        self.pay_for_key(key)?;
        let before = match self.reads.values.get(key.as_bytes()) {
            Some(value) => Some(value.clone()),
            None => {
                self.budget.search()?;
                self.snapshot.get(key.as_str())
            }
        };
        if let Some(value) = &before {
            self.reads.note(key.as_bytes(), value)?;
        }
        let value = match self.writes.get(key.as_bytes()) {
            Some(written) => written.clone(),
            None => before,
        };
        Ok(value.map(Text::from_store))
    }

    pub(super) fn exists(&mut self, key: &Text) -> Result<bool, EvalError> {
        self.pay_for_key(key)?;
        if let Some(written) = self.writes.get(key.as_bytes()) {
            return Ok(written.is_some());
        }
        self.budget.search()?;
        Ok(self.snapshot.exists(key.as_str()))
    }

    /// Records a write: a new value, or a deletion with `None`.
    pub(super) fn write(&mut self, key: Text, value: Option<Text>) -> Result<(), EvalError> {
        let key = Blob::from(key);
        check_key(&key)?;
        let value = value.map(Blob::from);
        let size = |value: &Option<Blob>| key.len() + value.as_ref().map_or(0, |value| value.len());
        self.written_bytes += size(&value);
        if let Some(replaced) = self.writes.get(&key) {
            self.written_bytes -= size(replaced);
        } else if self.writes.len() == WRITTEN_KEYS {
            return Err(Limit::WrittenKeys.into());
        }
        if self.written_bytes > WRITTEN_BYTES {
            return Err(Limit::WrittenBytes.into());
        }
        self.writes.insert(key, value);
        Ok(())
    }
}

fn check_key(key: &Blob) -> Result<(), EvalError> {
    if key.len() > KEY_BYTES {
        return Err(Limit::KeyBytes.into());
    }
    Ok(())
}
